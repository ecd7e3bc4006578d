"""What a reader does about a mistake in one record: stop, as training must, or note it and read on."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # boxes.py imports this file
    from centernet_data.readers.annotations import Picture


class Reading:
    """A reader reads each record under `with reading:`. Of this kind, the first ValueError ends the reading."""

    stops = True

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        return False

    def remark(self, text: str) -> None:
        """Takes what is no mistake, but may surprise."""

    def saw(self, picture: Picture) -> None:
        """Takes each picture with its boxes as they were annotated, before they are clipped or left out."""


STRICT = Reading()


class Audit(Reading):
    """Of this kind, a record with a mistake is left out and the reader goes on with the next.

    `mistakes` and `remarks` are one line each, in the order met and each but once; `pictures` are those that were
    read, in the order of the data set's samples.
    """

    stops = False

    def __init__(self) -> None:
        self._mistakes: dict[str, None] = {}  # a set that keeps its order: some files are read more than once
        self._remarks: dict[str, None] = {}
        self.pictures: list[Picture] = []

    @property
    def mistakes(self) -> list[str]:
        return list(self._mistakes)

    @property
    def remarks(self) -> list[str]:
        return list(self._remarks)

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, ValueError):
            return False
        self._mistakes[str(error)] = None
        return True

    def remark(self, text: str) -> None:
        self._remarks[text] = None

    def saw(self, picture: Picture) -> None:
        self.pictures.append(picture)
