"""The built-in data set of circles, squares and triangles on busy backgrounds, rendered on demand.

Nothing is downloaded or stored. Scene i is a pure function of (seed, split, i). One stream of random numbers first
places the shapes (`shape_layout`), which is all that the annotations need, and then decides how everything looks
(`shape_look`).

The scenes are as hard as a ResNet-18 can learn from random weights in five minutes on two CPU cores. What it learns
slowly is the exact position of centres: with shapes anywhere in the picture, it finds them in that time but cannot yet
tell them apart, so each quarter of the picture has a shape of its own. It also learns to tell bright shapes on dark
ground apart sooner than shapes of any brightness.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from centernet_data.dataset import Sample
from centernet_data.synthetic.rendered_dataset import RenderedDataset
from centernet_data.synthetic.shape_layout import QUARTER_MIDDLES, clipped_box, layout
from centernet_data.synthetic.shape_look import render


@dataclass(frozen=True)
class ShapesDataset(RenderedDataset):
    """Rendered scenes of circles, squares and triangles; a `Dataset`.

    `split` is "train" (4,000 scenes unless `count` says otherwise) or "val" (200); their random numbers come from
    separate streams. `size` is (height, width) in pixels, each at least 32. `count` does not affect the scenes.
    Raises ValueError for any other split, a negative `count` or `seed`, or a smaller size.
    """

    size: tuple[int, int] = (192, 192)

    data: ClassVar[str] = "shapes"
    classes: tuple[str, ...] = field(default=("circle", "square", "triangle"), init=False, repr=False)
    default_counts: ClassVar[dict[str, int]] = {"train": 4000, "val": 200}
    least_side: ClassVar[int] = 32
    most_objects: int = field(default=len(QUARTER_MIDDLES), init=False, repr=False)

    def sample(self, index: int) -> Sample:
        """The objects of scene `index`, without rendering it. Raises IndexError outside 0 .. len - 1."""
        shapes = layout(np.random.default_rng(self.scene_seed(index)), self.size)
        boxes = np.array([clipped_box(shape, self.size) for shape in shapes], np.float32).reshape(-1, 4)
        kinds = np.array([shape.kind for shape in shapes], np.float32)[:, None]
        return Sample(
            name=f"shapes-{self.split}-{index:05d}",
            height=self.size[0],
            width=self.size[1],
            objects=np.concatenate([boxes, kinds, np.ones_like(kinds)], axis=1),
            areas=boxes[:, 2] * boxes[:, 3],
            ignored=np.zeros((0, 6), np.float32),
        )

    def scene(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Renders scene `index`. Raises IndexError outside 0 .. len - 1."""
        random = np.random.default_rng(self.scene_seed(index))
        shapes = layout(random, self.size)
        return render(random, shapes, self.size)
