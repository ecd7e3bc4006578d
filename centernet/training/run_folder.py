"""The folder that a training run leaves: what is in it, and how it is written."""

import json
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from centernet.training.resume import require_same_settings
from centernet_data.contract.files import naming, read_text, write_text

FILES = (
    "model.safetensors", "checkpoints", "config.toml", "metrics.jsonl", "curves.png", "predictions.png", "tensorboard"
)  # fmt: skip
UNFINISHED = re.compile(rf"\.\d+-({'|'.join(map(re.escape, FILES))})")  # what a killed process left half-written


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files. `metrics.jsonl` and `tensorboard` grow; everything else is written beside and renamed."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.png"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def require_free(self, overwrite: bool) -> None:
        """Raises ValueError if there is a run already, unless it may be overwritten."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: a file, not a folder")
        held = [name for name in FILES if (self.path / name).exists()]
        if held and not overwrite:
            raise ValueError(f"{self.path}: already holds a run ({held[0]}); choose another --out or give --overwrite")

    def require_resumable(self, settings: dict) -> None:
        """Raises ValueError if there is something that a run with these settings could neither resume nor replace."""
        if not self.config.exists():
            self.require_free(overwrite=False)
        else:
            require_same_settings(tomllib.loads(read_text(self.config, "TOML")), settings, self.config)
        if self.model.exists() and not self.checkpoints.exists():
            raise ValueError(f"{self.path}: holds a model, but no checkpoint to resume from")

    def begin(self, settings: dict) -> None:
        """Makes the folder, clears an older run out of it, and writes the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_unfinished()
        for path in (self.model, self.checkpoints):
            _remove(path)
        write_text(self.config, tomli_w.dumps(settings))  # a run killed from here on can be resumed
        for path in (self.metrics, self.curves, self.predictions, self.tensorboard):
            _remove(path)

    def remove_unfinished(self) -> None:
        """Removes what a killed process left half-written."""
        for path in self.path.iterdir():
            if UNFINISHED.fullmatch(path.name):
                _remove(path)

    def append_metrics(self, metrics: dict) -> None:
        """Adds one line to metrics.jsonl."""
        with naming(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")

    def cut_metrics(self, count: int) -> list[dict]:
        """Cuts metrics.jsonl off after that many lines, and returns them. Raises ValueError if there are fewer complete
        ones."""
        lines = self.metrics.read_bytes().splitlines(keepends=True) if self.metrics.exists() else []
        kept = lines[:count]
        if len(kept) < count or not all(line.endswith(b"\n") for line in kept):
            raise ValueError(
                f"{self.metrics}: has fewer than the {count} lines that it had when the checkpoint was saved"
            )
        os.truncate(self.metrics, sum(map(len, kept)))
        return [json.loads(line) for line in kept]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
