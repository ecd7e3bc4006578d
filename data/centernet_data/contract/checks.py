"""Checks of option values, in the words of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def refuse(message: str) -> None:
    """Raises ValueError with the message; within `collected` only records it."""
    if (messages := _collected.get()) is None:
        raise ValueError(message)
    messages.append(message)


def require(name: str, value: object, valid: bool, what: str) -> None:
    """Refuses an option, naming it, unless its value is `valid`."""
    if not valid:
        refuse(f"--{name.replace('_', '-')} must be {what}, not {value}")


@contextmanager
def collected() -> Iterator[list[str]]:
    """The messages of all options refused within it.

    For the command line: tyro would catch a dataclass's ValueError and print it in a frame, with names of its own.
    """
    messages: list[str] = []
    token = _collected.set(messages)
    try:
        yield messages
    finally:
        _collected.reset(token)
