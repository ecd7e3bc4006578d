"""The base of the built-in data sets: rendered scenes, each a pure function of (seed, split, index)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from centernet_data.dataset import Sample
from centernet_data.imaging.decoding import average_blocks

SPLIT_NUMBERS = {"train": 0, "val": 1}


@dataclass(frozen=True)
class RenderedDataset(ABC):
    """The number of scenes and the seeds of their random numbers. Subclasses render them, in `scene(index)`.

    A `count` of None means the split's `default_counts`. Raises ValueError for any split but "train" and "val", a
    negative `count` or `seed`, or a height or width in `size` below `least_side` pixels.
    """

    split: str = "train"
    count: int | None = None
    seed: int = 0
    size: tuple[int, int] = (256, 256)

    data: ClassVar[str]  # its name for --data
    default_counts: ClassVar[dict[str, int]]
    least_side: ClassVar[int]
    # Of all scenes alike: not set by the constructor, and read-only as a `Dataset` has them.
    classes: tuple[str, ...] = field(default=(), init=False, repr=False)
    most_objects: int = field(default=0, init=False, repr=False)
    notes: tuple[str, ...] = field(default=(), init=False, repr=False)
    annotated: tuple[()] = field(default=(), init=False, repr=False)

    def __post_init__(self):
        if self.split not in SPLIT_NUMBERS:
            raise ValueError(f"{self.data}: there is no split {self.split!r}, only {' and '.join(SPLIT_NUMBERS)}")
        if self.count is not None and self.count < 0:
            raise ValueError(f"{self.data}: the number of scenes must not be negative, but is {self.count}")
        if self.seed < 0:
            raise ValueError(f"{self.data}: the seed must not be negative, but is {self.seed}")
        if min(self.size) < self.least_side:
            raise ValueError(f"{self.data}: height and width must be at least {self.least_side}, but are {self.size}")

    def __len__(self) -> int:
        return self.default_counts[self.split] if self.count is None else self.count

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """The objects of scene `index`, without rendering it. Raises IndexError outside 0 .. len - 1."""

    @abstractmethod
    def scene(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Renders scene `index`. Raises IndexError outside 0 .. len - 1."""

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """Scene `index` as uint8 RGB. Raises IndexError outside 0 .. len - 1."""
        return average_blocks(self.scene(index), reduction, reduction)

    def content(self, index: int) -> None:
        """None: rendered scenes are in no file."""
        return None

    def scene_seed(self, index: int) -> tuple[int, int, int]:
        """The seed of scene `index`. Raises IndexError outside 0 .. len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.data}: there is no scene {index} among the {len(self)} of {self.split!r}")
        return self.seed, SPLIT_NUMBERS[self.split], index
