"""Remembers which picture files were verified, so that those that have not changed are not read again."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from centernet_data.contract.messages import one_line

MEANING = 1  # Raise it when a verified picture comes to mean something else: what is remembered then no longer counts.
SECONDS_TO_WAIT = 10.0  # for another process that is writing; it takes milliseconds

_TABLE = """CREATE TABLE verified (
    folder BLOB, name BLOB, record INTEGER, state TEXT, note TEXT, PRIMARY KEY (folder, name, record)
) WITHOUT ROWID"""
_FAILURES = (sqlite3.Error, OSError, ValueError)  # ValueError: a path with a zero byte


class Place(NamedTuple):
    """A picture's place: its file, or a record of a file of many. Names are bytes, because some are not Unicode."""

    folder: bytes
    name: bytes
    record: int


class KnownPictures:
    """The pictures that were verified earlier, in an SQLite file that several processes may use at once.

    A picture's state is a text that changes when its file does. Nothing is raised if the file cannot be used, for
    whatever reason: nothing is known then, and `trouble` says why, in one line.
    """

    def __init__(self, file: Path):
        self._file = file
        self.trouble = ""

    def notes(self, states: Mapping[Place, str]) -> dict[Place, str]:
        """What was noted of those pictures that were verified in the given state."""
        found: dict[Place, str] = {}
        with self._tolerant():
            if self._file.exists():
                for place, state, note in self._rows({place.folder for place in states}):
                    if states.get(place) == state:
                        found[place] = note
        return found

    def _rows(self, folders: Iterable[bytes]) -> Iterator[tuple[Place, str, str]]:
        with self._opened() as database:
            if _meaning(database) != MEANING:
                return
            for folder in folders:  # one query each: 0.3 s for COCO's 118,287 pictures
                query = "SELECT name, record, state, note FROM verified WHERE folder = ?"
                for name, record, state, note in database.execute(query, (folder,)):
                    yield Place(folder, name, record), state, note

    def remember(self, rows: Iterable[tuple[Place, str, str]]) -> None:
        """Adds (place, state, note) of verified pictures, all or none."""
        if self.trouble:
            return
        with self._tolerant():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as database:
                database.execute("BEGIN IMMEDIATE")
                if _meaning(database) != MEANING:
                    database.execute("DROP TABLE IF EXISTS verified")
                    database.execute(_TABLE)
                    database.execute(f"PRAGMA user_version = {MEANING}")
                values = [(*place, state, note) for place, state, note in rows]
                database.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?)", values)
                database.execute("COMMIT")

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            self.trouble = f"{self._file}: cannot be used to remember verified pictures ({_reason(error)})"

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=SECONDS_TO_WAIT, isolation_level=None)
        with closing(connection) as database:
            yield database


def _meaning(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or one_line(error)


def file_states(pictures: Iterable[tuple[Path, int, str]]) -> list[tuple[Place, str] | None]:
    """Each picture's place and state, from (file, record, what else the state depends on); None if the file is not
    there. The state has the file's size in bytes and its time of change in nanoseconds."""
    real_folder, size_and_time = cache(_real_folder), cache(_size_and_time)  # asked once for each folder and file
    found: list[tuple[Place, str] | None] = []
    for path, record, rest in pictures:
        folder, name = os.path.split(path)
        state = size_and_time(path)
        place = Place(real_folder(folder), os.fsencode(name), record) if state else None
        found.append((place, f"{state} {rest}") if place else None)
    return found


def _real_folder(folder: str) -> bytes:
    return os.fsencode(os.path.realpath(folder))


def _size_and_time(path: Path) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 (Path.stat takes longer)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
