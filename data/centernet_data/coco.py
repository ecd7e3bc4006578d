"""Data sets annotated in COCO's JSON."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from centernet_data.boxes import Box, Picture, chosen_classes, dataset_of, duplicates
from centernet_data.dataset import PictureDataset

_KINDS = {int: "a whole number", str: "a text", list: "a list", (int, str): "a whole number or a text"}


def read_coco(images: Path, annotations: Path, classes: Sequence[str] | None = None) -> PictureDataset:
    """The pictures of a COCO file, in its order, with or without objects.

    `images` is the folder that the file's `file_name`s start from. A class's index is its place in `classes`, or
    without these in the file's `categories`; the ids may have gaps. Crowds go to `ignored`. Boxes are clipped to
    their picture; `areas` are the file's (there, the area of the outline), or else those of the clipped boxes.
    ValueError, naming the file and the record, for whatever is missing, malformed or contradictory.
    """
    content = _read_json(annotations)
    image_records, box_records, category_records = (
        _records(content, key, annotations) for key in ("images", "annotations", "categories")
    )
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of the pictures does not exist")
    names = _category_names(category_records)
    chosen = chosen_classes(list(names.values()), classes, annotations)
    boxes = _boxes_by_image(box_records, _unique_ids(image_records), names)
    return dataset_of(_pictures(images, image_records, boxes), chosen, "crowd regions", annotations)


class _Record:
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


def _read_json(path: Path) -> _Record:
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
    return _Record(content, f"{path}: not COCO")


def _records(content: _Record, key: str, path: Path) -> list[_Record]:
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
    return [
        _Record(values, f"{path}: {singular} {values['id']}" if _has_id(values) else f"{path}: {key}[{index}]")
        for index, values in enumerate(content.get(key, list))
    ]


def _has_id(values: object) -> bool:
    return isinstance(values, dict) and isinstance(values.get("id"), (int, str))


def _unique_ids(records: Sequence[_Record]) -> set[int | str]:
    ids = set()
    for record in records:
        key = record.get("id", (int, str))
        if key in ids:
            raise record.error("this id is there twice")
        ids.add(key)
    return ids


def _category_names(records: Sequence[_Record]) -> dict[int | str, str]:
    _unique_ids(records)
    names = {record.get("id", (int, str)): record.get("name", str) for record in records}
    if repeated := set(duplicates(names.values())):
        last = next(record for record in reversed(records) if record.values["name"] in repeated)
        raise last.error(f"the name '{last.values['name']}' is there twice")
    return names


def _boxes_by_image(
    records: Sequence[_Record], image_ids: set[int | str], names: dict[int | str, str]
) -> dict[int | str, list[Box]]:
    boxes = defaultdict(list)
    for record in records:
        image_id, category_id = record.get("image_id", (int, str)), record.get("category_id", (int, str))
        record.get("id", (int, str))
        if image_id not in image_ids:
            raise record.error(f"its image_id {image_id!r} is not among the images")
        if category_id not in names:
            raise record.error(f"its category_id {category_id!r} is not among the categories")
        boxes[image_id].append(Box(_corners(record), names[category_id], _is_crowd(record), _area(record)))
    return boxes


def _corners(record: _Record) -> tuple[float, float, float, float]:
    bbox = record.get("bbox", list)
    if len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise record.error(f"'bbox' should be four finite numbers, but is {_shown(bbox)}")
    x, y, width, height = bbox
    if width < 0 or height < 0:
        raise record.error(f"the width or height of its 'bbox' is negative: {_shown(bbox)}")
    return x, y, x + width, y + height


def _is_crowd(record: _Record) -> bool:
    value = record.values.get("iscrowd", 0)
    if value not in (0, 1):
        raise record.error(f"'iscrowd' should be 0 or 1, but is {_shown(value)}")
    return bool(value)


def _area(record: _Record) -> float | None:
    value = record.values.get("area")
    if value is not None and not (_is_number(value) and value >= 0):
        raise record.error(f"'area' should be a finite number, not negative, but is {_shown(value)}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _pictures(folder: Path, records: Sequence[_Record], boxes: dict[int | str, list[Box]]) -> Iterator[Picture]:
    for record in records:
        name, height, width = record.get("file_name", str), record.get("height", int), record.get("width", int)
        if height <= 0 or width <= 0:
            raise record.error(f"its size should be positive, but is {width} x {height} (width x height)")
        yield Picture(name, folder / name, height, width, boxes.get(record.values["id"], []))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
