"""`centernet eval`."""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from centernet.options import Backend, require_parent_folder
from centernet_data.contract.precision import Device, Precision


@dataclass(frozen=True)
class Eval:
    """Print the average precision of a model on a data set, over all classes and for each."""

    model: tyro.conf.Positional[Path]
    """A run's model.safetensors."""
    data: str = "shapes"
    """A built-in data set (shapes, scene-text), a TOML file, or tfds:NAME or tfds:FOLDER; its classes must be those of
    the model."""
    split: str = "val"
    """Which section of the data set."""
    flip_test: bool = False
    """Look at each picture together with its mirror image, averaging heatmaps and sizes; takes twice the time."""
    precision: Precision = "float32"
    """Precision of the network; bfloat16 is for accelerators. Boxes and scores are float32."""
    json: Path | None = None
    """Also write the numbers to this file."""
    device: Device | None = None
    """Where it runs: cpu or gpu. By default on an accelerator if there is one."""
    backend: Backend = "jax"
    """Which of the two backends runs the model."""

    def run(self) -> int:
        """Evaluates, prints and writes. Raises ValueError for bad input."""
        from centernet.backends import open_backend
        from centernet_data.contract.files import write_text
        from centernet_data.evaluation import evaluate, report, without_nan
        from centernet_data.source import open_for_model

        require_parent_folder(self.json)
        detector = open_backend(self.backend).load(self.model, self.flip_test, self.precision, self.device)
        dataset = open_for_model(self.data, self.split, detector.config.classes, self.model)
        results = evaluate(lambda pictures: detector(pictures, 0.0), dataset)
        print(report(results))
        if self.json:
            write_text(self.json, json.dumps(without_nan(results), indent=2) + "\n")
        return 0
