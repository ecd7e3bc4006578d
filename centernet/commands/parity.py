"""`centernet parity`."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.table import Table

from centernet.backends import needs_both_backends
from centernet.options import require_parent_folder
from centernet_data.contract.checks import require
from centernet_data.contract.precision import Device, DType

if TYPE_CHECKING:  # importing this would import both frameworks
    from parity.difference import Difference


@dataclass(frozen=True)
class Parity:
    """Prove that both backends are the same detector, stage by stage: in inference and in training.

    Without options a fresh ResNet-34 is checked; with a model, that one. Ends with status 1 if a bound is broken.
    """

    model: tyro.conf.Positional[Path | None] = None
    """A run's model.safetensors."""
    data: str | None = None
    """With a model: train and detect on this data set (built-in, a TOML file or tfds:NAME), and compare their AP."""
    split: str = "val"
    """Which section of --data."""
    dtype: DType = "float64"
    """Precision of both backends."""
    steps: int = 20
    """How many training steps both take."""
    device: Device = "cpu"
    """Where both compute."""
    json: Path | None = None
    """Also write the numbers to this file."""

    def __post_init__(self):
        require("steps", self.steps, self.steps >= 1, "at least 1")
        if self.data and not self.model:
            raise ValueError("--data needs a model to be checked on it")

    def run(self) -> int:
        """Prints the table, and writes it. Returns 1 if a bound is broken. Raises ValueError for bad input."""
        from centernet_data.contract.files import write_text

        require_parent_folder(self.json)
        with needs_both_backends("parity"):
            from parity.check import check
            from parity.numerics import numerics
        with numerics(self.dtype, self.device):
            found = check(self.model, self.data, self.split, self.dtype, self.steps, self.device)
        print_table(found, Console())
        if self.json:
            write_text(self.json, json.dumps(as_json(self, found), indent=2) + "\n")
        return int(not all(one.agrees for one in found))


def print_table(found: Sequence["Difference"], console: Console) -> None:
    """One line per stage, then the verdict over all."""
    from parity.difference import number, verdict

    table = Table("stage", "max abs", "max rel", "bound", "", box=None, pad_edge=False, header_style="bold")
    for one in found:
        outcome = "agrees" if one.agrees else "DIFFERS"
        table.add_row(one.stage, number(one.max_abs), number(one.max_rel), number(one.bound), outcome)
    console.print(table, highlight=False)
    console.print(verdict(found), markup=False, highlight=False, soft_wrap=True)


def as_json(options: Parity, found: Sequence["Difference"]) -> dict:
    """The settings, every stage, and whether all agree."""
    rows = [{k: _plain(v) for k, v in asdict(one).items()} | {"agrees": one.agrees} for one in found]
    settings = {k: _plain(v) for k, v in asdict(options).items()}
    return {"settings": settings, "agrees": all(one.agrees for one in found), "stages": rows}


def _plain(value):
    """What JSON can hold: paths, and numbers that are not finite, become strings."""
    special = isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value))
    return str(value) if special else value
