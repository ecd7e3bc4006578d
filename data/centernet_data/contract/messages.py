"""Formatting of values in messages to users."""

from collections import Counter
from collections.abc import Iterable, Sequence


def listed(values: Sequence[object], limit: int = 10) -> str:
    """The values separated by commas; beyond `limit` of them, only how many more there are."""
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"


def shown(value: object) -> str:
    """The value on one line, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def one_line(error: BaseException) -> str:
    """An error's message on one line, or the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def duplicates(values: Iterable[object]) -> list[object]:
    """The values that occur more than once, each once."""
    return [value for value, count in Counter(values).items() if count > 1]


def in_utf8(text: str) -> str:
    """The text with escapes, such as \\udcdf, for what UTF-8 cannot hold: a file name's bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
