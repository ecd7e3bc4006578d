"""`centernet predict`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from centernet.options import BackendName, ModelFile
from centernet_data.contract.checks import refuse
from centernet_data.contract.files import write_text
from centernet_data.contract.precision import Device, Precision


@dataclass(frozen=True)
class Predict:
    """Detect objects in pictures: draw them, and write them to detections.json."""

    model: ModelFile
    pictures: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE-OR-FOLDER...", help_behavior_hint="(required)")]
    ]
    """Picture files, and folders of them."""
    out: Path = Path("detections")
    """Folder for the drawn pictures and detections.json."""
    min_confidence: float = 0.3
    """Leave out detections with a lower score."""
    flip_test: bool = False
    """Also look at each picture's mirror image and average heatmaps and sizes; takes twice as long."""
    precision: Precision = "float32"
    """Precision of the network; bfloat16 is for accelerators. Boxes and scores are always float32."""
    device: Device | None = None
    """Device to run on: cpu or gpu. By default an accelerator if there is one."""
    backend: BackendName = "jax"
    """Backend that runs the model."""

    def __post_init__(self):
        if not 0 <= self.min_confidence <= 1:
            refuse(f"--min-confidence must be between 0 and 1, not {self.min_confidence}")

    def run(self) -> int:
        """Detects, draws and writes. Raises ValueError for bad input."""
        from centernet.backends import open_backend
        from centernet.commands.predict_report import detection_records, drawn_paths
        from centernet_data.imaging.decoding import read_picture
        from centernet_data.imaging.drawing import draw_objects
        from centernet_data.imaging.encoding import write_picture
        from centernet_data.imaging.finding import find_pictures

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
        print(f"the drawn pictures and detections.json are in {self.out}")
        return 0
