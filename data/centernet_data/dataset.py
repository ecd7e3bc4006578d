"""The interface of a data set: pictures, and the objects in them.

A *picture* is of any size, as its file has it; an *image* is of the network's input size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.contract.boxes import cyxhw_to_xywh


class Sample(NamedTuple):
    """One picture's name, size and annotations, in the picture's own pixels.

    `objects` and `ignored` are rows of (y_centre, x_centre, height, width, class, confidence 1), clipped to the
    picture. `ignored` are regions that training leaves out, and in which average precision neither rewards nor
    penalises detections (COCO's crowds, VOC's difficult objects). `areas` are the objects' areas in pixels²; average
    precision uses them to sort objects into small, medium and large.
    """

    name: str
    height: int
    width: int
    objects: Float[np.ndarray, "n 6"]
    areas: Float[np.ndarray, "n"]
    ignored: Float[np.ndarray, "m 6"]


class AnnotatedBox(NamedTuple):
    """A box as annotated: `corners` are (x_min, y_min, x_max, y_max) in pixels, not clipped to the picture; `where`
    names the file and the record."""

    corners: tuple[float, float, float, float]
    label: str
    ignored: str = ""  # why the box is neither trained on nor scored, such as "crowd regions"; empty if it is
    area: float | None = None  # in pixels²; None means the clipped box's
    where: str = ""


class AnnotatedPicture(NamedTuple):
    """A picture file and all boxes annotated in it; `height` and `width` in pixels."""

    name: str
    path: Path
    height: int
    width: int
    boxes: Sequence[AnnotatedBox]


@runtime_checkable
class Dataset(Protocol):
    """Indexed pictures with their objects.

    `notes` say in plain words what was left out, and how often. `most_objects` is the largest number of objects in a
    picture. `annotated` holds the raw annotations, in the order of the samples, if the data set was opened with errors
    collected; otherwise it is empty.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def most_objects(self) -> int: ...

    @property
    def annotated(self) -> Sequence[AnnotatedPicture]: ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """One picture's name, size and annotations, without reading the picture."""
        ...

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as uint8 RGB. With a `reduction` r of 2, 4 or 8, each pixel averages a block of r x r pixels;
        blocks may extend past the right and lower edges. Raises ValueError if the picture cannot be read."""
        ...

    def content(self, index: int) -> bytes | None:
        """The bytes of the picture's file; None for a rendered picture. Raises ValueError if they cannot be read."""
        ...


def is_stored(dataset: Dataset) -> bool:
    """Whether the pictures are stored in files, which may be damaged, and not rendered."""
    return len(dataset) > 0 and dataset.content(0) is not None


def coco_annotations(sample: Sample, image_id: int) -> list[dict]:
    """A sample's rows as COCO's "annotations", without ids. `ignored` become crowds; class 0 has category_id 1."""
    rows = np.concatenate([sample.objects, sample.ignored])
    areas = [*sample.areas.tolist(), *(sample.ignored[:, 2] * sample.ignored[:, 3]).tolist()]
    return [
        {
            "image_id": image_id,
            "category_id": int(label) + 1,
            "bbox": bbox,
            "area": area,
            "iscrowd": int(number >= len(sample.objects)),
        }
        for number, (label, bbox, area) in enumerate(
            zip(rows[:, 4].tolist(), cyxhw_to_xywh(rows[:, :4]).tolist(), areas, strict=True)
        )
    ]
