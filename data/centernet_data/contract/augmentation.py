"""The random changes that training makes to each view of a picture."""

import math
from dataclasses import dataclass

from centernet_data.contract.checks import refuse, require


@dataclass(frozen=True)
class Augmentation:
    """Random changes to each view of a picture. Values out of range are refused (ValueError)."""

    flip: bool = True
    """Mirror half of the views, chosen at random, from left to right."""
    scale: tuple[float, float] = (0.6, 1.4)
    """Range of the crop window's side relative to the whole picture, drawn uniformly; 1 1 turns it off."""
    shift: float = 0.2
    """Largest shift of the crop window's centre, in picture widths and heights; 0 turns it off."""
    colour: float = 0.4
    """Largest relative change of brightness, contrast and saturation; 0 turns it off."""
    lighting: float = 0.1
    """Standard deviation of the light's colour, along photographs' principal colour axes; 0 turns it off."""
    vertical_flip: bool = False
    """Mirror half of the views, chosen at random, from top to bottom."""
    turn: bool = False
    """Turn each picture by 0, 90, 180 or 270 degrees, all equally likely."""
    mosaic: float = 0
    """Share of the views that are composed of four pictures around a random point; 0 turns it off."""
    without_mosaic: float = 0.1
    """Share of the run's steps, at its end, without mosaics."""
    balance: float = 0
    """Show pictures of classes that are in less than this share of all pictures more often, by LVIS's repeat factors:
    sqrt(balance / the class's share). An epoch keeps its length. 0 turns it off."""

    def __post_init__(self):
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            refuse(f"the augmentation's scale must be two positive numbers, the smaller first, not {self.scale}")
        if not 0 <= self.shift < math.inf or not 0 <= self.colour < 1:
            refuse("the augmentation's shift must be at least 0, its colour at least 0 and less than 1")
        if not 0 <= self.lighting < math.inf:
            refuse(f"the augmentation's lighting must be at least 0 and finite, not {self.lighting}")
        for name in ("mosaic", "without_mosaic", "balance"):
            value = getattr(self, name)
            require(f"augmentation.{name}", value, 0 <= value <= 1, "from 0 to 1")


NO_AUGMENTATION = Augmentation(flip=False, scale=(1, 1), shift=0, colour=0, lighting=0)
