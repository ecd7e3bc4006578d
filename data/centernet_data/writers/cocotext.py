"""Rendered scenes as files: pictures, and COCO-Text's annotations of them."""

import json
from pathlib import Path

import numpy as np

from centernet.config import Render
from centernet.training.run_folder import write_picture
from centernet_data.contract.files import folder_written_beside
from centernet_data.readers.json_records import coco_bbox
from centernet_data.synthetic.scene_text import SceneTextDataset
from centernet_data.synthetic.text_layout import Word

ANNOTATIONS = "cocotext.v2.json"
TOML = "\n".join(
    ['format = "cocotext"']
    + [f'[{split}]\nimages = "images"\nannotations = "{ANNOTATIONS}"\nsplit = "{split}"' for split in ("train", "val")]
)


def run_render(config: Render) -> None:
    """Writes the folder `config.out`, all of it or nothing: the scenes of both splits, and the TOML file to read them.

    ValueError if the folder is there already.
    """
    with folder_written_beside(config.out) as folder:
        (folder / "images").mkdir()
        (folder / ANNOTATIONS).write_text(json.dumps(_write_scenes(config, folder), allow_nan=False), encoding="utf-8")
        (folder / f"{config.what}.toml").write_text(TOML + "\n", encoding="utf-8")
    print(
        f"{config.count} pictures to train on and {config.val_count} to validate on; "
        f"use them with --data {config.out / config.what}.toml"
    )


def _write_scenes(config: Render, folder: Path) -> dict:
    """Writes the pictures; returns COCO-Text's annotations of them."""
    content = {"cats": {}, "imgs": {}, "anns": {}, "imgToAnns": {}, "info": {"description": "rendered scenes"}}
    for split, count in (("train", config.count), ("val", config.val_count)):
        dataset = SceneTextDataset(split, count, config.seed)
        for index in range(count):
            _add_scene(content, dataset, index, folder / "images")
    return content


def _add_scene(content: dict, dataset: SceneTextDataset, index: int, folder: Path) -> None:
    image_id, name = len(content["imgs"]) + 1, f"{dataset.name(index)}.png"
    write_picture(folder / name, dataset.image(index))
    height, width = dataset.size
    content["imgs"][str(image_id)] = {
        **{"id": image_id, "set": dataset.split, "file_name": name},
        **{"width": width, "height": height},
    }
    first = len(content["anns"]) + 1
    records = [_record(number, image_id, word, dataset.size) for number, word in enumerate(dataset.words(index), first)]
    content["anns"].update({str(record["id"]): record for record in records})
    content["imgToAnns"][str(image_id)] = [record["id"] for record in records]


def _record(number: int, image_id: int, word: Word, size: tuple[int, int]) -> dict:
    return {
        "id": number,
        "image_id": image_id,
        "bbox": coco_bbox(word.box),
        "mask": np.clip(word.quad, 0, size[::-1]).ravel().tolist(),
        "area": word.box[2] * word.box[3],
        "class": "handwritten" if word.handwritten else "machine printed",
        "legibility": "legible",
        "language": "english",
        "utf8_string": word.text,
    }
