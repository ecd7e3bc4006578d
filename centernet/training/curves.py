"""The curves of a training run, from the lines of its metrics.jsonl."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from centernet_data.contract.files import written_beside
from centernet_data.contract.recipe import LOSSES

SCORES = ("AP", "AP50", "AP75")
MEDIANS = 400  # points of a median line; more would not be seen
DPI = 110


def draw_curves(metrics: Sequence[dict]) -> Figure:
    """The losses (faint, with their running median), the learning rate, and AP where any was measured, by step.

    `metrics` are training lines ("step", "loss", "heatmap", "offset", "size", "learning_rate") and evaluation
    lines ("step", "AP", "AP50", "AP75"; "AP" tells them from the others). What a line lacks, and what is None, NaN or
    infinite, is not drawn. Of lines of the same kind and step the last counts: a resumed run writes some again.
    """
    training = [line for line in metrics if "AP" not in line]
    evaluations = [line for line in metrics if "AP" in line]
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(2, 3)
    for panel, name in zip(panels.flat, ("loss", *LOSSES), strict=False):
        _draw_loss(panel, training, name)
    _draw_learning_rate(panels[1, 1], training)
    if evaluations:
        _draw_scores(panels[1, 2], evaluations)
    else:
        panels[1, 2].set_axis_off()
    return figure


def save_curves(metrics: Sequence[dict], path: Path | str) -> None:
    """Writes `draw_curves(metrics)` to `path` as a PNG, replacing an older one in one go."""
    with written_beside(Path(path)) as beside:
        draw_curves(metrics).savefig(beside, format="png", dpi=DPI)


def _draw_loss(panel: Axes, lines: Sequence[dict], name: str) -> None:
    _prepare(panel, "total loss" if name == "loss" else f"{name} loss")
    steps, values = _series(lines, name)
    seen = values > 0  # a logarithmic axis has no 0, which is the loss of a batch without objects
    steps, values = steps[seen], values[seen]
    if len(values) == 0:
        return
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")  # 0.2 is easier to read than 2 x 10^-1
    panel.yaxis.set_minor_locator(NullLocator())
    marker = "." if len(values) == 1 else None
    panel.plot(steps, values, color="tab:blue", alpha=0.3, linewidth=0.8, marker=marker)
    panel.plot(*_running_median(steps, values), color="tab:blue", linewidth=2, marker=marker)


def _draw_learning_rate(panel: Axes, lines: Sequence[dict]) -> None:
    _prepare(panel, "learning rate")
    steps, values = _series(lines, "learning_rate")
    panel.plot(steps, values, color="tab:gray", linewidth=2, marker="." if len(values) == 1 else None)
    panel.set_ylim(bottom=0)
    panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))


def _draw_scores(panel: Axes, lines: Sequence[dict]) -> None:
    _prepare(panel, "average precision (validation)")
    for name, colour in zip(SCORES, ("tab:blue", "tab:orange", "tab:green"), strict=True):
        steps, values = _series(lines, name)
        last = f"{name} {values[-1]:.3f}" if len(values) else f"{name} not measurable"
        panel.plot(steps, values, color=colour, marker="o", markersize=4, label=last)
    panel.set_ylim(0, 1.03)  # a point at 1 is seen whole
    panel.legend(loc="best", fontsize=9)


def _prepare(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=11)
    panel.set_xlabel("step", fontsize=9)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    panel.grid(alpha=0.3)


def _series(lines: Sequence[dict], name: str) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """The steps, rising, and the finite values of `name` there."""
    by_step = {line["step"]: line[name] for line in lines if line.get(name) is not None}
    steps = np.array(sorted(by_step), float)
    values = np.array([by_step[step] for step in sorted(by_step)], float)
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _running_median(
    steps: Float[np.ndarray, "n"], values: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    half = len(values) // 50
    places = np.unique(np.linspace(0, len(values) - 1, MEDIANS).astype(int))
    medians = [np.median(values[max(0, place - half) : place + half + 1]) for place in places]
    return steps[places], np.array(medians)
