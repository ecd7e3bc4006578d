"""Data sets in YOLO's layout."""

from PIL import Image

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: red\n  1: blue\n"


def write_yolo(root, labels, split="train", size=(40, 20)):
    """Pictures of `size` (width, height) with these labels, texts by picture name; None for no label file."""
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(labels.items(), start=1):
        Image.new("RGB", size, (0, 40 * number, 0)).save(root / "images" / split / name)
        if text is not None:
            (root / "labels" / split / name).with_suffix(".txt").write_text(text)
    return root
