"""Rendered scenes as files: pictures, and COCO-Text's annotations of them."""

import json
from pathlib import Path

import numpy as np

from centernet_data.config import Render
from centernet_data.run_folder import write_picture, write_text
from centernet_data.scene_text import SceneTextDataset
from centernet_data.text_layout import Word

ANNOTATIONS = "cocotext.v2.json"
TOML = "\n".join(
    ['format = "cocotext"']
    + [f'[{split}]\nimages = "images"\nannotations = "{ANNOTATIONS}"\nsplit = "{split}"' for split in ("train", "val")]
)


def run_render(config: Render) -> None:
    """Writes the scenes of both splits into a folder, with the TOML file that describes it.

    ValueError if the folder already holds such annotations.
    """
    annotations, description = config.out / ANNOTATIONS, config.out / f"{config.what}.toml"
    if annotations.exists():
        raise ValueError(f"{annotations}: is already there; choose another --out")
    (config.out / "images").mkdir(parents=True, exist_ok=True)
    content = {"cats": {}, "imgs": {}, "anns": {}, "imgToAnns": {}, "info": {"description": "rendered scenes"}}
    for split, count in (("train", config.count), ("val", config.val_count)):
        dataset = SceneTextDataset(split, count, config.seed)
        for index in range(count):
            _add_scene(content, dataset, index, config.out / "images")
    write_text(annotations, json.dumps(content, allow_nan=False))
    write_text(description, TOML + "\n")
    print(
        f"{config.count} pictures to train on and {config.val_count} to validate on; use them with --data {description}"
    )


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
    y, x, height, width = word.box
    return {
        "id": number,
        "image_id": image_id,
        "bbox": [x - width / 2, y - height / 2, width, height],
        "mask": np.clip(word.quad, 0, size[::-1]).ravel().tolist(),
        "area": width * height,
        "class": "handwritten" if word.handwritten else "machine printed",
        "legibility": "legible",
        "language": "english",
        "utf8_string": word.text,
    }
