"""`centernet data fetch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Fetch:
    """Fetch a known data set from where its makers publish it, unpack it, and write its TOML file.

    What is broken off is resumed by the same command. Archives are removed once they are unpacked, except those that
    were there before. The environment variable CENTERNET_MIRROR, such as https://mirror.example.org/data, stands in
    place of the scheme and host of each address.
    """

    name: tyro.conf.Positional[
        Annotated[Literal["tiny_coco", "coco", "voc", "cocotext", "bccd"], tyro.conf.arg(metavar="NAME")]
    ]
    """tiny_coco (2 MB), bccd, voc (0.9 GB), cocotext (14 GB), or coco (20 GB; unpacked as much again)."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder for it; by default data/NAME."""
    dry_run: bool = False
    """Only say what would be fetched from where, its size and terms of use, and the TOML file."""

    def run(self) -> int:
        """Fetches, or says what would be. Raises ValueError for what cannot be had, or is in the way."""
        from centernet.commands.fetch_work import describe, fetch
        from centernet.terminal import PlainConsole

        out = Path("data", self.name) if self.out is None else self.out
        console = PlainConsole()
        describe(self.name, out, console)
        if not self.dry_run:
            fetch(self.name, out, console)
        return 0
