"""The folder that a training run leaves: what is in it, and how it is written."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w
from PIL import Image

from centernet_data.files import written_beside

FILES = ("model.safetensors", "config.toml", "metrics.jsonl", "curves.png", "predictions.png")


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files. `metrics.jsonl` grows line by line; everything else is written beside and renamed."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.png"

    def require_free(self, overwrite: bool) -> None:
        """ValueError if there is a run already, unless it may be overwritten."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: a file, not a folder")
        held = [name for name in FILES if (self.path / name).exists()]
        if held and not overwrite:
            raise ValueError(f"{self.path}: already holds a run ({held[0]}); choose another --out or give --overwrite")

    def begin(self, config: dict) -> None:
        """Makes the folder, clears an older run out of it, and writes the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
        write_text(self.path / "config.toml", tomli_w.dumps(config))

    def append_metrics(self, metrics: dict) -> None:
        """Adds one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file beside and renames it."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_picture(path: Path, picture: Image.Image | np.ndarray) -> None:
    """Writes a picture beside and renames it; the format follows the name."""
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with written_beside(path) as beside:
        picture.save(beside, **({"quality": 92} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
