"""`centernet predict`."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from centernet.options import Backend
from centernet_data.contract.precision import Device, Precision

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

JPEG_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Predict:
    """Draw what a model finds in pictures, and write it to detections.json."""

    model: tyro.conf.Positional[Path]
    """A run's model.safetensors."""
    pictures: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE-OR-FOLDER...")]]
    """Picture files, and folders of them."""
    out: Path = Path("detections")
    """Folder for the drawn pictures and detections.json."""
    min_confidence: float = 0.3
    """Leave out detections with a lower score."""
    flip_test: bool = False
    """Look at each picture together with its mirror image, averaging heatmaps and sizes; takes twice the time."""
    precision: Precision = "float32"
    """Precision of the network; bfloat16 is for accelerators. Boxes and scores are float32."""
    device: Device | None = None
    """Where it runs: cpu or gpu. By default on an accelerator if there is one."""
    backend: Backend = "jax"
    """Which of the two backends runs the model."""

    def __post_init__(self):
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"--min-confidence must be between 0 and 1, not {self.min_confidence}")

    def run(self) -> int:
        """Detects, draws and writes. Raises ValueError for bad input."""
        from centernet.backends import open_backend
        from centernet_data.contract.files import write_text
        from centernet_data.imaging.decoding import find_pictures, read_picture
        from centernet_data.imaging.drawing import draw_objects
        from centernet_data.imaging.encoding import write_picture

        paths = find_pictures(self.pictures)
        if not paths:
            raise ValueError("no picture was given")
        targets = drawn_paths(paths, self.out)
        for path in paths:  # decoded twice, so that a damaged picture is found before anything is written
            read_picture(path)
        detector = open_backend(self.backend).load(self.model, self.flip_test, self.precision, self.device)
        self.out.mkdir(parents=True, exist_ok=True)
        records = []
        for path, target in zip(paths, targets, strict=True):
            picture = read_picture(path)
            (objects,) = detector([picture], self.min_confidence)
            write_picture(target, draw_objects(picture, objects, detector.config.classes))
            records += detection_records(str(path), objects, detector.config.classes)
            print(f"{path}: {len(objects)} found")
        write_text(self.out / "detections.json", json.dumps(records, indent=1) + "\n")
        print(f"drawn pictures and detections.json are in {self.out}")
        return 0


def drawn_paths(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where each drawn picture goes: JPEG stays JPEG, all else becomes PNG. Raises ValueError if two would be one file,
    or one would replace the picture it was drawn from."""
    targets = [out / (p.name if p.suffix.lower() in JPEG_SUFFIXES else f"{p.stem}.png") for p in paths]
    if doubled := [target for target, count in Counter(targets).items() if count > 1]:
        both = [str(p) for p, target in zip(paths, targets, strict=True) if target == doubled[0]]
        raise ValueError(f"{both[0]} and {both[1]} would both be drawn to {doubled[0]}; give them to separate runs")
    if same := [p for p, target in zip(paths, targets, strict=True) if p.resolve() == target.resolve()]:
        raise ValueError(f"{same[0]}: would be overwritten by the drawn picture; choose another --out")
    return targets


def detection_records(file_name: str, objects: "Float[np.ndarray, 'n 6']", classes: Sequence[str]) -> list[dict]:
    """One record per detection; the box as x, y, width, height in the picture's own pixels, from its top left."""
    from centernet_data.contract.boxes import cyxhw_to_xywh

    return [
        {
            "file_name": file_name,
            "box": [round(value, 2) for value in box],
            "class": classes[int(row[4])],
            "score": round(row[5], 4),
        }
        for box, row in zip(cyxhw_to_xywh(objects[:, :4]).tolist(), objects.tolist(), strict=True)
    ]
