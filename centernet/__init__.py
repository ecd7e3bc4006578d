"""The program `centernet`, which knows both the data and the backends."""

from centernet_data import __version__

__all__ = ["__version__"]
