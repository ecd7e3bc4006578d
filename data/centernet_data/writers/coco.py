"""Writes part of a data set as a smaller one in COCO's format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tomli_w

from centernet_data.contract.files import folder_written_beside
from centernet_data.contract.messages import duplicates, listed
from centernet_data.contract.text_files import read_lines
from centernet_data.dataset import Dataset, Sample, coco_annotations
from centernet_data.imaging.decoding import picture_content, picture_suffix
from centernet_data.imaging.encoding import write_picture
from centernet_data.readers.coco import by_id, read_records
from centernet_data.readers.json_records import Record, file_name, read_json
from centernet_data.readers.named_files import picture_file
from centernet_data.source import coco_section, open_dataset

IMAGES, ANNOTATIONS = "images", "instances.json"


class Subset(NamedTuple):
    """A subset's TOML file, its size, and the notes of the data set that it was taken from."""

    toml: Path
    pictures: int
    annotations: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """A choice of pictures from `data`'s section `split`: those in the file `ids`, or `count` at random from `seed`."""

    data: str
    split: str
    ids: Path | None
    count: int
    seed: int


def write_subset(out: Path, choice: Choice) -> Subset:
    """Writes the chosen pictures and their objects to the folder `out`, all or nothing.

    From a data set in COCO's format, keeps all fields of the chosen records, and all categories. Copies picture files
    byte for byte. Raises ValueError for bad input, an id that the data set does not have, or a folder that exists.
    """
    wanted = None if choice.ids is None else read_ids(choice.ids)
    with folder_written_beside(out) as folder:
        (folder / IMAGES).mkdir()
        section = coco_section(choice.data, choice.split)
        if section is None:
            dataset = open_dataset(choice.data, choice.split)
            content, classes, notes = _cut_dataset(dataset, wanted, choice, folder / IMAGES), None, dataset.notes
        else:
            (images, annotations, classes), notes = section, ()
            content = _cut_coco(images, annotations, wanted, choice, folder / IMAGES)
            content["categories"] = _with_all(content["categories"], classes or ())
        (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
        toml = {"format": "coco", **({} if classes is None else {"classes": classes})}
        toml[choice.split] = {"images": IMAGES, "annotations": ANNOTATIONS}
        (folder / f"{out.name}.toml").write_text(tomli_w.dumps(toml), encoding="utf-8")
    return Subset(out / f"{out.name}.toml", len(content["images"]), len(content["annotations"]), tuple(notes))


def read_ids(path: Path) -> list[str]:
    """Reads the ids in a file, one per line; # starts a comment. Raises ValueError if there are none, or duplicates."""
    if not path.is_file():
        raise ValueError(f"{path}: the file of ids does not exist")
    ids = [line.partition("#")[0].strip() for line in read_lines(path)]
    ids = [line for line in ids if line]
    if not ids:
        raise ValueError(f"{path}: there are no ids in the file")
    if repeated := duplicates(ids):
        raise ValueError(f"{path}: duplicate ids: {listed(repeated)}")
    return ids


def choose(ids: Sequence[str], wanted: Sequence[str] | None, choice: Choice) -> list[int]:
    """The positions in `ids`, in order, of the `wanted` ids, or of `choice.count` ids drawn at random.

    Raises ValueError for unknown ids, or a count above the number of ids.
    """
    if wanted is None:
        if choice.count > len(ids):
            raise ValueError(f"{choice.data}: [{choice.split}] has {len(ids)} pictures, not {choice.count}")
        drawn = np.random.default_rng(choice.seed).choice(len(ids), choice.count, replace=False)
        return sorted(drawn.tolist())
    places = {name: place for place, name in enumerate(ids)}
    if unknown := [name for name in wanted if name not in places]:
        raise ValueError(
            f"{choice.ids}: {len(unknown)} ids are not in [{choice.split}] of {choice.data}: {listed(unknown)}"
        )
    return sorted(places[name] for name in wanted)


def _cut_coco(images: Path, annotations: Path, wanted: list[str] | None, choice: Choice, folder: Path) -> dict:
    """Reduces a COCO file to the chosen pictures, keeping everything else in it, and copies their files."""
    content = read_json(annotations, "COCO")
    by_key = by_id(read_records(content, "images", annotations))
    keys = list(by_key)
    chosen = {keys[place] for place in choose([str(key) for key in keys], wanted, choice)}
    for key in keys:
        if key in chosen:
            _copy(images, by_key[key], folder)
    boxes = read_records(content, "annotations", annotations)
    return content.values | {
        "images": [by_key[key].values for key in keys if key in chosen],
        "annotations": [box.values for box in boxes if box.get("image_id", (int, str)) in chosen],
    }


def _with_all(categories: list[dict], classes: Sequence[str]) -> list[dict]:
    """The categories, and new ones for classes that only the data set's other splits have."""
    absent = [name for name in classes if name not in {category["name"] for category in categories}]
    return [*categories, *({"id": f"{name} of the other splits", "name": name} for name in absent)]


def _copy(images: Path, record: Record, folder: Path) -> None:
    name = file_name(record)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise record.error(f"its 'file_name' leads out of the folder of pictures: {name}")
    path = picture_file(images, name)
    if not path.is_file():
        raise record.error(f"its picture {path} does not exist")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(picture_content(path))


def _cut_dataset(dataset: Dataset, wanted: list[str] | None, choice: Choice, folder: Path) -> dict:
    """Converts the chosen pictures of any data set to COCO's format and writes their files; ignored objects become
    crowds."""
    samples = [dataset.sample(index) for index in range(len(dataset))]
    names = [Path(sample.name).stem for sample in samples]
    if repeated := duplicates(names):
        raise ValueError(f"{choice.data}: [{choice.split}] has several pictures named {listed(repeated)}")
    chosen = choose(names, wanted, choice)
    images = [_write_picture(dataset, index, samples[index], folder) for index in chosen]
    boxes = [box for number, index in enumerate(chosen, start=1) for box in coco_annotations(samples[index], number)]
    return {
        "images": [image | {"id": number} for number, image in enumerate(images, start=1)],
        "annotations": [box | {"id": number} for number, box in enumerate(boxes, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(dataset.classes, start=1)],
    }


def _write_picture(dataset: Dataset, index: int, sample: Sample, folder: Path) -> dict:
    content = dataset.content(index)
    if content is None:
        name = f"{Path(sample.name).stem}.png"
        write_picture(folder / name, dataset.picture(index))
    else:
        name = Path(sample.name).name
        name = name if Path(name).suffix else name + picture_suffix(content, sample.name)
        (folder / name).write_bytes(content)
    return {"file_name": name, "height": sample.height, "width": sample.width}
