"""How fast batches are made, and which stage takes the time."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from centernet.backends import open_data_loader
from centernet.commands.data_bench_authors import authors_batch
from centernet_data.batches import AHEAD, Batches
from centernet_data.dataset import Dataset, Sample, is_stored
from centernet_data.imaging.geometry import Matrix, warp

ROUNDS = 3  # in which all ways of making batches take turns


def seconds_of_reading(open_split: Callable[[], Dataset]) -> tuple[Dataset, dict[str, float]]:
    """The data set, the seconds that reading its annotations took, and on Linux by how many MiB that raised the most
    memory that this process had at any time."""
    memory, start = _peak_memory(), time.perf_counter()
    dataset = open_split()
    numbers = {"reading the annotations": time.perf_counter() - start}
    return dataset, numbers if memory is None else numbers | {"memory for that": (_peak_memory() or 0) - memory}


def _peak_memory() -> float | None:
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None


def seconds_to_first_batch(batches: Batches, workers: int) -> float:
    """The seconds until `Batches.prefetched` gives its first batch; starting processes is most of it."""
    start = time.perf_counter()
    made = batches.prefetched(0, 1, workers)
    next(made)
    seconds = time.perf_counter() - start
    del made
    return seconds


def milliseconds_by_stage(batches: Batches, steps: int) -> dict[str, float]:
    """The median time of each stage of making a view, on one thread; last, a whole batch's time per picture."""
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
            sample, matrix = timed("window", _sample_and_window, batches, index, rng)
            timed("objects", batches.objects, sample, matrix)
            read, rest = timed("reading and decoding", batches.read, index, sample, matrix)
            image = timed("warping", warp, read, rest, batches.image_size)
            timed("colour", batches.colour, image, rng)
        timed("all, with stacking", batches.__getitem__, step)
    cv2.setNumThreads(threads)
    times["all, with stacking"] = [value / batches.batch_size for value in times["all, with stacking"]]
    return {stage: median(values) for stage, values in times.items()}


def compared_with_authors(batches: Batches, steps: int) -> dict[str, float] | None:
    """Median rates of batches on one thread: these, and the authors' sampler in turn, and the median ratio of the two.
    None for rendered pictures, which their sampler cannot read."""
    if not is_stored(batches.dataset):
        return None
    threads, seconds = cv2.getNumThreads(), {"pictures_per_second": [], "authors": []}
    cv2.setNumThreads(1)
    for step in range(ROUNDS * steps):
        for name, make in (("pictures_per_second", batches.__getitem__), ("authors", partial(authors_batch, batches))):
            start = time.perf_counter()
            make(step)
            seconds[name].append(time.perf_counter() - start)
    cv2.setNumThreads(threads)
    ours, theirs = seconds.values()
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    return {name: batches.batch_size / median(values) for name, values in seconds.items()} | {"ratio": ratio}


def _sample_and_window(batches: Batches, index: int, rng: np.random.Generator) -> tuple[Sample, Matrix]:
    sample = batches.dataset.sample(index)
    return sample, batches.window(sample, rng)


def pictures_per_second(batches: Batches, workers: Sequence[int], steps: int) -> dict[int, dict[str, float]]:
    """By number of workers: the median rate of `Batches.prefetched`; if torch is installed also that of its DataLoader,
    measured in turn, and the median ratio of the two."""
    data_loader = open_data_loader()
    ours, theirs = {count: [] for count in workers}, {count: [] for count in workers}
    for _ in range(ROUNDS):
        for count in workers:
            last = _waiting(count) + steps
            ours[count].append(_rate(batches.prefetched(0, last, count), batches.batch_size, count, steps))
            if data_loader is not None:
                others = data_loader(batches, 0, last, count)
                theirs[count].append(_rate(others, batches.batch_size, count, steps))
    numbers = {count: {"pictures_per_second": median(ours[count])} for count in workers}
    for count in workers if data_loader is not None else ():
        ratios = [a / b for a, b in zip(ours[count], theirs[count], strict=True)]
        numbers[count] |= {"data_loader": median(theirs[count]), "ratio": median(ratios)}
    return numbers


def _waiting(workers: int) -> int:
    """How many batches are made ahead, and so say nothing about the speed."""
    return (AHEAD + 1) * max(workers, 1) + 1


def _rate(made: Iterator, batch_size: int, workers: int, steps: int) -> float:
    for _ in range(_waiting(workers)):
        next(made)
    start = time.perf_counter()
    for _ in range(steps):
        next(made)
    rate = steps * batch_size / (time.perf_counter() - start)
    del made  # ends the workers
    return rate
