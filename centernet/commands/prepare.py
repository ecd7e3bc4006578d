"""`centernet data prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Prepare:
    """Write all splits of a data set in TFDS's own format (ArrayRecord files), to be read with --data tfds:...

    Pictures and annotations are then in one folder, in a few large files with random access. Training on it gives the
    same batches as the original files. Picture files are stored unchanged. Needs pip install -e ".[tfds]".
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A TOML file that describes a data set, or a built-in one (shapes, scene-text), which is rendered once."""
    tfds_dir: Path
    """TFDS's data folder; the data set is written to NAME/1.0.0 in it."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """The data set's name in TFDS: letters, digits and _; by default the name of the TOML file."""
    overwrite: bool = False
    """Replace a data set that is already there."""

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
