"""Text files that people write, and atomic writes: if writing a file or a folder fails, the previous version stays."""

import codecs
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix; renames it to `path` on success and removes it
    on failure."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with naming(path):
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file's name to an OSError from writing it; errors such as a full disk do not carry one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def folder_written_beside(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder next to `path`; renames it to `path` on success. On failure removes it, along with any parent
    folders created for it.

    Raises ValueError if `path` already exists, unless `overwrite` is set.
    """
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: already exists; choose another")
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
            with suppress(OSError):  # not empty, or never created
                folder.rmdir()


def read_text(path: Path, kind: str = "a text file") -> str:
    """Reads a text file in UTF-8, or in UTF-16 if it begins with that byte order mark; a mark and the kind of line ends
    are no part of the text. Raises ValueError, naming the file, for anything else: it is not `kind`."""
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not {kind}: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file as `read_text` reads it, without blanks around them; empty ones too, so that a line's
    place in the list tells its number. Raises ValueError as `read_text` does."""
    return [line.strip() for line in read_text(path).split("\n")]


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
