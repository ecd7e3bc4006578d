"""Finds picture files."""

from collections.abc import Iterable
from pathlib import Path

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_pictures(paths: Iterable[str | Path]) -> list[Path]:
    """The picture files at `paths`, in order.

    A file is taken whatever its suffix. A folder is replaced by the pictures directly in it: the files with one of
    `PICTURE_SUFFIXES` that are not hidden, sorted by name. Raises ValueError for a path that does not exist and for a
    folder without pictures.
    """
    return [picture for path in paths for picture in _expand(Path(path))]


def _expand(path: Path) -> list[Path]:
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        return [path]
    pictures = sorted(child for child in path.iterdir() if _is_visible_picture(child))
    if not pictures:
        raise ValueError(f"{path}: the folder contains no pictures ({', '.join(PICTURE_SUFFIXES)})")
    return pictures


def _is_visible_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
