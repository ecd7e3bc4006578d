"""What was measured, and what is computed from it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import NamedTuple

from parity.bench.task import Task
from parity.bench.timing import median_ratio

JAX, EAGER, COMPILED = "JAX", "torch", "torch.compile"
NAMES = {
    "forward": "network forward",
    "detection": "detection",
    "training": "training step",
    "loss": "targets and losses",
    "decoding": "decoding",
}
WHOLE_OF = {"loss": "training", "decoding": "detection"}  # which part contains which


def sizes(task: Task) -> str:
    """A task's batch and image size in words."""
    return f"{task.batch_size} of {task.image_size[0]} x {task.image_size[1]}"


class Timing(NamedTuple):
    """Seconds per call in each round, for JAX, torch and, if it works, torch.compile."""

    part: str
    task: Task
    seconds: Mapping[str, Sequence[float]]

    @property
    def best_torch(self) -> str:
        """The faster form of torch."""
        return min(self.seconds.keys() - {JAX}, key=lambda name: median(self.seconds[name]))

    @property
    def ratio(self) -> float:
        """JAX / torch in images per second: above 1, JAX is faster than torch's faster form."""
        return median_ratio(self.seconds[self.best_torch], self.seconds[JAX])

    def images_per_second(self, name: str) -> float:
        return self.task.batch_size / median(self.seconds[name])

    def seconds_of(self, side: str) -> float:
        """The median of JAX, or of torch's faster form."""
        return median(self.seconds[JAX if side == JAX else self.best_torch])

    def as_json(self) -> dict:
        rates = {name: self.images_per_second(name) for name in self.seconds}
        found = {"part": self.part, "batch_size": self.task.batch_size, "image_size": list(self.task.image_size)}
        found |= {"ratio": self.ratio, "torch": self.best_torch, "images_per_second": rates}
        return found | {"seconds": {name: list(values) for name, values in self.seconds.items()}}


@dataclass(frozen=True)
class Share:
    """The time of `part`, measured alone, as a share of the time of `whole`, by side."""

    part: str
    whole: str
    task: Task
    of: Mapping[str, float]


def shares(timings: Sequence[Timing]) -> list[Share]:
    """Targets and losses in a training step, and decoding in a detection, if both were measured."""
    known = {(one.task, one.part): one for one in timings}
    found = []
    for one in timings:
        whole = WHOLE_OF.get(one.part, "")
        if other := known.get((one.task, whole)):
            of = {side: one.seconds_of(side) / other.seconds_of(side) for side in (JAX, EAGER)}
            found.append(Share(one.part, whole, one.task, of))
    return found


@dataclass(frozen=True)
class Speed:
    """How much arithmetic a picture takes, how fast each side does it, and the limit in operations per second."""

    part: str
    task: Task
    flop_per_image: float
    limit: float
    flop_per_second: Mapping[str, float]


def speeds(timings: Sequence[Timing], work: Mapping[tuple[Task, str], float], limit: float) -> list[Speed]:
    """The speeds of those timings whose `work`, in operations per picture, is known.

    `limit` is the speed of a matrix product, in operations per second.
    """
    found = []
    for one in timings:
        if flop := work.get((one.task, one.part)):
            rate = {side: flop * one.task.batch_size / one.seconds_of(side) for side in (JAX, EAGER)}
            found.append(Speed(one.part, one.task, flop, limit, rate))
    return found


@dataclass(frozen=True)
class Process:
    """Separate processes that did one piece of work: seconds from start until it was first done, with nothing compiled
    before (cold) and with everything compiled (warm), and the peak memory of the warm one. `failed` says why there are
    no figures."""

    side: str
    part: str
    task: Task
    cold_seconds: float | None = None
    warm_seconds: float | None = None
    peak_bytes: int | None = None
    failed: str | None = None


@dataclass
class Results:
    """Everything that one call of the command measured. A list is empty if its part was not asked for."""

    timings: list[Timing] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict:
        """All that is printed, and the seconds of each round."""
        return {
            "timings": [one.as_json() for one in self.timings],
            "speeds": [asdict(one) for one in self.speeds],
            "shares": [asdict(one) for one in self.shares],
            "processes": [asdict(one) for one in self.processes],
            "notes": self.notes,
        }
