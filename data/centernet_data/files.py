"""Writing a file so that a failure leaves what was there before."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A new path in the same folder, with the same suffix, to be written to; renamed to `path` if all goes well, and
    removed if not."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def folder_written_beside(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, to be filled; renamed to `path` if all goes well, and removed if not.

    ValueError if there is something at `path` already.
    """
    if path.exists():
        raise ValueError(f"{path}: there already; choose another")
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
