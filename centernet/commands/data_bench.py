"""`centernet data bench`: how fast batches are made, and what takes the time."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from centernet.backends import open_data_loader
from centernet.options import ImageSize, height_and_width, require_image_size, require_parent_folder
from centernet.tables import number_table

if TYPE_CHECKING:  # importing this would import numpy and OpenCV
    from centernet_data.batches import Batches

ROUNDS = 3  # in which all ways of making batches take turns


@dataclass(frozen=True)
class DataBench:
    """Measure how fast a data set's batches are made: by stage on one thread, and as a whole by worker processes.

    Where torch is installed, its DataLoader takes turns making the same batches.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    split: str = "train"
    """Which section of the data set."""
    image_size: ImageSize = (512,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    batch_size: int = 16
    """Pictures per batch."""
    workers: tuple[int, ...] = (0, 1, 2)
    """Numbers of worker processes to try; 0: threads of this process, as many as there are CPU cores."""
    batches: int = 20
    """Batches per measurement, of which there are three."""
    json: Path | None = None
    """Also write the numbers to this file."""

    def __post_init__(self):
        require_image_size(self.image_size)
        if self.batch_size < 1 or self.batches < 1 or min(self.workers, default=-1) < 0:
            raise ValueError("--batch-size and --batches must be at least 1, --workers at least 0")

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return height_and_width(self.image_size)

    def run(self) -> int:
        """Measures, prints two tables and writes. Raises ValueError for bad input."""
        from centernet_data.batches import Batches
        from centernet_data.contract.augmentation import Augmentation
        from centernet_data.contract.files import write_text
        from centernet_data.source import open_dataset, require_pictures

        require_parent_folder(self.json)
        dataset = open_dataset(self.data, self.split)
        require_pictures(self.data, self.split, dataset)
        batches = Batches(dataset, self.batch_size, self.hw, "letterbox", Augmentation(), seed=0)
        numbers = {
            "stages": milliseconds_by_stage(batches, self.batches),
            "workers": pictures_per_second(batches, self.workers, self.batches),
        }
        _print(self, len(dataset), numbers)
        if self.json:
            write_text(self.json, json.dumps(numbers, indent=2) + "\n")
        return 0


def milliseconds_by_stage(batches: "Batches", steps: int) -> dict[str, float]:
    """The median time that each stage of making a view takes on one thread, and the mean that a picture of a whole
    batch takes."""
    import cv2
    import numpy as np

    from centernet_data.imaging.geometry import warp

    times: dict[str, list[float]] = {}

    def timed(stage: str, make: Callable, *arguments):
        start = time.perf_counter()
        made = make(*arguments)
        times.setdefault(stage, []).append(1e3 * (time.perf_counter() - start))
        return made

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for step in range(steps):
        for slot in range(batches.batch_size):
            rng = np.random.default_rng([step, slot])
            index = timed("order", batches.index, step, slot)
            matrix = timed("window", batches.window, index, rng)
            timed("objects", batches.objects, index, matrix)
            read, rest = timed("reading and decoding", batches.read, index, matrix)
            image = timed("warping", warp, read, rest, batches.image_size)
            timed("colour", batches.colour, image, rng)
        timed("all, with stacking", batches.__getitem__, step)
    cv2.setNumThreads(threads)
    times["all, with stacking"] = [value / batches.batch_size for value in times["all, with stacking"]]
    return {stage: median(values) for stage, values in times.items()}


def pictures_per_second(batches: "Batches", workers: tuple[int, ...], steps: int) -> dict[int, dict[str, float]]:
    """By number of workers: the median rate of `Batches.prefetched`, and where torch is installed that of its
    DataLoader and the median ratio of the two, measured in turn."""
    loader = open_data_loader()
    ours, theirs = {count: [] for count in workers}, {count: [] for count in workers}
    for _ in range(ROUNDS):
        for count in workers:
            first, last = 0, _waiting(count) + steps
            ours[count].append(_rate(batches.prefetched(first, last, count), batches.batch_size, count, steps))
            if loader is not None:
                others = loader(batches, first, last, count)
                theirs[count].append(_rate(others, batches.batch_size, count, steps))
    numbers = {count: {"pictures_per_second": median(ours[count])} for count in workers}
    for count in workers if loader is not None else ():
        ratios = [a / b for a, b in zip(ours[count], theirs[count], strict=True)]
        numbers[count] |= {"data_loader": median(theirs[count]), "ratio": median(ratios)}
    return numbers


def _waiting(workers: int) -> int:
    """How many batches are made ahead, which say nothing of how fast they are made."""
    from centernet_data.batches import AHEAD

    return (AHEAD + 1) * max(workers, 1)


def _rate(made: Iterator, batch_size: int, workers: int, steps: int) -> float:
    for _ in range(_waiting(workers)):
        next(made)
    start = time.perf_counter()
    for _ in range(steps):
        next(made)
    rate = steps * batch_size / (time.perf_counter() - start)
    del made  # ends the workers
    return rate


def _print(options: DataBench, pictures: int, numbers: dict) -> None:
    console = Console()
    height, width = options.hw
    console.print(
        f"{options.data}: {pictures} pictures; {height} x {width}, batches of {options.batch_size}, full augmentation; "
        f"{os.cpu_count()} CPU cores",
        highlight=False,
        soft_wrap=True,
    )
    stages = number_table("on one thread", "ms/picture", "pictures/s")
    for stage, value in numbers["stages"].items():
        stages.add_row(stage, f"{value:.2f}", f"{1e3 / value:,.0f}")
    workers = number_table("workers", "pictures/s", "torch's DataLoader", "ratio")
    for count, values in numbers["workers"].items():
        name = f"{count} process{'es' if count > 1 else ''}" if count else f"{os.cpu_count()} threads"
        theirs = (f"{values['data_loader']:,.0f}", f"{values['ratio']:.2f}") if "ratio" in values else ("-", "-")
        workers.add_row(name, f"{values['pictures_per_second']:,.0f}", *theirs)
    console.print(stages, "", workers, sep="\n", highlight=False)
