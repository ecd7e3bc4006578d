"""Writing a file or a folder so that a failure leaves what was there before."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A new path in the same folder, with the same suffix, to be written to; renamed to `path` if all goes well, and
    removed if not."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with naming(path):
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the name of a file into an error of its writing, which has none where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def folder_written_beside(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A new folder beside `path`, to be filled; renamed to `path` if all goes well, and removed if not, with those
    above it that were made for it.

    ValueError if there is something at `path` already, unless it may be overwritten.
    """
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: there already; choose another")
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    older = beside.with_name(f"{beside.name}-older")
    with _no_new_parents_left_empty(path):
        beside.mkdir(parents=True)
        try:
            yield beside
            if path.exists():
                path.rename(older)
            beside.rename(path)
        finally:
            if older.exists() and not path.exists():
                older.rename(path)
            for left in (beside, older):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _no_new_parents_left_empty(path: Path) -> Iterator[None]:
    absent = [folder for folder in path.parents if not folder.exists()]
    try:
        yield
    finally:
        for folder in absent:
            with suppress(OSError):  # it holds something, or was not made
                folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Writes a text file beside `path` and renames it."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
