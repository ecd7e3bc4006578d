"""Verifies picture files before training starts, and remembers which were."""
