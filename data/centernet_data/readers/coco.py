"""Reads data sets annotated in COCO's JSON format."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from centernet_data.contract.messages import listed, shown
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture
from centernet_data.readers.annotations import CROWD, Known, chosen_classes, dataset_of
from centernet_data.readers.coco_columns import MARKED_IGNORED, coco_columns
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.json_records import (
    ID,
    Record,
    area,
    box_corners,
    file_name,
    not_among,
    picture_size,
    read_json,
)
from centernet_data.readers.named_files import picture_file
from centernet_data.stored import PictureDataset


def read_coco(
    images: Path,
    annotations: Path,
    classes: Sequence[str] | None = None,
    errors: ErrorPolicy = RAISE,
    known: Known = tuple,
) -> PictureDataset:
    """Reads the pictures of a COCO file, in its order, including those without objects.

    The file's `file_name`s are relative to the folder `images`. A class's index is its position in `classes` if given,
    otherwise in the file's `categories` (see `chosen_classes` for `known`); the ids may have gaps. Crowds become
    `ignored`, and so do objects marked with "ignore". Boxes are clipped to their picture; `areas` are the file's (the
    areas of the outlines), or the clipped boxes' where the file has none. Raises ValueError, naming the file and the
    record, for anything missing, malformed or inconsistent; mistakes in single records go to `errors`.
    """
    if not annotations.is_file():
        raise ValueError(f"{annotations}: the annotation file does not exist")
    columns = coco_columns(images, annotations)
    if columns is None:
        return read_record_by_record(images, annotations, classes, errors, known)
    _remark_gaps(columns.categories, annotations, errors)
    chosen = chosen_classes(list(columns.categories.values()), classes, annotations, known)
    _require_folder(images)
    return dataset_of(columns.annotated, chosen, annotations, errors)


def read_record_by_record(
    images: Path, annotations: Path, classes: Sequence[str] | None, errors: ErrorPolicy, known: Known
) -> PictureDataset:
    """Reads a COCO file as `read_coco` does, but slowly: it looks at each record, and says what is wrong with it."""
    content = read_json(annotations, "COCO")
    image_records, box_records, category_records = (
        read_records(content, key, annotations, errors) for key in ("images", "annotations", "categories")
    )
    names = _category_names(category_records, annotations, classes, errors)
    chosen = chosen_classes(list(dict.fromkeys(names.values())), classes, annotations, known)
    images_by_id = by_id(image_records, errors)
    boxes = _boxes_by_image(box_records, images_by_id, names, errors)
    _require_folder(images)
    return dataset_of(_pictures(images, images_by_id, boxes, errors), chosen, annotations, errors)


def _require_folder(images: Path) -> None:
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of pictures does not exist")


def coco_classes(annotations: Path) -> list[str]:
    """The names of a COCO file's categories. Raises ValueError for a damaged file."""
    records = read_records(read_json(annotations, "COCO"), "categories", annotations)
    return [record.get("name", str) for record in records]


def read_records(content: Record, key: str, path: Path, errors: ErrorPolicy = RAISE) -> list[Record]:
    """The records of a COCO file under `key`: "images", "annotations" or "categories"."""
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
    records = []
    for index, values in enumerate(content.get(key, list)):
        with errors:
            place = f"{singular} {values['id']}" if _has_id(values) else f"{key}[{index}]"
            records.append(Record(values, f"{path}: {place}"))
    return records


def _has_id(values: object) -> bool:
    return isinstance(values, dict) and isinstance(values.get("id"), (int, float, str))


def by_id(records: Sequence[Record], errors: ErrorPolicy = RAISE) -> dict[int | str, Record]:
    """The records by id. Duplicate ids go to `errors`."""
    found = {}
    for record in records:
        with errors:
            key = record.get("id", ID)
            if key in found:
                raise record.error("duplicate id")
            found[key] = record
    return found


def _category_names(
    records: Sequence[Record], path: Path, classes: Sequence[str] | None, errors: ErrorPolicy
) -> dict[int | str, str]:
    names = {}
    for key, record in by_id(records, errors).items():
        with errors:
            name = record.get("name", str)
            repeated = name in names.values()
            names[key] = name  # kept, or every box of this category would be reported too
            if repeated and classes is None:
                remedy = "to read these categories as one class, list the classes with 'classes' in the TOML file"
                raise record.error(f"duplicate name '{name}'; {remedy}")
            if repeated and name in classes:
                errors.remark(
                    "categories of one name", f"{record.where}: its name, '{name}', is another's too: one class"
                )
    _remark_gaps(names, path, errors)
    return names


def _remark_gaps(ids: Iterable[int | str], path: Path, errors: ErrorPolicy) -> None:
    if gaps := _gaps([key for key in ids if isinstance(key, int)]):
        skipped = f"{path}: the category ids skip {listed(gaps)}"
        errors.remark("category ids", f"{skipped}; a class's index is its position in the file, not its id", "note")


def _gaps(ids: Sequence[int]) -> list[str]:
    return [
        f"{low + 1}" if high == low + 2 else f"{low + 1} to {high - 1}"
        for low, high in pairwise(sorted(ids))
        if high > low + 1
    ]


def _boxes_by_image(
    records: Sequence[Record], images: Collection[int | str], names: dict[int | str, str], errors: ErrorPolicy
) -> dict[int | str, list[AnnotatedBox]]:
    boxes = defaultdict(list)
    for record in records:
        with errors:
            image_id, category_id = record.get("image_id", ID), record.get("category_id", ID)
            if record.values.get("id") is not None:  # nothing here needs it
                record.get("id", ID)
            if image_id not in images:
                raise not_among(record, "image_id", images, "images")
            if category_id not in names:
                raise not_among(record, "category_id", names, "categories")
            ignored = CROWD if _is_marked(record, "iscrowd") else MARKED_IGNORED if _is_marked(record, "ignore") else ""
            box = AnnotatedBox(box_corners(record), names[category_id], ignored, area(record), record.where)
            boxes[image_id].append(box)
    return boxes


def _is_marked(record: Record, key: str) -> bool:
    value = record.values.get(key)
    if value not in (None, 0, 1):
        raise record.error(f"'{key}' should be 0 or 1, but is {shown(value)}")
    return bool(value)


def _pictures(
    folder: Path, images: dict[int | str, Record], boxes: dict[int | str, list[AnnotatedBox]], errors: ErrorPolicy
) -> Iterator[AnnotatedPicture]:
    for key, record in images.items():
        with errors:
            name, (height, width) = file_name(record), picture_size(record)
            yield AnnotatedPicture(name, picture_file(folder, name), height, width, boxes.get(key, []))
