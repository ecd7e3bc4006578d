"""Moves weights between the two backends, and proves that both are the same detector."""

from centernet_data import __version__

__all__ = ["__version__"]
