"""The program `centernet`, which knows both the data and the backends."""
