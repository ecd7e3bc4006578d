"""Batches as a pure function of (seed, step): nothing to save or restore, and any worker may make any of them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8

from centernet_data.dataset import Dataset
from centernet_data.transforms import (
    LEAST_VISIBLE,
    Augmentation,
    Resize,
    augment_colour,
    augment_geometry,
    compose,
    fit,
    move_objects,
    visible_share,
    warp,
)

Batch = dict[str, UInt8[np.ndarray, "b h w 3"] | Float[np.ndarray, "b n 6"]]

SHUFFLE, VIEW = 0, 1  # which random stream: the order of an epoch, or one view of a picture


@dataclass(frozen=True)
class Batches:
    """The endless sequence of a training run's batches; `batches[step]` is the one of that step.

    The pictures of an epoch come in an order drawn from (seed, epoch), one epoch right after the other, so that every
    batch is full. "image": uint8 RGB [B, H, W, 3]; "objects": float32 [B, N, 6] in pixels of the input, padded with
    zeros to the greatest count that any picture of the data set has.
    """

    dataset: Dataset
    batch_size: int
    image_size: tuple[int, int]
    resize: Resize
    augmentation: Augmentation
    seed: int

    def __getitem__(self, step: int) -> Batch:
        return self._stack([self.view(step, slot) for slot in range(self.batch_size)])

    def epoch_of(self, step: int) -> float:
        """How many epochs lie before this step."""
        return step * self.batch_size / len(self.dataset)

    def index(self, step: int, slot: int) -> int:
        """Which picture of the data set comes in this slot of this batch."""
        epoch, place = divmod(step * self.batch_size + slot, len(self.dataset))
        return int(_order(self.seed, epoch, len(self.dataset))[place])

    def view(self, step: int, slot: int) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "n 6"]]:
        """One augmented picture at the input's size, and the objects to be found in it."""
        index = self.index(step, slot)
        rng = np.random.default_rng([self.seed, VIEW, step, slot])
        image, objects = self.dataset.image(index), self.dataset.sample(index).objects
        matrix = fit(image.shape[:2], self.image_size, self.resize)
        matrix = compose(augment_geometry(self.image_size, self.augmentation, rng), matrix)
        image = warp(image, matrix, self.image_size)
        image = augment_colour(image, self.augmentation.colour, self.augmentation.lighting, rng)
        objects = move_objects(objects, matrix)
        return image, objects[visible_share(objects, self.image_size) >= LEAST_VISIBLE]

    def prefetched(self, first: int, last: int, ahead: int = 2, workers: int = 2) -> Iterator[Batch]:
        """The batches of steps `first` to `last` - 1, made by threads while earlier ones are in use."""
        with ThreadPoolExecutor(workers) as pool:
            queue = deque()
            for step in range(first, last):
                queue.append([pool.submit(self.view, step, slot) for slot in range(self.batch_size)])
                if len(queue) > ahead:
                    yield self._stack([view.result() for view in queue.popleft()])
            while queue:
                yield self._stack([view.result() for view in queue.popleft()])

    def _stack(self, views: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
        objects = np.zeros((len(views), self._most_objects, 6), np.float32)
        for row, (_, own) in zip(objects, views, strict=True):
            row[: len(own)] = own
        return {"image": np.stack([image for image, _ in views]), "objects": objects}

    @cached_property
    def _most_objects(self) -> int:
        return max(len(self.dataset.sample(i).objects) for i in range(len(self.dataset)))


@lru_cache(maxsize=4)  # every view asks for it, and a batch may reach over two epochs
def _order(seed: int, epoch: int, count: int) -> Int[np.ndarray, "count"]:
    return np.random.default_rng([seed, SHUFFLE, epoch]).permutation(count)
