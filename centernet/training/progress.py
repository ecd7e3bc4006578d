"""The progress of a training run, and of other long work, on one line of the terminal."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn


def picture_progress(console: Console) -> Progress:
    """A bar for going through the pictures of a data set. It vanishes at the end, and is only shown on a terminal."""
    title = TextColumn("{task.description}", markup=False)
    columns = (title, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def step_progress(console: Console) -> Progress:
    """A bar whose one task `show_step` advances. The task's fields are `losses` and `speed`, both strings."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[losses]}", markup=False),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
    )


def show_step(progress: Progress, task: TaskID, line: dict) -> None:
    """Shows one more step, from its line for metrics.jsonl."""
    losses = f"heat {line['heatmap']:.2f} off {line['offset']:.2f} size {line['size']:.2f}"
    speed = "" if line["images_per_second"] is None else f"{line['images_per_second']:.0f} images/s"
    progress.update(task, advance=1, description=f"epoch {line['epoch']:.1f}", losses=losses, speed=speed)
