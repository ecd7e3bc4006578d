"""What a reader does about a mistake in one record: raise it, as training must, or collect it and read on."""

from __future__ import annotations

from types import TracebackType


class ErrorPolicy:
    """A reader reads each record under `with errors:`. This policy lets the first ValueError propagate."""

    raises = True

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        return False

    def remark(self, text: str) -> None:
        """Takes what is not a mistake, but may surprise."""


RAISE = ErrorPolicy()


class Collect(ErrorPolicy):
    """Under this policy a record with a mistake is left out, and the reader continues with the next.

    `mistakes` and `remarks` are one line each, in the order met, without repetitions.
    """

    raises = False

    def __init__(self) -> None:
        self._mistakes: dict[str, None] = {}  # a set that keeps its order: some files are read more than once
        self._remarks: dict[str, None] = {}

    @property
    def mistakes(self) -> list[str]:
        """What is wrong, one line each."""
        return list(self._mistakes)

    @property
    def remarks(self) -> list[str]:
        """What may surprise, one line each."""
        return list(self._remarks)

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, ValueError):
            return False
        self._mistakes[str(error)] = None
        return True

    def remark(self, text: str) -> None:
        self._remarks[text] = None
