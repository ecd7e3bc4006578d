"""Moves weights between the two backends, and proves that the two are one detector."""

from centernet_data import __version__

__all__ = ["__version__"]
