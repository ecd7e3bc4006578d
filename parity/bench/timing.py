"""Times several pieces of work in turn, and compares their times."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

LEAST_SECONDS = 0.05  # duration of one timing: quick work is called several times
WARM_UP = 3  # calls; torch.compile may compile again at the second


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds per call of each piece of work, measured in the order A, B, A, B, ... after warming up."""
    calls = {name: _calls(work) for name, work in works.items()}
    seconds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(_seconds(work, calls[name]))
    return seconds


def warm(work: Callable[[], object]) -> float:
    """Calls `work` a few times. Returns the seconds of the last call."""
    return [_seconds(work, 1) for _ in range(WARM_UP)][-1]


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of each round; whatever slows a whole round down does not change it."""
    return median(a / b for a, b in zip(above, below, strict=True))


def _calls(work: Callable[[], object]) -> int:
    return max(1, math.ceil(LEAST_SECONDS / warm(work)))


def _seconds(work: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls
