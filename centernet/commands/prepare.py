"""`centernet data prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Prepare:
    """Write all splits of a data set as TFDS keeps its own, in ArrayRecord files, to be read by --data tfds:...

    One folder then holds pictures and annotations in a few large files with random access; training on it gives the
    same batches as on the original files. Picture files are stored as they are. Needs pip install -e ".[tfds]".
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A TOML file that describes a data set, or a built-in one (shapes, scene-text), rendered here once."""
    tfds_dir: Path
    """TFDS's data folder; the data set goes into NAME/1.0.0 in it."""
    name: str | None = None
    """What TFDS is to call it: letters, digits and _. That of the TOML file if not given."""
    overwrite: bool = False
    """Replace a data set that is already in that folder."""

    def run(self) -> int:
        """Writes the data set. Raises ValueError for bad input."""
        from centernet_data.writers.tfds import write_tfds

        prepared = write_tfds(self.data, self.tfds_dir, self.name, self.overwrite)
        for split, dataset in prepared.splits.items():
            print(f"{split}: {len(dataset)} pictures")
            for note in dataset.notes:
                print(f"  {note}")
        print(f"the data set is in {prepared.folder}; read it with --data {prepared.data}")
        return 0
