"""What `centernet parity` prints and writes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from parity.difference import Difference, number, verdict


def print_table(found: Sequence[Difference], console: Console) -> None:
    """One line per stage, then the verdict on all."""
    table = Table("stage", "max abs", "max rel", "bound", "", box=None, pad_edge=False, header_style="bold")
    for one in found:
        outcome = "agrees" if one.agrees else "DIFFERS"
        table.add_row(one.stage, number(one.max_abs), number(one.max_rel), number(one.bound), outcome)
    console.print(table)
    console.print(verdict(found), soft_wrap=True)


def as_json(settings: Mapping[str, object], found: Sequence[Difference]) -> dict:
    """The settings, every stage, and whether all agree."""
    rows = [_plain(asdict(one)) | {"agrees": one.agrees} for one in found]
    return {"settings": _plain(settings), "agrees": all(one.agrees for one in found), "stages": rows}


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """With strings for what JSON cannot hold: paths, and numbers that are not finite."""
    return {
        key: str(value) if isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value)) else value
        for key, value in values.items()
    }
