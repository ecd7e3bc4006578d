"""Batches as a pure function of (seed, step): there is no state to save, and any worker can make any batch."""

import gc
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

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
    augment_turn,
    compose,
    fit,
    move_objects,
    reduction_before,
    visible_share,
    warp,
)
from centernet_data.imaging.mosaic import QUADRANTS, place, random_point, region, whole_pixels
from centernet_data.sampling import MOSAIC, VIEW, Repeats, plain_order, repeated_order, repeats_by_class

View = tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "n 6"]]
Batch = dict[str, UInt8[np.ndarray, "b h w 3"] | Float[np.ndarray, "b n 6"]]

AHEAD = 2  # prefetched batches per worker process, or in this process
TILES = len(QUADRANTS)  # pictures in a mosaic


@dataclass(frozen=True)
class Batches:
    """The infinite sequence of a training run's batches; `batches[step]` is the batch of one step.

    Each epoch has its own order, drawn from (seed, epoch). Batches run across epochs, so that every batch is full.
    "image": uint8 RGB [B, H, W, 3]; "objects": float32 [B, N, 6] in pixels of the input, padded with zeros to the data
    set's `most_objects`, with mosaics four times that. From step `mosaic_until` on there are no mosaics. With a `shard`
    (index, count), each batch has only the rows of that shard, the index-th (from 0) of `count` equal parts. Raises
    ValueError if `batch_size` is not a multiple of `count`, if there are no pictures, and for a picture or objects that
    are not as `Dataset` says, naming the sample.
    """

    dataset: Dataset
    batch_size: int
    image_size: tuple[int, int]
    resize: Resize
    augmentation: Augmentation
    seed: int
    shard: tuple[int, int] = (0, 1)
    mosaic_until: int | None = None

    def __post_init__(self):
        if self.batch_size % self.shard[1]:
            raise ValueError(f"a batch of {self.batch_size} pictures cannot be split into {self.shard[1]} equal parts")
        if not len(self.dataset):
            raise ValueError("there are no pictures in the data set: batches need at least one")

    def __getitem__(self, step: int) -> Batch:
        batch = self._empty()
        for row in range(len(batch["image"])):
            self._fill(batch, step, row)
        return batch

    def epoch_of(self, step: int) -> float:
        """The number of epochs, with fraction, completed before this step."""
        return step * self.batch_size / len(self.dataset)

    def index(self, step: int, slot: int) -> int:
        """The index of the picture in this slot of this step's batch."""
        epoch, place = divmod(step * self.batch_size + slot, len(self.dataset))
        return int(self.order(epoch)[place])

    def order(self, epoch: int) -> Int[np.ndarray, "n"]:
        """The indices of the pictures of one epoch."""
        if self._repeats is None:
            return plain_order(self.seed, epoch, len(self.dataset))
        return repeated_order(self.seed, epoch, self._repeats)

    def view(self, step: int, slot: int, out: UInt8[np.ndarray, "h w 3"] | None = None) -> View:
        """One augmented view, at the input's size, and the objects in it. `out` is where to write its pixels."""
        rng = np.random.default_rng([self.seed, VIEW, step, slot])
        image, objects = self._mosaic(step, slot, rng) if self.is_mosaic(step, slot) else self._single(step, slot, rng)
        image = self.colour(image, rng, out)
        if out is not None and image is not out:
            out[:] = image
        return image, objects

    def is_mosaic(self, step: int, slot: int) -> bool:
        """Whether this view is composed of several pictures."""
        if not self.augmentation.mosaic or (self.mosaic_until is not None and step >= self.mosaic_until):
            return False
        return self._others(step, slot).random() < self.augmentation.mosaic

    def window(self, sample: Sample, rng: np.random.Generator) -> Matrix:
        """The random matrix from the picture to the view."""
        turn, picture_hw = self._turn(sample, rng)
        whole = compose(fit(picture_hw, self.image_size, self.resize), turn)
        return compose(augment_geometry(self.image_size, self.augmentation, rng), whole)

    def read(self, index: int, sample: Sample, matrix: Matrix) -> tuple[UInt8[np.ndarray, "h w 3"], Matrix]:
        """Reads the picture, reduced as far as `matrix` allows; returns it and the rest of the matrix."""
        reduction = reduction_before(matrix)
        picture = self.dataset.picture(index, reduction)
        check_picture(sample.name, picture, (sample.height, sample.width), reduction)
        return picture, matrix * [reduction, reduction, 1]

    def colour(
        self, image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, out: UInt8[np.ndarray, "h w 3"] | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Changes the view's colours at random."""
        return augment_colour(image, self.augmentation.colour, self.augmentation.lighting, rng, out)

    def objects(self, sample: Sample, matrix: Matrix) -> Float[np.ndarray, "n 6"]:
        """The picture's objects, mapped to the view, without those mostly outside it."""
        check_sample(sample.name, sample.objects, self.dataset.most_objects, len(self.dataset.classes))
        objects = move_objects(sample.objects, matrix)
        return objects[visible_share(objects, self.image_size) >= LEAST_VISIBLE]

    def prefetched(self, first: int, last: int, workers: int = 0) -> Iterator[Batch]:
        """Yields the batches of steps `first` to `last` - 1, making later ones while earlier ones are in use.

        `workers` processes make them, or threads of this process if `workers` is 0; the batches are the same.
        """
        return self._by_processes(first, last, workers) if workers else self._by_threads(first, last)

    def _empty(self) -> Batch:
        """A batch to be filled view by view, which saves stacking them. Its padding is there."""
        part = self.batch_size // self.shard[1]
        most = self.dataset.most_objects * (TILES if self.augmentation.mosaic else 1)
        images = np.empty((part, *self.image_size, 3), np.uint8)
        return {"image": images, "objects": np.zeros((part, most, 6), np.float32)}

    def _fill(self, batch: Batch, step: int, row: int) -> None:
        """Makes one of the views of this step's batch, or of the shard's part of it."""
        slot = self.shard[0] * len(batch["image"]) + row
        own = self.view(step, slot, batch["image"][row])[1]
        batch["objects"][row, : len(own)] = own

    def _by_threads(self, first: int, last: int) -> Generator[Batch, None, None]:
        """The threads share the views of each batch, so that all cores have work although few batches are ahead."""
        threads, coming = ThreadPoolExecutor(os.cpu_count() or 1), deque()
        try:
            for step in range(first, last):
                batch = self._empty()
                rows = range(len(batch["image"]))
                coming.append((batch, [threads.submit(self._fill, batch, step, row) for row in rows]))
                if len(coming) > AHEAD:
                    yield _filled(*coming.popleft())
            while coming:
                yield _filled(*coming.popleft())
        finally:
            threads.shutdown(cancel_futures=True)

    def _by_processes(self, first: int, last: int, workers: int) -> Generator[Batch, None, None]:
        import grain  # here, because it imports JAX if that is installed
        from absl import flags

        flags.FLAGS.mark_as_parsed()  # grain reads absl's flags in each worker
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=AHEAD)
        steps = grain.MapDataset.range(first, last).map(self.__getitem__).to_iter_dataset(options)
        batches = iter(steps.mp_prefetch(grain.MultiprocessingOptions(workers, AHEAD), _begin_worker))
        copies, copier = _copied(batches), ThreadPoolExecutor(1)
        try:
            coming = copier.submit(next, copies, None)
            while (batch := coming.result()) is not None:
                coming = copier.submit(next, copies, None)  # while this one is in use
                yield batch
        finally:
            copier.shutdown(cancel_futures=True)
            copies.close()
            batches.close()
            del batches, steps
            gc.collect()  # grain's iterators hold shared memory in reference cycles

    def _single(self, step: int, slot: int, rng: np.random.Generator) -> View:
        index = self.index(step, slot)
        sample = self.dataset.sample(index)  # once: rendered scenes are laid out each time
        matrix = self.window(sample, rng)
        image = warp(*self.read(index, sample, matrix), self.image_size)
        return image, self.objects(sample, matrix)

    def _mosaic(self, step: int, slot: int, rng: np.random.Generator) -> View:
        """The slot's picture and three others of its epoch, in random quadrants."""
        hw, others = self.image_size, self._others(step, slot)
        others.random()  # what `is_mosaic` has drawn
        point = random_point(hw, others)
        change, seen_at = whole_pixels(augment_geometry(hw, self.augmentation, rng), point)
        image, objects = np.empty((*hw, 3), np.uint8), []  # the four regions fill it
        indices = self._tiles(step, slot, others)
        for index, place_number in zip(indices, others.permutation(TILES), strict=True):
            sample, quadrant = self.dataset.sample(index), QUADRANTS[place_number]
            turn, picture_hw = self._turn(sample, rng)
            matrix = compose(change, compose(place(picture_hw, hw, self.resize, point, quadrant), turn))
            part = region(change, seen_at, hw, quadrant)
            if min(part.hw) > 0:
                read, rest = self.read(index, sample, part.from_its_corner(matrix))
                image[part.top : part.bottom, part.left : part.right] = warp(read, rest, part.hw)
            objects.append(self.objects(sample, matrix))
        return image, np.concatenate(objects)

    def _others(self, step: int, slot: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, MOSAIC, step, slot])

    def _tiles(self, step: int, slot: int, others: np.random.Generator) -> list[int]:
        epoch = (step * self.batch_size + slot) // len(self.dataset)
        drawn = others.integers(len(self.dataset), size=TILES - 1)
        return [self.index(step, slot), *self.order(epoch)[drawn].tolist()]

    def _turn(self, sample: Sample, rng: np.random.Generator) -> tuple[Matrix, tuple[int, int]]:
        if sample.height < 1 or sample.width < 1:
            raise ValueError(f"{sample.name}: a sample of {sample.width} x {sample.height} pixels (width x height)")
        return augment_turn((sample.height, sample.width), self.augmentation, rng)

    @cached_property
    def _repeats(self) -> Repeats | None:
        balance = self.augmentation.balance
        return repeats_by_class(self.dataset, balance) if balance else None


def _filled(batch: Batch, views: Sequence[Future]) -> Batch:
    for view in views:
        view.result()  # raises what has failed
    return batch


def _copied(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """A worker's batches are in shared memory, which must be released."""
    for batch in batches:
        yield {name: np.array(values) for name, values in batch.items()}


def _begin_worker(worker: int, workers: int) -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes; the main one handles it
