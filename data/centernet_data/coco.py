"""Data sets annotated in COCO's JSON."""

import json
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from centernet_data.boxes import Box, Picture, chosen_classes, dataset_of, listed
from centernet_data.dataset import PictureDataset
from centernet_data.reading import STRICT, Reading

_KINDS = {int: "a whole number", str: "a text", list: "a list", (int, str): "a whole number or a text"}


def read_coco(
    images: Path, annotations: Path, classes: Sequence[str] | None = None, reading: Reading = STRICT
) -> PictureDataset:
    """The pictures of a COCO file, in its order, with or without objects.

    `images` is the folder that the file's `file_name`s start from. A class's index is its place in `classes`, or
    without these in the file's `categories`; the ids may have gaps. Crowds go to `ignored`. Boxes are clipped to
    their picture; `areas` are the file's (there, the area of the outline), or else those of the clipped boxes.
    ValueError, naming the file and the record, for whatever is missing, malformed or contradictory; what is wrong
    with one record alone goes to `reading`.
    """
    content = read_json(annotations)
    image_records, box_records, category_records = (
        read_records(content, key, annotations, reading) for key in ("images", "annotations", "categories")
    )
    names = _category_names(category_records, annotations, reading)
    chosen = chosen_classes(list(dict.fromkeys(names.values())), classes, annotations)
    images_by_id = by_id(image_records, reading)
    boxes = _boxes_by_image(box_records, images_by_id, names, reading)
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of the pictures does not exist")
    pictures = _pictures(images, images_by_id, boxes, reading)
    return dataset_of(pictures, chosen, "crowd regions", annotations, reading)


class Record:
    """One JSON object, and where it stands: reading from it either gives the right type or says what is wrong."""

    __slots__ = ("values", "where")  # a data set has a million of them

    def __init__(self, values: object, where: str):
        if not isinstance(values, dict):
            raise ValueError(f"{where} should be an object with named values, but is {_shown(values)}")
        self.values = values
        self.where = where

    def get(self, key: str, kind: type | tuple[type, ...]):
        if key not in self.values:
            raise self.error(f"'{key}' is missing")
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f"'{key}' should be {_KINDS[kind]}, but is {_shown(value)}")
        return value

    def error(self, what: str) -> ValueError:
        return ValueError(f"{self.where}: {what}")


def read_json(path: Path) -> Record:
    """The top level of a COCO file. ValueError, naming the file, if it has none."""
    if not path.is_file():
        raise ValueError(f"{path}: the annotation file does not exist")
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not COCO: its top level should be an object, but is a {type(content).__name__}")
    return Record(content, f"{path}: not COCO")


def read_records(content: Record, key: str, path: Path, reading: Reading = STRICT) -> list[Record]:
    """The "images", "annotations" or "categories" of a COCO file, whichever `key` says."""
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
    records = []
    for index, values in enumerate(content.get(key, list)):
        with reading:
            place = f"{singular} {values['id']}" if _has_id(values) else f"{key}[{index}]"
            records.append(Record(values, f"{path}: {place}"))
    return records


def _has_id(values: object) -> bool:
    return isinstance(values, dict) and isinstance(values.get("id"), (int, str))


def by_id(records: Sequence[Record], reading: Reading = STRICT) -> dict[int | str, Record]:
    """The records by their ids, which must not repeat."""
    found = {}
    for record in records:
        with reading:
            key = record.get("id", (int, str))
            if key in found:
                raise record.error("this id is there twice")
            found[key] = record
    return found


def _category_names(records: Sequence[Record], path: Path, reading: Reading) -> dict[int | str, str]:
    names = {}
    for key, record in by_id(records, reading).items():
        with reading:
            name = record.get("name", str)
            repeated = name in names.values()
            names[key] = name  # kept even so, for else every box of this category would be one more mistake
            if repeated:
                raise record.error(f"the name '{name}' is there twice")
    if gaps := _gaps([key for key in names if isinstance(key, int)]):
        reading.remark(
            f"{path}: the category ids leave out {listed(gaps)}; a class's index is its place in the file, not its id"
        )
    return names


def _gaps(ids: Sequence[int]) -> list[str]:
    return [
        f"{low + 1}" if high == low + 2 else f"{low + 1} to {high - 1}"
        for low, high in pairwise(sorted(ids))
        if high > low + 1
    ]


def _boxes_by_image(
    records: Sequence[Record], images: Collection[int | str], names: dict[int | str, str], reading: Reading
) -> dict[int | str, list[Box]]:
    boxes = defaultdict(list)
    for record in records:
        with reading:
            image_id, category_id = record.get("image_id", (int, str)), record.get("category_id", (int, str))
            record.get("id", (int, str))
            if image_id not in images:
                raise record.error(f"its image_id {image_id!r} is not among the images")
            if category_id not in names:
                raise record.error(f"its category_id {category_id!r} is not among the categories")
            box = Box(_corners(record), names[category_id], _is_crowd(record), _area(record), record.where)
            boxes[image_id].append(box)
    return boxes


def _corners(record: Record) -> tuple[float, float, float, float]:
    bbox = record.get("bbox", list)
    if len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise record.error(f"'bbox' should be four finite numbers, but is {_shown(bbox)}")
    x, y, width, height = bbox
    if width < 0 or height < 0:
        raise record.error(f"the width or height of its 'bbox' is negative: {_shown(bbox)}")
    return x, y, x + width, y + height


def _is_crowd(record: Record) -> bool:
    value = record.values.get("iscrowd", 0)
    if value not in (0, 1):
        raise record.error(f"'iscrowd' should be 0 or 1, but is {_shown(value)}")
    return bool(value)


def _area(record: Record) -> float | None:
    value = record.values.get("area")
    if value is not None and not (_is_number(value) and value >= 0):
        raise record.error(f"'area' should be a finite number, not negative, but is {_shown(value)}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _pictures(
    folder: Path, images: dict[int | str, Record], boxes: dict[int | str, list[Box]], reading: Reading
) -> Iterator[Picture]:
    for key, record in images.items():
        with reading:
            name, height, width = record.get("file_name", str), record.get("height", int), record.get("width", int)
            if height <= 0 or width <= 0:
                raise record.error(f"its size should be positive, but is {width} x {height} (width x height)")
            yield Picture(name, folder / name, height, width, boxes.get(key, []))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
