"""Reads a COCO file into columns: the quick way, for files in which every record is as it should be."""

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Int

from centernet_data.columns import MadeWhenAsked, first_of
from centernet_data.readers.annotations import CROWD, FURTHEST, LONGEST_SIDE
from centernet_data.readers.json_blocks import Kind, NotPlain, read_blocks
from centernet_data.readers.named_files import PictureFiles
from centernet_data.stored import AnnotatedPictures

MARKED_IGNORED = "objects marked 'ignore'"
_KINDS = ("", CROWD, MARKED_IGNORED)


Id = int | str
Side = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SIDE)]
Place = Annotated[float, msgspec.Meta(ge=-FURTHEST, le=FURTHEST)]
Length = Annotated[float, msgspec.Meta(ge=0, le=FURTHEST)]
Mark = Literal[0, 1] | None


class _Image(msgspec.Struct, gc=False):
    id: Id
    file_name: str
    height: Side
    width: Side


class _Box(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    bbox: tuple[Place, Place, Length, Length]
    id: Id | None = None
    area: Annotated[float, msgspec.Meta(ge=0)] | None = None
    iscrowd: Mark = None
    ignore: Mark = None


class _Category(msgspec.Struct):
    id: Id
    name: str


_LISTS = {"images": _Image, "annotations": _Box, "categories": _Category}


class CocoColumns(NamedTuple):
    """A COCO file: the categories' names by id, in its order, and its pictures with their boxes."""

    categories: dict[Id, str]
    annotated: AnnotatedPictures


def coco_columns(images: Path, annotations: Path) -> CocoColumns | None:
    """Reads a COCO file whose pictures are in the folder `images`; None if anything in it is unusual, such as an
    id that is there twice: only a reader that looks at each record by itself can tell what is wrong, if anything is."""
    content = _Content()
    take = {"images": content.take_images, "annotations": content.take_boxes, "categories": content.take_categories}
    try:
        for key, records in read_blocks(annotations, {key: Kind(record) for key, record in _LISTS.items()}):
            take[key](records)
        return CocoColumns(content.categories, content.annotated(images, annotations))
    except NotPlain:
        return None


class _Content:
    """The records read so far, in columns. Ids are numbered as they occur, because the lists come in any order."""

    def __init__(self):
        self.categories: dict[Id, str] = {}
        self._image_ids: dict[Id, int] = {}
        self._names: list[str] = []
        self._sizes = array("q")
        self._numbers: dict[str, dict[Id, int]] = {"image": {}, "category": {}}
        self._of_image, self._of_category, self._kinds = array("q"), array("q"), array("b")
        self._boxes, self._areas = array("d"), array("d")
        self._ids: list[Id | None] = []

    def take_images(self, records: Sequence[_Image]) -> None:
        """Adds some records of "images"."""
        for record in records:
            self._image_ids[record.id] = len(self._names)
            self._names.append(record.file_name)
        self._sizes.extend(chain.from_iterable((record.height, record.width) for record in records))
        _require(len(self._image_ids) == len(self._names), "an id twice")

    def take_boxes(self, records: Sequence[_Box]) -> None:
        """Adds some records of "annotations"."""
        images, categories = self._numbers["image"], self._numbers["category"]
        self._of_image.extend(images.setdefault(record.image_id, len(images)) for record in records)
        self._of_category.extend(categories.setdefault(record.category_id, len(categories)) for record in records)
        self._boxes.extend(chain.from_iterable(record.bbox for record in records))
        self._areas.extend(math.nan if record.area is None else record.area for record in records)
        self._kinds.extend(1 if record.iscrowd else 2 if record.ignore else 0 for record in records)  # of _KINDS
        self._ids.extend(record.id for record in records)

    def take_categories(self, records: Sequence[_Category]) -> None:
        """Adds some records of "categories"."""
        before = len(self.categories)
        self.categories.update((record.id, record.name) for record in records)
        _require(len(self.categories) == before + len(records), "an id twice")

    def annotated(self, images: Path, annotations: Path) -> AnnotatedPictures:
        """The pictures with their boxes. Raises NotPlain for ids of no picture or category."""
        ids = list(self.categories)
        _require(len(set(self.categories.values())) == len(ids), "a name twice")
        picture = _places_of(self._of_image, self._numbers["image"], self._image_ids)
        label = _places_of(self._of_category, self._numbers["category"], {key: n for n, key in enumerate(ids)})
        order = np.argsort(picture, kind="stable")
        x, y, width, height = np.array(self._boxes).reshape(-1, 4)[order].T
        files = PictureFiles(images)
        return AnnotatedPictures(
            self._names,
            [files.path(name) for name in self._names],
            np.array(self._sizes, np.int64).reshape(-1, 2),
            first_of(np.bincount(picture, minlength=len(self._names))),
            np.stack([x, y, x + width, y + height], axis=1),
            label[order],
            list(self.categories.values()),
            np.array(self._kinds, np.int64)[order],
            _KINDS,
            np.array(self._areas)[order],
            _Places(annotations, self._ids, order),
        )


def _require(right: bool, what: str) -> None:
    if not right:
        raise NotPlain(what)


def _places_of(numbers: array, number_of: Mapping[Id, int], place_of: Mapping[Id, int]) -> Int[np.ndarray, "m"]:
    """The place of each box's picture or category, whose ids were numbered as they occurred."""
    places = np.array([place_of.get(key, -1) for key in number_of], np.int64)
    _require(bool((places >= 0).all()), "an id that is not among those of the pictures or categories")
    return places[np.array(numbers, np.int64)]


class _Places(MadeWhenAsked[str]):
    """The file and the record of each box."""

    def __init__(self, path: Path, ids: Sequence[Id | None], order: Int[np.ndarray, "m"]):
        self._path, self._ids, self._order = path, ids, order

    def __len__(self) -> int:
        return len(self._order)

    def made(self, index: int) -> str:
        """The file, and the record as messages name it."""
        number = int(self._order[index])
        key = self._ids[number]
        return f"{self._path}: annotations[{number}]" if key is None else f"{self._path}: annotation {key}"
