"""What every package agrees on: boxes, the model's configuration, its weights file and the training recipe."""
