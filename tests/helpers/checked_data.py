"""A data set to spoil, and what `centernet data check` finds in it."""

import json

from PIL import Image

from centernet.cli import main
from helpers.coco import box, coco, write_json, write_toml

SIDE = 64


def scenes(names, boxes=((1, 2, 20, 24), (30, 30, 20, 20))):
    """A COCO file's content: the same boxes in each picture, alternately red and blue."""
    annotations = [
        box(image, n % 2, *sides, id=10 * image + n) for image in range(len(names)) for n, sides in enumerate(boxes)
    ]
    return coco(dict.fromkeys(names, (SIDE, SIDE)), annotations)


def sound_data(folder):
    """Writes data.toml: three pictures to train on and two to validate on, without a fault. Returns the folder."""
    (folder / "images").mkdir()
    for number in range(5):
        Image.new("RGB", (SIDE, SIDE), (40 * number, 90, 90)).save(folder / f"images/{number}.png")
    write(folder, "train", scenes(["0.png", "1.png", "2.png"]))
    write(folder, "val", scenes(["3.png", "4.png"]))
    write_toml(folder / "data.toml", {"train": "train.json", "val": "val.json"})
    return folder


def write(folder, split, content):
    write_json(folder / f"{split}.json", content)


def check(folder, *options):
    """The exit status, and the findings as (severity, kind, message)."""
    arguments = ["data", "check", folder / "data.toml", "--out", folder / "check.png", "--json", folder / "check.json"]
    status = main([str(argument) for argument in (*arguments, *options)])
    findings = json.loads((folder / "check.json").read_text())["findings"]
    assert all(len(finding["message"].splitlines()) == 1 for finding in findings)
    return status, [(finding["severity"], finding["kind"], finding["message"]) for finding in findings]
