"""The built-in data set of words in rendered scenes: pages, signs, and words scattered over busy backgrounds.

Nothing is downloaded or stored. Scene i is a pure function of (seed, split, i). One stream of random numbers decides
what is written and where (`text_layout`), which is all that the annotations need; another decides how everything looks
(`text_look`).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from centernet_data.contract.words import LEAST_AREA, ONE_CLASS
from centernet_data.dataset import Sample
from centernet_data.synthetic.rendered_dataset import RenderedDataset
from centernet_data.synthetic.text_layout import MOST_WORDS, Block, Word, layout
from centernet_data.synthetic.text_look import render

LAYOUT, LOOK = 0, 1  # random streams


@dataclass(frozen=True)
class SceneTextDataset(RenderedDataset):
    """Rendered scenes with words, all of class "text"; a `Dataset`.

    `split` is "train" (8,000 scenes unless `count` says otherwise) or "val" (200); their random numbers come from
    separate streams. `size` is (height, width) in pixels, each at least 64. `count` does not affect the scenes. Words
    smaller than 1/1024 of the picture are `ignored`, as in the COCO-Text reader. Raises ValueError for any other split,
    a negative `count` or `seed`, or a smaller size.
    """

    data: ClassVar[str] = "scene-text"
    classes: tuple[str, ...] = field(default=ONE_CLASS, init=False, repr=False)
    default_counts: ClassVar[dict[str, int]] = {"train": 8000, "val": 200}
    least_side: ClassVar[int] = 64
    most_objects: int = field(default=MOST_WORDS, init=False, repr=False)

    def sample(self, index: int) -> Sample:
        """The words of scene `index`, without rendering it. Raises IndexError outside 0 .. len - 1."""
        boxes = [word.box for word in self.words(index)]
        rows = np.zeros((len(boxes), 6), np.float32)
        rows[:, :4] = np.array(boxes, np.float32).reshape(-1, 4)
        rows[:, 5] = 1
        areas = rows[:, 2] * rows[:, 3]
        large = areas >= LEAST_AREA * self.size[0] * self.size[1]
        return Sample(self.name(index), *self.size, rows[large], areas[large], rows[~large])

    def scene(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Renders scene `index`. Raises IndexError outside 0 .. len - 1."""
        random = np.random.default_rng([*self.scene_seed(index), LOOK])
        return render(random, self._blocks(index), self.size)

    def words(self, index: int) -> list[Word]:
        """The visible words of scene `index`. Raises IndexError outside 0 .. len - 1."""
        return [word for block in self._blocks(index) for word in block.words]

    def name(self, index: int) -> str:
        """The name of scene `index`."""
        return f"scene-text-{self.split}-{index:06d}"

    def _blocks(self, index: int) -> tuple[Block, ...]:
        return _layout_of(self.scene_seed(index), self.size)


@lru_cache(maxsize=64)  # several threads ask for a picture and then for its words
def _layout_of(scene_seed: tuple[int, int, int], size: tuple[int, int]) -> tuple[Block, ...]:
    return tuple(layout(np.random.default_rng([*scene_seed, LAYOUT]), size))
