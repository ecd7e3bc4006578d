"""`centernet data render`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from centernet_data.contract.checks import require


@dataclass(frozen=True)
class Render:
    """Write rendered scenes with words: pictures, a COCO-Text file, and the TOML file to train on them."""

    what: tyro.conf.Positional[Literal["scene-text"]]
    """The kind of scenes."""
    out: Path
    """Folder to create, with images/, cocotext.v2.json and scene-text.toml."""
    count: int = 1000
    """Pictures to train on."""
    val_count: int = 100
    """Pictures to validate on, from a separate stream of random numbers."""
    seed: int = 0
    """The same seed gives the same pictures; --data scene-text has those of seed 0."""

    def __post_init__(self):
        for name in ("count", "val_count"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("seed", self.seed, self.seed >= 0, "at least 0")

    def run(self) -> int:
        """Writes the folder. Raises ValueError if it exists."""
        from centernet_data.writers.cocotext import write_scenes

        toml = write_scenes(self.out, self.what, {"train": self.count, "val": self.val_count}, self.seed)
        print(f"{self.count} pictures to train on and {self.val_count} to validate on; use them with --data {toml}")
        return 0
