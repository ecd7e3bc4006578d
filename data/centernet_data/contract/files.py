"""Atomic writes: if writing a file or a folder fails, the previous version stays."""

import json
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = re.compile(r"\.centernet-[0-9a-f]{8}(\..*)?")  # what a killed process left half-written


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder, with the same suffix. It is short, because `path`'s own may be of the greatest
    length."""
    suffix = path.suffix if len(path.suffix) < 16 else ""
    return path.with_name(f".centernet-{secrets.token_hex(4)}{suffix}")


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix; renames it to `path` on success and removes it
    on failure."""
    beside = temporary_beside(path)
    try:
        with naming(path, beside):
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, beside: Path | None = None) -> Iterator[None]:
    """Puts `path` into an OSError that names no file, as that of a full disk, or one that names the temporary
    `beside`."""
    try:
        yield
    except OSError as error:
        named = error.filename
        if error.errno is None or not (named is None or (beside is not None and str(named).startswith(str(beside)))):
            raise
        name = str(path) if named is None else str(named).replace(str(beside), str(path), 1)
        raise OSError(error.errno, error.strerror, name) from error


def is_taken(path: Path) -> bool:
    """Whether there is anything, be it a link that leads nowhere. Raises OSError where nothing can be, such as for a
    name that is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextmanager
def folder_written_beside(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder next to `path`; renames it to `path` on success. On failure removes it, along with any parent
    folders created for it.

    Raises ValueError if `path` already exists, unless `overwrite` is set, be it that another process made it meanwhile.
    """
    beside, older = temporary_beside(path), temporary_beside(path)
    with _no_new_parents_left_empty(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_taken(path) and not overwrite:
            raise ValueError(f"{path}: already exists; choose another")
        beside.mkdir()
        try:
            with naming(path, beside):
                yield beside
                _put_in_place(beside, path, older, overwrite)
        finally:
            if older.exists() and not path.exists():
                older.rename(path)
            for left in (beside, older):
                shutil.rmtree(left, ignore_errors=True)


def _put_in_place(beside: Path, path: Path, older: Path, overwrite: bool) -> None:
    if is_taken(path):
        if not overwrite:
            raise ValueError(f"{path}: another process has made it meanwhile; choose another")
        path.rename(older)
    beside.rename(path)


@contextmanager
def folder_unless_empty(path: Path) -> Iterator[None]:
    """Makes a folder, with its parents, for the work within; at the end removes those that are new and still empty.

    Raises ValueError if `path` is a file.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path}: a file, not a folder")
    with _no_new_parents_left_empty(path / "content"):
        path.mkdir(parents=True, exist_ok=True)
        yield


@contextmanager
def _no_new_parents_left_empty(path: Path) -> Iterator[None]:
    absent = [folder for folder in path.parents if not folder.exists()]
    try:
        yield
    finally:
        for folder in absent:
            with suppress(OSError):  # not empty, or never created
                folder.rmdir()


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder. No other process may be writing there."""
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            remove(path)


def remove(path: Path) -> None:
    """Removes a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, object], author: str, indent: int = 2) -> None:
    """Writes a JSON object atomically. Its first member names the author, such as "centernet eval"."""
    write_text(path, json.dumps({"written_by": author} | dict(values), indent=indent) + "\n")
