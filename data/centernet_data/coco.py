"""Data sets annotated in COCO's JSON."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from centernet_data.boxes import Box, Picture, chosen_classes, dataset_of, duplicates
from centernet_data.dataset import PictureDataset
from centernet_data.json_records import Record, area, box_corners, picture_size, read_json, shown


def read_coco(images: Path, annotations: Path, classes: Sequence[str] | None = None) -> PictureDataset:
    """The pictures of a COCO file, in its order, with or without objects.

    `images` is the folder that the file's `file_name`s start from. A class's index is its place in `classes`, or
    without these in the file's `categories`; the ids may have gaps. Crowds go to `ignored`. Boxes are clipped to
    their picture; `areas` are the file's (there, the area of the outline), or else those of the clipped boxes.
    ValueError, naming the file and the record, for whatever is missing, malformed or contradictory.
    """
    content = read_json(annotations, "COCO")
    image_records, box_records, category_records = (
        _records(content, key, annotations) for key in ("images", "annotations", "categories")
    )
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of the pictures does not exist")
    names = _category_names(category_records)
    chosen = chosen_classes(list(names.values()), classes, annotations)
    boxes = _boxes_by_image(box_records, _unique_ids(image_records), names)
    return dataset_of(_pictures(images, image_records, boxes), chosen, annotations)


def _records(content: Record, key: str, path: Path) -> list[Record]:
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}[key]
    return [
        Record(values, f"{path}: {singular} {values['id']}" if _has_id(values) else f"{path}: {key}[{index}]")
        for index, values in enumerate(content.get(key, list))
    ]


def _has_id(values: object) -> bool:
    return isinstance(values, dict) and isinstance(values.get("id"), (int, str))


def _unique_ids(records: Sequence[Record]) -> set[int | str]:
    ids = set()
    for record in records:
        key = record.get("id", (int, str))
        if key in ids:
            raise record.error("this id is there twice")
        ids.add(key)
    return ids


def _category_names(records: Sequence[Record]) -> dict[int | str, str]:
    _unique_ids(records)
    names = {record.get("id", (int, str)): record.get("name", str) for record in records}
    if repeated := set(duplicates(names.values())):
        last = next(record for record in reversed(records) if record.values["name"] in repeated)
        raise last.error(f"the name '{last.values['name']}' is there twice")
    return names


def _boxes_by_image(
    records: Sequence[Record], image_ids: set[int | str], names: dict[int | str, str]
) -> dict[int | str, list[Box]]:
    boxes = defaultdict(list)
    for record in records:
        image_id, category_id = record.get("image_id", (int, str)), record.get("category_id", (int, str))
        record.get("id", (int, str))
        if image_id not in image_ids:
            raise record.error(f"its image_id {image_id!r} is not among the images")
        if category_id not in names:
            raise record.error(f"its category_id {category_id!r} is not among the categories")
        ignored = "crowd regions" if _is_crowd(record) else ""
        boxes[image_id].append(Box(box_corners(record), names[category_id], ignored, area(record)))
    return boxes


def _is_crowd(record: Record) -> bool:
    value = record.values.get("iscrowd", 0)
    if value not in (0, 1):
        raise record.error(f"'iscrowd' should be 0 or 1, but is {shown(value)}")
    return bool(value)


def _pictures(folder: Path, records: Sequence[Record], boxes: dict[int | str, list[Box]]) -> Iterator[Picture]:
    for record in records:
        name, (height, width) = record.get("file_name", str), picture_size(record)
        yield Picture(name, folder / name, height, width, boxes.get(record.values["id"], []))
