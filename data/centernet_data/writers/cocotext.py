"""Writes rendered scenes to files: pictures with annotations in COCO-Text's format."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from centernet_data.contract.boxes import cyxhw_to_xywh
from centernet_data.contract.files import folder_written_beside
from centernet_data.imaging.encoding import write_picture
from centernet_data.synthetic.scene_text import SceneTextDataset
from centernet_data.synthetic.text_layout import Word

ANNOTATIONS = "cocotext.v2.json"
TOML = "\n".join(
    ['format = "cocotext"']
    + [f'[{split}]\nimages = "images"\nannotations = "{ANNOTATIONS}"\nsplit = "{split}"' for split in ("train", "val")]
)


def write_scenes(out: Path, name: str, counts: Mapping[str, int], seed: int) -> Path:
    """Writes scenes to the folder `out`, all or nothing: `counts` per split ("train" and "val"), and a TOML file
    NAME.toml that describes them. Returns the path of the TOML file. Raises ValueError if the folder exists."""
    with folder_written_beside(out) as folder:
        (folder / "images").mkdir()
        content = {"cats": {}, "imgs": {}, "anns": {}, "imgToAnns": {}, "info": {"description": "rendered scenes"}}
        for split, count in counts.items():
            dataset = SceneTextDataset(split, count, seed)
            for index in range(count):
                _add_scene(content, dataset, index, folder / "images")
        (folder / ANNOTATIONS).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        (folder / f"{name}.toml").write_text(TOML + "\n", encoding="utf-8")
    return out / f"{name}.toml"


def _add_scene(content: dict, dataset: SceneTextDataset, index: int, folder: Path) -> None:
    image_id, name = len(content["imgs"]) + 1, f"{dataset.name(index)}.png"
    write_picture(folder / name, dataset.picture(index))
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
        "bbox": cyxhw_to_xywh(np.array(word.box)).tolist(),
        "mask": np.clip(word.quad, 0, size[::-1]).ravel().tolist(),
        "area": word.box[2] * word.box[3],
        "class": "handwritten" if word.handwritten else "machine printed",
        "legibility": "legible",
        "language": "english",
        "utf8_string": word.text,
    }
