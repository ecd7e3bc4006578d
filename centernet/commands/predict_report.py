"""What `centernet predict` writes, and where."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from centernet_data.contract.boxes import cyxhw_to_xywh

JPEG_SUFFIXES = (".jpg", ".jpeg")


def drawn_paths(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where each drawn picture goes: JPEG stays JPEG, everything else becomes PNG.

    Raises ValueError if two pictures would go to one file, or one would replace the picture it was drawn from.
    """
    targets = [out / (p.name if p.suffix.lower() in JPEG_SUFFIXES else f"{p.stem}.png") for p in paths]
    if doubled := [target for target, count in Counter(targets).items() if count > 1]:
        both = [str(p) for p, target in zip(paths, targets, strict=True) if target == doubled[0]]
        raise ValueError(f"{both[0]} and {both[1]} would both be drawn to {doubled[0]}; give them to separate runs")
    if same := [p for p, target in zip(paths, targets, strict=True) if p.resolve() == target.resolve()]:
        raise ValueError(f"{same[0]}: would be overwritten by the drawn picture; choose another --out")
    return targets


def detection_records(file_name: str, objects: Float[np.ndarray, "n 6"], classes: Sequence[str]) -> list[dict]:
    """One record per detection; the box is (x, y, width, height) in the picture's pixels, from its top left corner."""
    return [
        {
            "file_name": file_name,
            "box": [round(value, 2) for value in box],
            "class": classes[int(row[4])],
            "score": round(row[5], 4),
        }
        for box, row in zip(cyxhw_to_xywh(objects[:, :4]).tolist(), objects.tolist(), strict=True)
    ]
