"""The built-in data set of words in rendered scenes: pages, signs, and words strewn over busy backgrounds.

Nothing is downloaded or kept. Scene i is a pure function of (seed, split, i). One stream of random numbers decides
what is written and where it lies (`text_layout`), which is all that the annotation needs; another what everything looks
like (`text_look`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from centernet_data.cocotext import LEAST_AREA, ONE_CLASS
from centernet_data.dataset import Sample
from centernet_data.images import average_blocks
from centernet_data.text_layout import Block, Word, layout
from centernet_data.text_look import render

SPLIT_NUMBERS = {"train": 0, "val": 1}
LAYOUT, LOOK = 0, 1  # which random stream
DEFAULT_COUNTS = {"train": 8000, "val": 200}
SMALLEST_PICTURE = 64


@dataclass(frozen=True)
class SceneTextDataset:
    """Rendered scenes with words, all of the class "text"; a `Dataset`.

    `split` is "train" (8,000 scenes unless `count` says otherwise) or "val" (200); their random numbers come from
    separate streams. `size` is (height, width) in pixels, each at least 64. Changing `count` changes no scene. Words
    smaller than 1/1024 of the picture are `ignored`, as the COCO-Text reader has it. ValueError for another split, a
    negative `count` or `seed`, or a smaller size.
    """

    split: str = "train"
    count: int | None = None
    seed: int = 0
    size: tuple[int, int] = (256, 256)

    classes: ClassVar[tuple[str, ...]] = ONE_CLASS
    notes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if self.split not in SPLIT_NUMBERS:
            raise ValueError(f"scene-text: there is no split {self.split!r}, only {' and '.join(SPLIT_NUMBERS)}")
        if self.count is not None and self.count < 0:
            raise ValueError(f"scene-text: the count of scenes must not be negative, but is {self.count}")
        if self.seed < 0:
            raise ValueError(f"scene-text: the seed must not be negative, but is {self.seed}")
        if min(self.size) < SMALLEST_PICTURE:
            raise ValueError(f"scene-text: height and width must be at least {SMALLEST_PICTURE}, but are {self.size}")

    def __len__(self) -> int:
        return DEFAULT_COUNTS[self.split] if self.count is None else self.count

    def sample(self, index: int) -> Sample:
        """The words of scene `index`, without drawing it. IndexError outside 0 .. len - 1."""
        boxes = [word.box for word in self.words(index)]
        rows = np.zeros((len(boxes), 6), np.float32)
        rows[:, :4] = np.array(boxes, np.float32).reshape(-1, 4)
        rows[:, 5] = 1
        areas = rows[:, 2] * rows[:, 3]
        large = areas >= LEAST_AREA * self.size[0] * self.size[1]
        return Sample(self.name(index), *self.size, rows[large], areas[large], rows[~large])

    def image(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """Scene `index` as uint8 RGB. IndexError outside 0 .. len - 1."""
        picture = render(self._random(index, LOOK), self._blocks(index), self.size)
        return average_blocks(picture, reduction, reduction)

    def words(self, index: int) -> list[Word]:
        """The words of scene `index` of which something is seen. IndexError outside 0 .. len - 1."""
        return [word for block in self._blocks(index) for word in block.words]

    def name(self, index: int) -> str:
        return f"scene-text-{self.split}-{index:06d}"

    def _blocks(self, index: int) -> tuple[Block, ...]:
        self._random(index, LAYOUT)
        return _layout_of(self.seed, SPLIT_NUMBERS[self.split], index, self.size)

    def _random(self, index: int, stream: int) -> np.random.Generator:
        if not 0 <= index < len(self):
            raise IndexError(f"scene-text: there is no scene {index} among the {len(self)} of {self.split!r}")
        return np.random.default_rng([self.seed, SPLIT_NUMBERS[self.split], index, stream])


@lru_cache(maxsize=64)  # a picture and its words are asked for one after the other, by several threads
def _layout_of(seed: int, split_number: int, index: int, size: tuple[int, int]) -> tuple[Block, ...]:
    return tuple(layout(np.random.default_rng([seed, split_number, index, LAYOUT]), size))
