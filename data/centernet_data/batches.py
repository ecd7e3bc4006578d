"""Batches as a pure function of (seed, step): there is no state to save, and any worker can make any batch."""

import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.inputs import check_picture, check_sample
from centernet_data.contract.model_config import Resize
from centernet_data.dataset import Dataset, Sample
from centernet_data.imaging.colour import augment_colour
from centernet_data.imaging.geometry import (
    LEAST_VISIBLE,
    Matrix,
    augment_geometry,
    compose,
    fit,
    move_objects,
    reduction_before,
    visible_share,
    warp,
)

Batch = dict[str, UInt8[np.ndarray, "b h w 3"] | Float[np.ndarray, "b n 6"]]

AHEAD = 2  # prefetched batches per worker process, or in this process
SHUFFLE, VIEW = 0, 1  # random streams: the order of an epoch; one view of a picture


@dataclass(frozen=True)
class Batches:
    """The infinite sequence of a training run's batches; `batches[step]` is the batch of one step.

    Each epoch has its own order, drawn from (seed, epoch). Batches run across epochs, so that every batch is full.
    "image": uint8 RGB [B, H, W, 3]; "objects": float32 [B, N, 6] in pixels of the input, padded with zeros to the data
    set's `most_objects`. With a `shard` (index, count), each batch has only the rows of that shard, the index-th (from
    0) of `count` equal parts. Raises ValueError if `batch_size` is not a multiple of `count`, if there are no pictures,
    and for a picture or objects that are not as `Dataset` says, naming the sample.
    """

    dataset: Dataset
    batch_size: int
    image_size: tuple[int, int]
    resize: Resize
    augmentation: Augmentation
    seed: int
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self):
        if self.batch_size % self.shard[1]:
            raise ValueError(f"a batch of {self.batch_size} pictures cannot be split into {self.shard[1]} equal parts")
        if not len(self.dataset):
            raise ValueError("there are no pictures in the data set: batches need at least one")

    def __getitem__(self, step: int) -> Batch:
        index, count = self.shard
        part = self.batch_size // count
        return self._stack([self.view(step, slot) for slot in range(index * part, (index + 1) * part)])

    def epoch_of(self, step: int) -> float:
        """The number of epochs, with fraction, completed before this step."""
        return step * self.batch_size / len(self.dataset)

    def index(self, step: int, slot: int) -> int:
        """The index of the picture in this slot of this step's batch."""
        epoch, place = divmod(step * self.batch_size + slot, len(self.dataset))
        return int(_order(self.seed, epoch, len(self.dataset))[place])

    def view(self, step: int, slot: int) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "n 6"]]:
        """One augmented view, at the input's size, and the objects in it."""
        index = self.index(step, slot)
        rng = np.random.default_rng([self.seed, VIEW, step, slot])
        sample = self.dataset.sample(index)  # once: rendered scenes are laid out each time
        matrix = self.window(sample, rng)
        image = warp(*self.read(index, sample, matrix), self.image_size)
        return self.colour(image, rng), self.objects(sample, matrix)

    def window(self, sample: Sample, rng: np.random.Generator) -> Matrix:
        """The random matrix from the picture to the view."""
        if sample.height < 1 or sample.width < 1:
            raise ValueError(f"{sample.name}: a sample of {sample.width} x {sample.height} pixels (width x height)")
        whole = fit((sample.height, sample.width), self.image_size, self.resize)
        return compose(augment_geometry(self.image_size, self.augmentation, rng), whole)

    def read(self, index: int, sample: Sample, matrix: Matrix) -> tuple[UInt8[np.ndarray, "h w 3"], Matrix]:
        """Reads the picture, reduced as far as `matrix` allows; returns it and the rest of the matrix."""
        reduction = reduction_before(matrix)
        picture = self.dataset.picture(index, reduction)
        check_picture(sample.name, picture, (sample.height, sample.width), reduction)
        return picture, matrix * [reduction, reduction, 1]

    def colour(self, image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
        """Changes the view's colours at random."""
        return augment_colour(image, self.augmentation.colour, self.augmentation.lighting, rng)

    def objects(self, sample: Sample, matrix: Matrix) -> Float[np.ndarray, "n 6"]:
        """The picture's objects, mapped to the view, without those mostly outside it."""
        check_sample(sample.name, sample.objects, self.dataset.most_objects, len(self.dataset.classes))
        objects = move_objects(sample.objects, matrix)
        return objects[visible_share(objects, self.image_size) >= LEAST_VISIBLE]

    def prefetched(self, first: int, last: int, workers: int = 0) -> Iterator[Batch]:
        """Yields the batches of steps `first` to `last` - 1, making later ones while earlier ones are in use.

        `workers` processes make them, or threads of this process if `workers` is 0; the batches are the same.
        """
        import grain  # here, because it imports JAX if that is installed
        from absl import flags

        if workers:
            flags.FLAGS.mark_as_parsed()  # grain reads absl's flags in each worker
        options = grain.ReadOptions(num_threads=1 if workers else os.cpu_count() or 1, prefetch_buffer_size=AHEAD)
        steps = grain.MapDataset.range(first, last).map(self.__getitem__).to_iter_dataset(options)
        batches = iter(steps.mp_prefetch(grain.MultiprocessingOptions(workers, AHEAD), _begin_worker))
        try:
            for batch in batches:  # a worker's batches are in shared memory, which must be released
                yield {name: np.array(values) for name, values in batch.items()} if workers else batch
        finally:
            batches.close()
            del batches, steps
            gc.collect()  # grain's iterators hold shared memory in reference cycles

    def _stack(self, views: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
        objects = np.zeros((len(views), self.dataset.most_objects, 6), np.float32)
        for row, (_, own) in zip(objects, views, strict=True):
            row[: len(own)] = own
        return {"image": np.stack([image for image, _ in views]), "objects": objects}


@lru_cache(maxsize=4)  # every view needs it, and a batch may span two epochs
def _order(seed: int, epoch: int, count: int) -> Int[np.ndarray, "count"]:
    return np.random.default_rng([seed, SHUFFLE, epoch]).permutation(count)


def _begin_worker(worker: int, workers: int) -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes; the main one handles it
