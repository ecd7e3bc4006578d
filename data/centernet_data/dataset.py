"""What a data set is to the rest of the project: pictures, and the objects in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.imaging.decoding import read_image


class Sample(NamedTuple):
    """What is known of one picture, in that picture's own pixels.

    `objects` and `ignored` are rows of (y_centre, x_centre, height, width, class, confidence 1), clipped to the
    picture. `ignored` are regions that training leaves out and average precision neither rewards nor punishes
    (COCO's crowds, VOC's difficult objects). `areas` are the objects' areas in pixels² by which average
    precision sorts them into small, medium and large.
    """

    name: str
    height: int
    width: int
    objects: Float[np.ndarray, "n 6"]
    areas: Float[np.ndarray, "n"]
    ignored: Float[np.ndarray, "m 6"]


@runtime_checkable
class Dataset(Protocol):
    """Indexed pictures with their objects. `notes` say in plain sentences what was left out, and how often.
    `most_objects` is how many one picture has at most.

    `image` gives uint8 RGB; with a `reduction` of 2, 4 or 8 each of its pixels stands for so many by so many, those
    that hang over the right and lower edge included.
    """

    classes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def most_objects(self) -> int: ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample: ...

    def image(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]: ...


@dataclass(frozen=True)
class SamplesInMemory:
    """A `Dataset` but for its pictures and its notes, which who derives from it adds."""

    classes: tuple[str, ...]
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def most_objects(self) -> int:
        return max((len(sample.objects) for sample in self.samples), default=0)

    def sample(self, index: int) -> Sample:
        return self.samples[index]


@dataclass(frozen=True)
class PictureDataset(SamplesInMemory):
    """A data set of picture files: `samples[i]` describes the file at `paths[i]`."""

    paths: Sequence[Path]
    notes: tuple[str, ...] = ()

    def image(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as uint8 RGB. ValueError if it cannot be read or is not of the annotated size."""
        image = read_image(self.paths[index], reduction)
        height, width = self.samples[index].height, self.samples[index].width
        if image.shape[:2] != (-(-height // reduction), -(-width // reduction)):
            image = image if reduction == 1 else read_image(self.paths[index])
            raise ValueError(
                f"{self.paths[index]}: the picture is {image.shape[1]} x {image.shape[0]} pixels (width x height, "
                f"EXIF rotation applied), but its annotation says {width} x {height}"
            )
        return image
