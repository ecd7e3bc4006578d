"""Reads data sets annotated in COCO's JSON format."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from centernet_data.contract.messages import listed, shown
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, PictureDataset
from centernet_data.readers.annotations import CROWD, chosen_classes, dataset_of
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.json_records import Record, area, box_corners, picture_size, read_json


def read_coco(
    images: Path, annotations: Path, classes: Sequence[str] | None = None, errors: ErrorPolicy = RAISE
) -> PictureDataset:
    """Reads the pictures of a COCO file, in its order, including those without objects.

    The file's `file_name`s are relative to the folder `images`. A class's index is its position in `classes` if given,
    otherwise in the file's `categories`; the ids may have gaps. Crowds become `ignored`. Boxes are clipped to their
    picture; `areas` are the file's (the areas of the outlines), or the clipped boxes' where the file has none. Raises
    ValueError, naming the file and the record, for anything missing, malformed or inconsistent; mistakes in single
    records go to `errors`.
    """
    content = read_json(annotations, "COCO")
    image_records, box_records, category_records = (
        read_records(content, key, annotations, errors) for key in ("images", "annotations", "categories")
    )
    names = _category_names(category_records, annotations, errors)
    chosen = chosen_classes(list(dict.fromkeys(names.values())), classes, annotations)
    images_by_id = by_id(image_records, errors)
    boxes = _boxes_by_image(box_records, images_by_id, names, errors)
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of pictures does not exist")
    pictures = _pictures(images, images_by_id, boxes, errors)
    return dataset_of(pictures, chosen, annotations, errors)


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
    return isinstance(values, dict) and isinstance(values.get("id"), (int, str))


def by_id(records: Sequence[Record], errors: ErrorPolicy = RAISE) -> dict[int | str, Record]:
    """The records by id. Duplicate ids go to `errors`."""
    found = {}
    for record in records:
        with errors:
            key = record.get("id", (int, str))
            if key in found:
                raise record.error("duplicate id")
            found[key] = record
    return found


def _category_names(records: Sequence[Record], path: Path, errors: ErrorPolicy) -> dict[int | str, str]:
    names = {}
    for key, record in by_id(records, errors).items():
        with errors:
            name = record.get("name", str)
            repeated = name in names.values()
            names[key] = name  # kept, or every box of this category would be reported too
            if repeated:
                raise record.error(f"duplicate name '{name}'")
    if gaps := _gaps([key for key in names if isinstance(key, int)]):
        errors.remark(
            f"{path}: the category ids skip {listed(gaps)}; a class's index is its position in the file, not its id"
        )
    return names


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
            image_id, category_id = record.get("image_id", (int, str)), record.get("category_id", (int, str))
            record.get("id", (int, str))
            if image_id not in images:
                raise record.error(f"its image_id {image_id!r} is not among the images")
            if category_id not in names:
                raise record.error(f"its category_id {category_id!r} is not among the categories")
            ignored = CROWD if _is_crowd(record) else ""
            box = AnnotatedBox(box_corners(record), names[category_id], ignored, area(record), record.where)
            boxes[image_id].append(box)
    return boxes


def _is_crowd(record: Record) -> bool:
    value = record.values.get("iscrowd", 0)
    if value not in (0, 1):
        raise record.error(f"'iscrowd' should be 0 or 1, but is {shown(value)}")
    return bool(value)


def _pictures(
    folder: Path, images: dict[int | str, Record], boxes: dict[int | str, list[AnnotatedBox]], errors: ErrorPolicy
) -> Iterator[AnnotatedPicture]:
    for key, record in images.items():
        with errors:
            name, (height, width) = record.get("file_name", str), picture_size(record)
            yield AnnotatedPicture(name, folder / name, height, width, boxes.get(key, []))
