"""Data sets in COCO's format."""

import json


def coco(pictures, boxes=(), classes=("red", "blue")):
    """The content of a COCO file. `pictures`: height and width by file name, with ids from 0; `boxes`: annotations
    without ids, or with their own; `classes`: names, with ids from 0."""
    return {
        "images": [
            {"id": i, "file_name": name, "height": h, "width": w} for i, (name, (h, w)) in enumerate(pictures.items())
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(classes)],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes)],
    }


def box(image, category, *bbox, **values):
    """An annotation: x, y, width and height in pixels."""
    return {"image_id": image, "category_id": category, "bbox": list(bbox), **values}


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


def write_toml(path, splits, images="images", head=""):
    """The TOML file that names a COCO file for each split. Returns its path."""
    sections = "".join(f'[{split}]\nimages = "{images}"\nannotations = "{file}"\n' for split, file in splits.items())
    path.write_text(f'format = "coco"\n{head}{sections}', encoding="utf-8")
    return path
