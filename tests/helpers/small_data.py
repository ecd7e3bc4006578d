"""A data set of three small pictures in COCO's format."""

import json

import numpy as np
from PIL import Image

from centernet.cli import main

CLASSES = ("red", "blue")
COLOURS = ((200, 30, 30), (30, 30, 200))
TOML = """format = "coco"
[train]
images = "images"
annotations = "boxes.json"
[val]
images = "images"
annotations = "boxes.json"
"""


def make_data(folder):
    """Three pictures of 64 x 64 with up to two coloured boxes, data.toml and boxes.json; the path of data.toml."""
    (folder / "images").mkdir(parents=True)
    rng, boxes = np.random.default_rng(0), []
    for number in range(3):
        picture = rng.integers(100, 140, (64, 64, 3), np.uint8)
        for label in range(number % 3):
            x, y, width, height = 4 + 30 * label, 6 * number, 20 + number, 24
            picture[y : y + height, x : x + width] = COLOURS[label]
            box = {"id": 10 * number + label, "image_id": number, "category_id": label}
            boxes.append({**box, "bbox": [x, y, width, height]})
        Image.fromarray(picture).save(folder / f"images/{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 64, "width": 64} for n in range(3)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)],
        "annotations": boxes,
    }
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "data.toml").write_text(TOML, encoding="utf-8")
    return folder / "data.toml"


# Quick settings of `centernet train` for it.
TINY = ("--image-size", 64, "--batch-size", 2, "--epochs", 2, "--depth", 18)


def run(*arguments):
    """`centernet` with these arguments; its status."""
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """The one line on stderr with which a command must end, with status 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("centernet: ")
    assert len(message.splitlines()) == 1, message
    return message
