"""`centernet runs`: compares the settings and the results of training runs."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import tyro
from rich.table import Table

from centernet.terminal import PlainConsole, number_table
from centernet.training.resume import FREE, flattened
from centernet.training.run_folder import RunFolder

LAST = 50  # steps whose median is reported as a run's loss and speed


@dataclass(frozen=True)
class FinishedRun:
    """What a run's folder holds: its settings by dotted name, and the lines of its metrics.jsonl."""

    path: Path
    settings: dict[str, object]
    lines: list[dict]

    def last(self, name: str) -> float | None:
        """The median of this metric over the last steps; None if there is none."""
        values = [line[name] for line in self.lines if line.get(name) is not None]
        return median(values[-LAST:]) if values else None

    @property
    def waiting(self) -> float | None:
        """The share of the last steps' time that was spent waiting for batches; None if it was not measured."""
        timed = [line for line in self.lines if "seconds_waiting" in line and line["images_per_second"] is not None]
        waiting = sum(line["seconds_waiting"] for line in timed[-LAST:])
        computing = sum(line["seconds_computing"] for line in timed[-LAST:])
        return waiting / (waiting + computing) if timed else None

    def evaluated(self, name: str) -> float | None:
        """The last value of an average precision, such as AP50; None if there is none."""
        return next((line[name] for line in reversed(self.lines) if line.get(name) is not None), None)


@dataclass(frozen=True)
class Runs:
    """Compare training runs: the settings in which they differ, their progress, losses and AP."""

    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")]] = (Path("runs"),)
    """Folders of runs, or folders that contain them."""

    def run(self) -> int:
        """Prints the table. Raises ValueError for a folder without a run, or a damaged file in one."""
        runs = [read_run(path) for folder in self.folders for path in find_runs(folder)]
        console = PlainConsole()
        table = table_of(runs)
        # Not squeezed into a narrower terminal: a file or a pager can show the whole table.
        console.width = max(console.width, PlainConsole(width=10_000).measure(table).maximum)
        console.print(table, soft_wrap=True)
        return 0


def find_runs(folder: Path) -> list[Path]:
    """The folder itself if it holds a run (a config.toml), else its subfolders that do, sorted by name.

    Raises ValueError if there is no run.
    """
    if (folder / "config.toml").is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/config.toml"))
    if not found:
        raise ValueError(f"{folder}: neither a run's folder (with a config.toml) nor a folder of runs")
    return found


def read_run(path: Path) -> FinishedRun:
    """Settings and metrics of a run. Raises ValueError, naming the file, if one of them is damaged."""
    folder = RunFolder(path)
    return FinishedRun(path, flattened(folder.read_config()), _read_metrics(folder.metrics))


def table_of(runs: Sequence[FinishedRun]) -> Table:
    """One row per run: the settings in which the runs differ, its progress and its results."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings if name not in FREE))
    differing = [name for name in names if len({json.dumps(run.settings.get(name), default=str) for run in runs}) > 1]
    results = ("steps", "epoch", "loss", "AP", "AP50", "AP75", "images/s", "waiting")
    table = number_table("run", *differing, *results, no_wrap=True)
    for run in runs:
        steps = max((line["step"] + 1 for line in run.lines if "loss" in line), default=0)
        values = (run.last("loss"), *map(run.evaluated, ("AP", "AP50", "AP75")))
        table.add_row(
            str(run.path),
            *(_setting(run.settings.get(name, "-")) for name in differing),
            str(steps),
            _number(run.lines[-1]["epoch"] if run.lines else None, 1),
            *(_number(value, 3) for value in values),
            _number(run.last("images_per_second"), 0),
            "-" if run.waiting is None else f"{run.waiting:.0%}",
        )
    return table


def _setting(value: object) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_metrics(path: Path) -> list[dict]:
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True) if path.is_file() else []
    if lines and not lines[-1].endswith("\n"):  # half-written by a run in progress
        lines.pop()
    metrics = []
    for number, line in enumerate(lines, start=1):
        try:
            metrics.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON: {error}") from error
        if not isinstance(metrics[-1], dict) or not {"step", "epoch"} <= metrics[-1].keys():
            raise ValueError(f"{path}: line {number} is not a run's metrics: it has no step and epoch")
    return metrics


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
