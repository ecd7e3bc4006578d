"""Moves weights between the two backends, and proves that the two are one detector."""
