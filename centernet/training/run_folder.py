"""The folder that a training run leaves: what is in it, and how it is written."""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from centernet.training.resume import require_same_settings
from centernet_data.contract.files import UNFINISHED, naming, remove, remove_unfinished, write_text
from centernet_data.contract.messages import listed
from centernet_data.contract.text_files import read_text

FILES = (
    "model.safetensors", "checkpoints", "config.toml", "metrics.jsonl", "curves.png", "predictions.png", "tensorboard"
)  # fmt: skip
OLDER_UNFINISHED = re.compile(rf"\.\d+-({'|'.join(map(re.escape, FILES))})")  # left half-written by versions before 0.2
CHECKPOINT_FILES = re.compile(  # the first and the last part of a name: unfinished ones of versions before 0.2
    rf"(\.\d+-)?\d+\.(safetensors|state|json)(\.orbax-checkpoint-tmp.*)?|{UNFINISHED.pattern}"
)
FOLDERS = {"checkpoints": CHECKPOINT_FILES, "tensorboard": re.compile(r"events\.out\.tfevents\..*")}
ALWAYS_SET = {"data", "seed", "epochs", "batch_size"}  # settings in every run's config.toml, of old versions too


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
        """Raises ValueError if there is a run already, unless it may be overwritten, or anything that no run wrote in
        the place of a run's files."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: a file, not a folder")
        held = [name for name in FILES if os.path.lexists(self.path / name)]
        if held:
            self._require_a_run(held)  # first: --overwrite is no advice where it would be refused
        if held and not overwrite:
            raise ValueError(f"{self.path}: already holds a run ({held[0]}); choose another --out or give --overwrite")

    def require_not_within(self, path: Path | None) -> None:
        """Raises ValueError if `path` is one of the files that a run replaces here."""
        places = [(self.path / name).resolve() for name in FILES]
        if path is not None and any(path.resolve().is_relative_to(place) for place in places):
            raise ValueError(f"{path}: the run in {self.path} would replace it; choose another --out")

    def require_resumable(self, settings: dict) -> None:
        """Raises ValueError if there is something that a run with these settings could neither resume nor replace."""
        if not self.config.exists():
            self.require_free(overwrite=False)
        else:
            require_same_settings(self.read_config(), settings, self.config)
        if self.model.exists() and not self.checkpoints.exists():
            raise ValueError(f"{self.path}: holds a model, but no checkpoint to resume from")

    def read_config(self) -> dict:
        """The settings in config.toml. Raises ValueError, naming it, if it is damaged."""
        try:
            return tomllib.loads(read_text(self.config, "TOML"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{self.config}: not TOML: {error}") from error

    def begin(self, settings: dict) -> None:
        """Clears an older run out of the folder, and writes the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_unfinished()
        remove(self.model)
        self._clear("checkpoints")
        write_text(self.config, tomli_w.dumps(settings))  # a run killed from here on can be resumed
        for path in (self.metrics, self.curves, self.predictions):
            remove(path)
        self._clear("tensorboard")

    def remove_unfinished(self) -> None:
        """Removes what a killed process left half-written."""
        remove_unfinished(self.path)
        for path in self.path.iterdir():
            if OLDER_UNFINISHED.fullmatch(path.name):
                remove(path)

    def _require_a_run(self, held: list[str]) -> None:
        """Raises ValueError if any of what is held was not written by a run; a run writes its config.toml first."""
        if "config.toml" not in held or not self.read_config().keys() >= ALWAYS_SET:
            raise ValueError(f"{self.path}: holds {held[0]}, but not a run's config.toml; choose another --out")
        for name in held:
            path = self.path / name
            if (name in FOLDERS) != path.is_dir():
                raise ValueError(f"{path}: a {'file' if name in FOLDERS else 'folder'}, which no run wrote")
            inner = [child.name for child in path.iterdir()] if name in FOLDERS else []
            if foreign := [child for child in inner if not FOLDERS[name].fullmatch(child)]:
                raise ValueError(f"{path}: holds what no run wrote ({listed(foreign, 3)}); choose another --out")

    def _clear(self, name: str) -> None:
        """Removes what runs wrote into one of their folders, and the folder if that was all."""
        folder = self.path / name
        for path in folder.iterdir() if folder.is_dir() else ():
            if FOLDERS[name].fullmatch(path.name):
                remove(path)
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()

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
