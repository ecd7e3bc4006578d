"""Policies for a mistake in a single record: raise it, as training must, or collect it and continue reading."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, NamedTuple


class Remark(NamedTuple):
    """Something that is no mistake, but may be a surprise. A warning is probably unintended."""

    kind: str
    text: str
    severity: Literal["warning", "note"]


class ErrorPolicy:
    """A reader reads each record inside `with errors:`. This policy lets the first ValueError propagate."""

    raises = True

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        return False

    def remark(self, kind: str, text: str, severity: Literal["warning", "note"] = "warning") -> None:
        """Receives a remark. This policy drops it; the reader's notes count what matters to training."""


RAISE = ErrorPolicy()


class Collect(ErrorPolicy):
    """This policy skips a record with a mistake, and the reader continues with the next.

    `mistakes` are one line each. These and the `remarks` are in order of occurrence, without repetitions.
    """

    raises = False

    def __init__(self) -> None:
        self._mistakes: dict[str, None] = {}  # an ordered set, because some files are read more than once
        self._remarks: dict[Remark, None] = {}

    @property
    def mistakes(self) -> list[str]:
        """The mistakes met, one line each."""
        return list(self._mistakes)

    @property
    def remarks(self) -> list[Remark]:
        """The remarks received."""
        return list(self._remarks)

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, ValueError):
            return False
        self._mistakes[str(error)] = None
        return True

    def remark(self, kind: str, text: str, severity: Literal["warning", "note"] = "warning") -> None:
        self._remarks[Remark(kind, text, severity)] = None
