"""Writes data sets in COCO's format; those that are in it already keep all fields of their records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from centernet_data.dataset import coco_annotations
from centernet_data.source import coco_section
from centernet_data.writers.parts import Part
from centernet_data.writers.pictures import Place, file_names, renamed
from centernet_data.writers.written import Written

ANNOTATIONS = "annotations/instances_{}.json"


def write_coco(folder: Path, data: str, splits: Mapping[str, Part], place: Place) -> Written:
    """Writes the splits of the data set `data` to images/SPLIT and annotations/instances_SPLIT.json in `folder`.

    From a data set in COCO's format, keeps all fields of the records, and all categories. From others, ignored objects
    become crowds. `place` writes the pictures, and raises ValueError for one that cannot be read.
    """
    notes = {}
    description: dict[str, object] = {"format": "coco"}
    (folder / "annotations").mkdir()
    for split, part in splits.items():
        images, annotations = f"images/{split}", ANNOTATIONS.format(split)
        names = file_names(part)
        content, classes = _records(data, split, part, names)
        for index, name in enumerate(names):
            place(part, index, folder / images / name)
        (folder / annotations).write_text(json.dumps(content), encoding="utf-8")
        description |= {} if classes is None else {"classes": classes}
        description[split] = {"images": images, "annotations": annotations}
        notes[split] = renamed(part, names)
    return Written(description, notes)


def _records(data: str, split: str, part: Part, names: Sequence[str]) -> tuple[dict, list[str] | None]:
    """The content of the COCO file, and the list of classes to choose from it."""
    section = coco_section(data, split)
    if section is None:
        return _converted(part, names), None
    content = json.loads(section[1].read_bytes())  # `part` has its pictures, in its order
    content = _reduced(content, part, names)
    content["categories"] = _with_all(content["categories"], section[2] or ())
    return content, section[2]


def _reduced(content: dict, part: Part, names: Sequence[str]) -> dict:
    """A COCO file's content with only the part's pictures and their objects, and everything else in it."""
    images = [content["images"][index] for index in part.indices]
    chosen = {image["id"] for image in images}
    return content | {
        "images": [image | {"file_name": name} for image, name in zip(images, names, strict=True)],
        "annotations": [record for record in content["annotations"] if record["image_id"] in chosen],
    }


def _with_all(categories: list[dict], classes: Sequence[str]) -> list[dict]:
    """The categories, and new ones for classes that only the data set's other splits have."""
    absent = [name for name in classes if name not in {category["name"] for category in categories}]
    return [*categories, *({"id": f"{name} of the other splits", "name": name} for name in absent)]


def _converted(part: Part, names: Sequence[str]) -> dict:
    """The content of a COCO file for a part of any data set."""
    samples = [part.sample(index) for index in range(len(part))]
    boxes = [box for number, sample in enumerate(samples, start=1) for box in coco_annotations(sample, number)]
    return {
        "images": [
            {"id": number, "file_name": name, "height": sample.height, "width": sample.width}
            for number, (name, sample) in enumerate(zip(names, samples, strict=True), start=1)
        ],
        "annotations": [box | {"id": number} for number, box in enumerate(boxes, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(part.classes, start=1)],
    }
