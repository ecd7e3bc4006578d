"""Makes a data set of COCO's size, to measure what reading, verifying and checking one take.

    python -m parity.bench.large_coco FOLDER --source shared/data/tiny_coco/images

writes FOLDER/images, FOLDER/train.json (some 570 MB, most of it polygons, as in COCO) and FOLDER/data.toml: as many
pictures and boxes as COCO's train2017. The boxes are random; the pictures are links to those of the source.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import tyro

from centernet_data.imaging.decoding import picture_content, upright_size

PICTURES, BOXES = 118_287, 828_726  # what this project measures with
CLASSES = 80
CORNERS = 34  # of a polygon: a file as large as COCO's own with that many numbers
SEVERAL = 1000  # annotations made at once


def make_large_coco(folder: Path, /, source: Path, pictures: int = PICTURES, boxes: int = BOXES, seed: int = 0) -> None:
    """Writes a data set into a new folder; from the same seed and source the same. Raises ValueError if the folder
    exists, or if `source` has no JPEG files or one is damaged.

    Args:
        folder: Where it is written.
        source: A folder of JPEG files, of which the pictures are links.
        pictures: How many pictures.
        boxes: How many boxes, at random in these.
        seed: Seed of the boxes.
    """
    if os.path.lexists(folder):
        raise ValueError(f"{folder}: already exists")
    originals = sorted(source.glob("*.jpg"))
    if not originals:
        raise ValueError(f"{source}: there are no .jpg files")
    sizes = [upright_size(picture_content(path), str(path)) for path in originals]
    (folder / "images").mkdir(parents=True)
    for number in range(pictures):
        _link(originals, folder / "images", number)
    with (folder / "train.json").open("w", encoding="utf-8") as file:
        _write(file, pictures, _annotations(pictures, boxes, sizes, np.random.default_rng(seed)), sizes)
    text = 'format = "coco"\n[train]\nimages = "images"\nannotations = "train.json"\n'
    (folder / "data.toml").write_text(text, encoding="utf-8")


def _name(number: int) -> str:
    return f"{number:012}.jpg"


def _link(originals: Sequence[Path], folder: Path, number: int) -> None:
    """Copies the originals first, because hard links do not lead into another file system."""
    if number < len(originals):
        shutil.copyfile(originals[number], folder / _name(number))
    else:
        os.link(folder / _name(number % len(originals)), folder / _name(number))


def _write(file: IO[str], pictures: int, annotations: Iterable[dict], sizes: Sequence[tuple[int, int]]) -> None:
    """Writes COCO's JSON piece by piece, so that it is never whole in memory."""
    file.write('{"images": [')
    for number in range(pictures):
        height, width = sizes[number % len(sizes)]
        image = {"id": number, "file_name": _name(number), "height": height, "width": width}
        file.write((", " if number else "") + json.dumps(image))
    file.write('], "annotations": [')
    for number, annotation in enumerate(annotations):
        file.write((", " if number else "") + json.dumps(annotation))
    categories = [{"id": number, "name": f"class {number}"} for number in range(CLASSES)]
    file.write(f'], "categories": {json.dumps(categories)}}}')


def _annotations(
    pictures: int, boxes: int, sizes: Sequence[tuple[int, int]], rng: np.random.Generator
) -> Iterator[dict]:
    for first in range(0, boxes, SEVERAL):
        count = min(SEVERAL, boxes - first)
        images, classes = rng.integers(pictures, size=count), rng.integers(CLASSES, size=count)
        frames = np.array(sizes, float)[images % len(sizes), ::-1]  # width, height
        sides = np.maximum(1, frames * 10 ** rng.uniform(-1.7, -0.1, (count, 2)))
        corners = rng.uniform(0, 1, (count, 2)) * (frames - sides)
        bboxes = np.round(np.column_stack([corners, sides]), 2).tolist()
        polygons = np.round(corners[:, None] + rng.uniform(0, 1, (count, CORNERS, 2)) * sides[:, None], 2)
        areas = np.round(sides.prod(axis=1), 4).tolist()
        for number in range(count):
            yield {
                "segmentation": [polygons[number].reshape(-1).tolist()],
                "area": areas[number],
                "iscrowd": 0,
                "image_id": int(images[number]),
                "bbox": bboxes[number],
                "category_id": int(classes[number]),
                "id": first + number,
            }


if __name__ == "__main__":
    try:
        tyro.cli(make_large_coco)
    except ValueError as error:
        sys.exit(str(error))
