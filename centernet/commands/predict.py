"""`centernet predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from centernet.lock import only_writer
from centernet.options import BackendName, ModelFile, Overwrite
from centernet_data.contract.checks import refuse
from centernet_data.contract.precision import Device, Precision


@dataclass(frozen=True)
class Predict:
    """Detect objects in pictures: draw them, and write them to detections.json.

    A picture that cannot be read or drawn does not keep the others from it; the exit status is then 1.
    """

    model: ModelFile
    pictures: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE-OR-FOLDER...", help_behavior_hint="(required)")]
    ]
    """Picture files, and folders of them."""
    recursive: bool = False
    """Also look into the folders' sub-folders, which drawn pictures then lie in, too."""
    out: Path = Path("detections")
    """Folder for the drawn pictures and detections.json."""
    overwrite: Overwrite = False
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
        """Detects, draws and writes. Returns 1 if some pictures could not be read or drawn, 2 if none could. Raises
        ValueError for bad input."""
        from centernet.backends import open_backend
        from centernet.commands.predict_work import find, write_detections

        jobs = find(self.pictures, self.recursive, self.out, self.overwrite)
        with only_writer(self.out):
            detector = open_backend(self.backend).load(self.model, self.flip_test, self.precision, self.device)
            return write_detections(jobs, detector, self.min_confidence, self.out)
