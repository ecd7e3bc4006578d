"""Finds picture files, and says what it leaves out."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from centernet_data.contract.messages import listed

PICTURE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"
)  # fmt: skip
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
HEIC_ADVICE = "HEIC is not decoded here: convert it to JPEG first, such as with heif-convert or `sips -s format jpeg`"
INNER, LINKED = "folders with pictures; --recursive looks into them", "links to folders; give the folders themselves"
NAMED = 3  # of the files that are left out for one reason
LOOKED_AT = 10_000  # entries of a sub-folder, before it passes for one without pictures


class Found(NamedTuple):
    """A picture file, and its name: relative to the folder that was given, or no more than a name if it was given."""

    path: Path
    name: Path


class Pictures(NamedTuple):
    """Picture files in order, and a line for each kind of file that was left out."""

    found: list[Found]
    notes: list[str]


def find_pictures(
    paths: Iterable[str | Path], recursive: bool = False, is_ours: Callable[[Path], bool] = lambda path: False
) -> Pictures:
    """The picture files at `paths`, in order, each once.

    A file is taken whatever its suffix. A folder is replaced by the pictures directly in it, with `recursive` also by
    those in its sub-folders: the files with one of `PICTURE_SUFFIXES` that are not hidden, sorted by name, links last.
    The rest is left out and noted, as are files that `is_ours`, and those that are there already under another name or
    link; hidden files are left out silently. Raises ValueError for a path that does not exist and for a folder without
    pictures.
    """
    search = _Search(recursive, is_ours)
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder")
        if path.is_dir():
            search.look_into(path)
        else:
            search.take(Found(path, Path(path.name)))
    again = f"looked at once, though given again: {listed(search.again, NAMED)}"
    return Pictures([*search.found.values()], search.notes + [again] * bool(search.again))


class _Search:
    def __init__(self, recursive: bool, is_ours: Callable[[Path], bool]):
        self.recursive, self.is_ours = recursive, is_ours
        self.found: dict[str, Found] = {}  # by real path
        self.again: list[Path] = []
        self.notes: list[str] = []

    def take(self, found: Found) -> None:
        if self.found.setdefault(os.path.realpath(found.path), found) is not found:
            self.again.append(found.path)

    def look_into(self, root: Path) -> None:
        count, left_out = 0, defaultdict(list)
        for path in self._entries(root, left_out):
            if reason := self._reason_against(path):
                left_out[reason].append(path)
            else:
                self.take(Found(path, path.relative_to(root)))
                count += 1
        notes = [f"{root}: left out {_few(files, root)}: {reason}" for reason, files in left_out.items()]
        if not count:
            why = f"; {'; '.join(notes)}" if notes else ""
            raise ValueError(f"{root}: the folder contains no pictures ({', '.join(PICTURE_SUFFIXES)}){why}")
        self.notes += notes

    def _entries(self, root: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
        """The files of a folder, then, if wanted, those of its sub-folders. Links to folders may lead anywhere, also
        back, so they are not followed."""
        folders = [root]
        while folders:
            folder, inner = folders.pop(), []
            try:
                entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
            except OSError as error:
                left_out[f"cannot be read ({error.strerror})"].append(folder)
                continue
            for path in sorted(entries, key=lambda path: (path.is_symlink(), path.name)):  # links after what they name
                if not path.is_dir():
                    yield path
                elif self.recursive and not path.is_symlink():
                    inner.append(path)
                elif _has_pictures(path):
                    left_out[LINKED if self.recursive else INNER].append(path)
            folders += reversed(inner)

    def _reason_against(self, path: Path) -> str:
        suffix = path.suffix.lower()
        if self.is_ours(path):
            return "written by an earlier run"
        if suffix in HEIC_SUFFIXES:
            return HEIC_ADVICE
        return "" if suffix in PICTURE_SUFFIXES else "not a picture by its suffix; a file that is named is always taken"


def _has_pictures(folder: Path) -> bool:
    """Whether there is a picture in the folder or beneath it, as far as that is quickly seen."""
    names = (name for _, _, files in os.walk(folder) for name in files)
    return any(Path(name).suffix.lower() in (*PICTURE_SUFFIXES, *HEIC_SUFFIXES) for name in islice(names, LOOKED_AT))


def _few(files: list[Path], root: Path) -> str:
    names = [f"{path.relative_to(root)}{os.sep if path.is_dir() else ''}" for path in files]
    return f"{len(files)} ({listed(names, NAMED)})"
