"""The bar that `centernet data convert` shows while it writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from centernet.terminal import PlainConsole


@contextmanager
def counted(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves a bar, from its first call on, if the output is a terminal."""
    console = PlainConsole()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
