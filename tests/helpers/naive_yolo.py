"""Reads YOLO's layout in the plainest way, as an oracle: no check, no list of pictures, no polygon."""

import numpy as np
import yaml
from PIL import Image, ImageOps


def read_plainly(folder, split):
    """The class names, and (label, x_min, y_min, x_max, y_max) in pixels for each picture, by its name without
    suffix."""
    content = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    names = [content["names"][number] for number in range(len(content["names"]))]
    images, boxes = folder / content[split], {}
    for path in sorted(path for path in images.rglob("*") if path.is_file()):
        with Image.open(path) as image:
            width, height = ImageOps.exif_transpose(image).size
        labels = folder / "labels" / split / path.relative_to(images).with_suffix(".txt")
        rows = []
        for line in labels.read_text(encoding="utf-8").splitlines():
            label, x, y, w, h = (float(text) for text in line.split(" "))
            sides = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
            rows.append((label, *sides))
        boxes[path.relative_to(images).with_suffix("").as_posix()] = np.array(rows).reshape(-1, 5)
    return names, boxes
