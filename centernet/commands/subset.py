"""`centernet data subset`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from centernet.options import DataName
from centernet_data.contract.checks import refuse, require


@dataclass(frozen=True)
class Subset:
    """Copy some pictures of a data set, with their objects, to a new data set in COCO's format.

    From a data set in COCO's format, all fields of the chosen records and all categories are kept.
    """

    data: DataName
    out: Path
    """Folder to create, with images/, instances.json and a TOML file named after the folder."""
    ids: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """File with one image id per line (in formats other than COCO: one picture name); # starts a comment."""
    count: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Instead of --ids: number of pictures to draw at random."""
    split: str = "train"
    """Section of the data set."""
    seed: int = 0
    """Seed for --count; the same seed draws the same pictures."""

    def __post_init__(self):
        if (self.ids is None) == (self.count is None):
            refuse("either --ids or --count must say which pictures to copy")
        require("count", self.count, self.count is None or self.count >= 1, "at least 1")
        require("seed", self.seed, self.seed >= 0, "at least 0")

    def run(self) -> int:
        """Writes the subset. Raises ValueError for bad input."""
        from centernet_data.writers.coco import Choice, write_subset

        choice = Choice(self.data, self.split, self.ids, self.count or 0, self.seed)
        subset = write_subset(self.out, choice)
        counts = f"{subset.pictures} pictures with {subset.annotations} annotations"
        print(f"{counts}, in the section [{self.split}]: use them with --data {subset.toml}")
        for note in subset.notes:
            print(f"  in the whole section: {note}")
        return 0
