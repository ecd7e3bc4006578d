"""`centernet parity`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from centernet.options import OutputFile, Overwrite
from centernet.terminal import PlainConsole
from centernet_data.contract.authors import require_writable
from centernet_data.contract.checks import refuse, require
from centernet_data.contract.files import write_json
from centernet_data.contract.precision import Device, DType


@dataclass(frozen=True)
class Parity:
    """Prove that both backends are the same detector, stage by stage: in inference and in training.

    Checks the given model, or a fresh ResNet-34. Exits with status 1 if any stage exceeds its bound.
    """

    model: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="[MODEL]", help_behavior_hint="")]] = None
    """A run's model.safetensors."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """With a model: train and detect on this data set (built-in, a TOML file or tfds:NAME), and compare AP."""
    split: str = "val"
    """Section of --data."""
    dtype: DType = "float64"
    """Precision of both backends."""
    steps: int = 20
    """Number of training steps that both take."""
    device: Device = "cpu"
    """Where both compute."""
    json: OutputFile = None
    """Also write the numbers to this file."""
    overwrite: Overwrite = False

    def __post_init__(self):
        require("steps", self.steps, self.steps >= 1, "at least 1")
        if self.data and not self.model:
            refuse("--data needs a model to check on it")

    def run(self) -> int:
        """Prints the table and writes it. Returns 1 if a bound is exceeded. Raises ValueError for bad input."""
        from centernet.backends import needs_both_backends
        from centernet.commands import parity_report as report

        require_writable(self.json, "centernet parity", self.overwrite, "--json")
        with needs_both_backends("parity"):
            from parity.check import check
            from parity.numerics import numerics
        with numerics(self.dtype, self.device):
            found = check(self.model, self.data, self.split, self.dtype, self.steps, self.device)
        report.print_table(found, PlainConsole())
        if self.json:
            write_json(self.json, report.as_json(asdict(self), found), "centernet parity")
        return int(not all(one.agrees for one in found))
