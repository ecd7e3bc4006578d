"""Training runs: the loop, the run folder, checkpoints, resuming, signals and progress."""
