"""The program `centernet`: what knows both the data and the backends."""
