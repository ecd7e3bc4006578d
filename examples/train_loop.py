"""Training by hand: learns the built-in shapes, saves the model, loads it again and detects."""

import sys

from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.synthetic.shapes import ShapesDataset
from centernet_jax import Detector, create_state, load, train_step  # or: from centernet_torch

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 750
shapes = ShapesDataset("train")
config = ModelConfig(shapes.classes, image_size=(64, 64), depth=18)
state = create_state(config, Recipe(learning_rate=1e-3, total_steps=steps), seed=0)

# A batch: "image", uint8 [B, H, W, 3], and "objects", [B, N, 6]: y, x, height, width, class, 1 (rows of zeros pad).
batches = Batches(shapes, 16, config.image_size, config.resize, NO_AUGMENTATION, seed=0)
for step, batch in enumerate(batches.prefetched(0, steps)):
    state, metrics = train_step(state, batch)
    if step % 50 == 0:
        print(f"step {step}: loss {float(metrics['loss']):.3f}")
Detector.of(state, config).save("model.safetensors")

detector = load("model.safetensors")
picture = ShapesDataset("val").picture(0)  # uint8 [H, W, 3] of any size
for y, x, height, width, label, score in detector([picture], min_confidence=0.3)[0]:
    name = detector.config.classes[int(label)]
    print(f"{name} {score:.2f}: centre ({x:.0f}, {y:.0f}), {width:.0f} x {height:.0f} pixels")
