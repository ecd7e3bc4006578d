"""The commands of `centernet`, one file each: its options and its `run()`."""
