"""Moves weights between the two backends, and proves that both are the same detector."""
