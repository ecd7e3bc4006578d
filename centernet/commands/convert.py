"""`centernet data convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from centernet.options import DataName
from centernet_data.contract.checks import refuse, require


@dataclass(frozen=True)
class Convert:
    """Write a data set, or some of its pictures, in another format or the same one.

    All splits are written; with --ids or --count, the chosen pictures of one. Pictures are copied byte for byte,
    rendered ones written as PNG. From COCO's format to COCO's, all fields of the records and all categories are kept.
    What the other format cannot say is left out and counted.
    """

    data: DataName
    format: Literal["coco", "voc", "yolo", "tfds"]
    """Format to write: COCO's, Pascal VOC's, YOLO's (with Ultralytics' data.yaml), or TFDS's in ArrayRecord files, for
    which pip install -e ".[tfds]" is needed."""
    out: Path
    """Folder to create, with pictures, annotations and a TOML file; for tfds, TFDS's data folder, in which the data set
    is NAME/1.0.0."""
    split: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ()
    """Sections of the data set to write; with --ids or --count one, by default train."""
    ids: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """File with one picture's name per line, or its id in a COCO file; # starts a comment. Only these are written."""
    count: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Instead of --ids: number of pictures to draw at random."""
    seed: int = 0
    """Seed for --count; the same seed draws the same pictures."""
    link: bool = False
    """Instead of copies, make symbolic links to the picture files, with absolute targets, which must stay where they
    are. Not for tfds, which stores the pictures."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Name of the TOML file, by default that of the folder; for tfds the data set's name (letters, digits and _), by
    default DATA's."""
    overwrite: bool = False
    """Replace an earlier data set that this command wrote, if nothing was added to it."""

    def __post_init__(self):
        chosen = self.ids is not None or self.count is not None
        if self.ids is not None and self.count is not None:
            refuse("--ids and --count both say which pictures to write; give one of them")
        if chosen and len(self.split) > 1:
            refuse(f"--ids and --count choose pictures of one --split, not of {len(self.split)}")
        if len(set(self.split)) < len(self.split):
            refuse("--split names a section twice")
        require("count", self.count, self.count is None or self.count >= 1, "at least 1")
        require("seed", self.seed, self.seed >= 0, "at least 0")
        if self.link and self.format == "tfds":
            refuse("--link cannot be used with --format tfds, which stores the pictures in its record files")

    def run(self) -> int:
        """Writes the data set. Raises ValueError for bad input."""
        from centernet.commands.convert_progress import counted
        from centernet_data.writers.convert import Target, convert
        from centernet_data.writers.parts import Choice

        choice = None
        if self.ids is not None or self.count is not None:
            choice = Choice(self.ids, self.count or 0, self.seed)
        names = self.split or (("train",) if choice else ())
        target = Target(self.format, self.out, self.name, self.link, self.overwrite)
        with counted("writing pictures") as progress:
            converted = convert(self.data, target, names, choice, progress)
        for split, part in converted.splits.items():
            print(f"{split}: {len(part)} pictures with {part.object_count()} objects")
            for note in converted.notes[split]:
                print(f"  {note}")
        print(f"use it with --data {converted.data}")
        return 0
