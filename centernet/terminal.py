"""What is shown in the terminal: text of users as it is, whatever characters the terminal has, and never as markup."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from centernet_data.contract.messages import one_line


def never_fail_for_a_character() -> None:
    """Makes stdout and stderr write an escape, such as \\u8eca, for a character that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def warn_in_one_line() -> None:
    """Makes warnings about the user's files one line on stderr, without the place in the code; those of other kinds,
    which are about code, stay as Python shows them."""
    warnings.formatwarning = _one_line_warning


_python_warning = warnings.formatwarning


def _one_line_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if issubclass(category, UserWarning) or category.__name__ == "DecompressionBombWarning":  # Pillow's
        return f"centernet: {' '.join(str(message).splitlines())}\n"
    return _python_warning(message, category, filename, lineno, line)


class PlainConsole(Console):
    """A console that prints every string as it is; what shall have a style is given as rich's `Text`."""

    def __init__(self, quiet: bool = False, width: int | None = None):
        super().__init__(quiet=quiet, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Goes on in silence where rich would end the program."""
        self.quiet = True
        _drop_stdout()


def number_table(first: str, *others: str, no_wrap: bool = False) -> Table:
    """An empty table without rules: a column of names, then right-aligned columns of numbers.

    With `no_wrap`, text that is too long is cut off instead of wrapped.
    """
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(first, no_wrap=no_wrap)
    for name in others:
        table.add_column(name, justify="right", no_wrap=no_wrap)
    return table


def say(text: str) -> None:
    """Prints a line on stdout; what cannot be printed there, because its reader has left or its disk is full, is not
    worth the work that it tells of."""
    try:
        print(text, flush=True)
    except OSError:
        _drop_stdout()


def _drop_stdout() -> None:
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def complain(text: str) -> None:
    """Prints a line about something wrong on stderr."""
    print("centernet:", " ".join(text.splitlines()), file=sys.stderr)


class Failures:
    """The failures of single results, which must not cost the others."""

    def __init__(self):
        self.count = 0

    @contextmanager
    def said(self) -> Iterator[None]:
        """Prints the error that is raised within, if one is, and counts it instead of raising it."""
        try:
            yield
        except Exception as error:  # what encoders, plotters and backends raise for a bad item is nearly anything
            self.count += 1
            expected = isinstance(error, ValueError | OSError)
            complain(one_line(error) if expected else f"{type(error).__name__}: {one_line(error)}")
