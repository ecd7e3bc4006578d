"""`centernet data subset`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from centernet_data.contract.checks import require


@dataclass(frozen=True)
class Subset:
    """Cut some pictures with their objects out of a data set, as a smaller one in COCO's format.

    Of a data set in COCO's format all fields of the chosen records are kept, and all categories.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    out: Path
    """Folder to make, with images/, instances.json and a TOML file of the folder's name with the one section."""
    ids: Path | None = None
    """A file with one image id per line (in other formats than COCO's, one picture's name); # begins a comment."""
    count: int | None = None
    """Instead of --ids: how many pictures to draw at random."""
    split: str = "train"
    """Which section of the data set."""
    seed: int = 0
    """Seed for drawing the pictures of --count; the same seed draws the same."""

    def __post_init__(self):
        if (self.ids is None) == (self.count is None):
            raise ValueError("either --ids or --count must say which pictures to cut out")
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
            print(f"  of all that they were chosen from: {note}")
        return 0
