"""A data set of five pictures as files and as TFDS records."""

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from centernet_data.writers.tfds import write_tfds
from helpers.coco import box, coco, write_json, write_toml

F = tfds.features

# The features of TFDS's coco/2017.
COCO = {"id": np.int64, "area": np.int64, "bbox": F.BBoxFeature(), "label": F.ClassLabel(names=["dog", "cat"])}
COCO["is_crowd"] = np.bool_


def picture(folder, name, hw=(40, 60), seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (*hw, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name, **options)


def coco_toml(folder, pictures, boxes):
    """A TOML file whose [train] and [val] are the same pictures, in the same folder."""
    write_json(folder / "boxes.json", coco(pictures, boxes, ("dog", "cat")))
    return write_toml(folder / "my-data.toml", dict.fromkeys(("train", "val"), "boxes.json"), ".")


def five_pictures(folder):
    """Writes five pictures: one turned by EXIF, one without objects, one with a crowd. Returns their TOML file."""
    turned = Image.Exif()
    turned[0x0112] = 6
    sizes = {"a.png": (40, 60), "b.jpg": (60, 40), "sub/c.jpg": (33, 47), "d.png": (50, 50), "é.bmp": (20, 70)}
    (folder / "sub").mkdir()
    for seed, (name, hw) in enumerate(sizes.items()):
        picture(folder, name, hw[::-1] if name == "b.jpg" else hw, seed, **({"exif": turned} if seed == 1 else {}))
    boxes = [
        box(0, 1, 1 / 3, 2 / 7, 31.1, 17.77, area=100 / 3),
        box(0, 0, 50, 30, 99, 99),
        box(1, 0, 5, 50, 20.25, 9.5, area=0),
        box(1, 1, 0, 0, 40, 60, iscrowd=1, area=12.5),
        box(2, 1, 90, 90, 5, 5),
        box(4, 1, 0.1, 0.2, 0.7, 19.8),
    ]
    return coco_toml(folder, sizes, boxes)


def prepared(toml, folder, **options):
    """Converts a data set to TFDS. Returns its name for --data."""
    return f"tfds:{write_tfds(str(toml), folder, **options).folder}"


def assert_same_samples(a, b):
    assert a.classes == b.classes
    assert a.notes == b.notes
    assert len(a) == len(b)
    for one, other in zip(a.samples, b.samples, strict=True):
        assert (one.name, one.height, one.width) == (other.name, other.height, other.width)
        for name in ("objects", "areas", "ignored"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
