"""Cutting some pictures with their objects out of a data set, as a smaller one in COCO's format."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tomli_w

from centernet.config import Subset
from centernet.training.run_folder import write_picture
from centernet_data.contract.files import folder_written_beside
from centernet_data.dataset import Dataset, PictureDataset, Sample
from centernet_data.readers.annotations import duplicates, listed
from centernet_data.readers.coco import annotations_of, by_id, read_records
from centernet_data.readers.json_records import Record, read_json
from centernet_data.source import coco_section, open_dataset

IMAGES, ANNOTATIONS = "images", "instances.json"


def run_subset(config: Subset) -> Path:
    """Writes the folder `config.out`, all of it or nothing, and returns the TOML file in it.

    ValueError for bad input, for an id that the data set does not have, or if the folder is there already.
    """
    if (config.ids is None) == (config.count is None):
        raise ValueError("either --ids or --count must say which pictures to cut out")
    if config.count is not None and config.count < 1:
        raise ValueError(f"--count must be at least 1, not {config.count}")
    if config.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {config.seed}")
    wanted = None if config.ids is None else read_ids(config.ids)
    with folder_written_beside(config.out) as folder:
        (folder / IMAGES).mkdir()
        section = coco_section(config.data, config.split)
        if section is None:
            dataset = open_dataset(config.data, config.split)
            content, classes, notes = _cut_dataset(dataset, wanted, config, folder / IMAGES), None, dataset.notes
        else:
            (images, annotations, classes), notes = section, ()
            content = _cut_coco(images, annotations, wanted, config, folder / IMAGES)
        (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
        toml = {"format": "coco", **({} if classes is None else {"classes": classes})}
        toml[config.split] = {"images": IMAGES, "annotations": ANNOTATIONS}
        (folder / f"{config.out.name}.toml").write_text(tomli_w.dumps(toml), encoding="utf-8")
    path = config.out / f"{config.out.name}.toml"
    counts = f"{len(content['images'])} pictures with {len(content['annotations'])} annotations"
    print(f"{counts}, its [{config.split}]: use them with --data {path}")
    for note in notes:
        print(f"  of all that they were chosen from: {note}")
    return path


def read_ids(path: Path) -> list[str]:
    """The ids of a file, one a line; # begins a comment. ValueError if there are none, or one is there twice."""
    if not path.is_file():
        raise ValueError(f"{path}: the file of ids does not exist")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text: {error}") from error
    ids = [line.partition("#")[0].strip() for line in lines]
    ids = [line for line in ids if line]
    if not ids:
        raise ValueError(f"{path}: there is no id in it")
    if repeated := duplicates(ids):
        raise ValueError(f"{path}: ids that are there twice: {listed(repeated)}")
    return ids


def choose(ids: Sequence[str], wanted: Sequence[str] | None, config: Subset) -> list[int]:
    """The places in `ids` of those that are `wanted`, or else of as many as the configuration draws, in order."""
    if wanted is None:
        if config.count > len(ids):
            raise ValueError(f"{config.data}: [{config.split}] has {len(ids)} pictures, not {config.count}")
        drawn = np.random.default_rng(config.seed).choice(len(ids), config.count, replace=False)
        return sorted(drawn.tolist())
    places = {name: place for place, name in enumerate(ids)}
    if unknown := [name for name in wanted if name not in places]:
        raise ValueError(
            f"{config.ids}: {len(unknown)} ids that [{config.split}] of {config.data} lacks: {listed(unknown)}"
        )
    return sorted(places[name] for name in wanted)


def _cut_coco(images: Path, annotations: Path, wanted: list[str] | None, config: Subset, folder: Path) -> dict:
    """What a COCO file says of the chosen pictures, all else in it kept, and their files copied."""
    content = read_json(annotations, "COCO")
    by_key = by_id(read_records(content, "images", annotations))
    keys = list(by_key)
    chosen = {keys[place] for place in choose([str(key) for key in keys], wanted, config)}
    for key in keys:
        if key in chosen:
            _copy(images, by_key[key], folder)
    boxes = read_records(content, "annotations", annotations)
    return content.values | {
        "images": [by_key[key].values for key in keys if key in chosen],
        "annotations": [box.values for box in boxes if box.get("image_id", (int, str)) in chosen],
    }


def _copy(images: Path, record: Record, folder: Path) -> None:
    name = record.get("file_name", str)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise record.error(f"its 'file_name' leads out of the folder of the pictures: {name}")
    if not (images / name).is_file():
        raise record.error(f"its picture {images / name} does not exist")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(images / name, folder / name)


def _cut_dataset(dataset: Dataset, wanted: list[str] | None, config: Subset, folder: Path) -> dict:
    """The chosen pictures of any data set, written down as COCO does; ignored objects become crowds."""
    samples = [dataset.sample(index) for index in range(len(dataset))]
    names = [Path(sample.name).stem for sample in samples]
    if repeated := duplicates(names):
        raise ValueError(f"{config.data}: [{config.split}] has several pictures named {listed(repeated)}")
    chosen = choose(names, wanted, config)
    images = [_write_picture(dataset, index, samples[index], folder) for index in chosen]
    boxes = [box for number, index in enumerate(chosen, start=1) for box in annotations_of(samples[index], number)]
    return {
        "images": [image | {"id": number} for number, image in enumerate(images, start=1)],
        "annotations": [box | {"id": number} for number, box in enumerate(boxes, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(dataset.classes, start=1)],
    }


def _write_picture(dataset: Dataset, index: int, sample: Sample, folder: Path) -> dict:
    if isinstance(dataset, PictureDataset):
        name = dataset.paths[index].name
        shutil.copyfile(dataset.paths[index], folder / name)
    else:
        name = f"{Path(sample.name).stem}.png"
        write_picture(folder / name, dataset.image(index))
    return {"file_name": name, "height": sample.height, "width": sample.width}
