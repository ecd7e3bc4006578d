"""A data set of three small pictures in COCO's format."""

import numpy as np
from PIL import Image

from centernet.cli import main
from helpers.coco import box, coco, write_json, write_toml

CLASSES = ("red", "blue")
COLOURS = ((200, 30, 30), (30, 30, 200))


def make_data(folder):
    """Writes three pictures of 64 x 64 with up to two coloured boxes, boxes.json and data.toml. Returns its path."""
    (folder / "images").mkdir(parents=True)
    rng, boxes = np.random.default_rng(0), []
    for number in range(3):
        picture = rng.integers(100, 140, (64, 64, 3), np.uint8)
        for label in range(number % 3):
            x, y, width, height = 4 + 30 * label, 6 * number, 20 + number, 24
            picture[y : y + height, x : x + width] = COLOURS[label]
            boxes.append(box(number, label, x, y, width, height, id=10 * number + label))
        Image.fromarray(picture).save(folder / f"images/{number}.png")
    write_json(folder / "boxes.json", coco({f"{n}.png": (64, 64) for n in range(3)}, boxes, CLASSES))
    return write_toml(folder / "data.toml", dict.fromkeys(("train", "val"), "boxes.json"))


# Quick settings of `centernet train` for it.
TINY = ("--image-size", 64, "--batch-size", 2, "--epochs", 2, "--depth", 18)


def run(*arguments):
    """Runs `centernet` with these arguments. Returns its status."""
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Runs a command that must end with status 2 and one line on stderr. Returns that line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("centernet: ")
    assert len(message.splitlines()) == 1, message
    return message
