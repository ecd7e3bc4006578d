"""Writes any data set in another format, or a part of it: pictures, annotations, and the TOML file to use them."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

import tomli_w

from centernet_data.contract.authors import folder_mark, is_folder_written_by
from centernet_data.contract.files import folder_written_beside, is_taken
from centernet_data.readers.tfds import is_tfds
from centernet_data.writers.coco import write_coco
from centernet_data.writers.parts import Choice, Part, open_parts
from centernet_data.writers.pictures import Place, place_picture, require_files
from centernet_data.writers.tfds import write_tfds
from centernet_data.writers.voc import write_voc
from centernet_data.writers.yolo import write_yolo

AUTHOR = "centernet data convert"
Format = Literal["coco", "voc", "yolo", "tfds"]
RESERVED = ("classes", "download", "format", "images", "names", "nc", "path")  # YOLO's, or no split in TOML and YAML


@dataclass(frozen=True)
class Target:
    """Where a data set goes, and how: in which format, into which folder (TFDS's data folder), under which name (of the
    TOML file, or in TFDS), with links instead of copies of the pictures, and in place of an earlier one."""

    format: Format
    out: Path
    name: str | None = None
    link: bool = False
    overwrite: bool = False


class Converted(NamedTuple):
    """A written data set: its name for --data, its splits, and by split what was left out or changed."""

    data: str
    splits: Mapping[str, Part]
    notes: Mapping[str, Sequence[str]]


def convert(
    data: str,
    target: Target,
    names: Sequence[str] = (),
    choice: Choice | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Converted:
    """Writes the splits `names` of a data set, or all of them, all or nothing; with a `choice`, of the only one its
    pictures.

    Calls `progress(done, total)` after each picture, except for TFDS. Raises ValueError for bad input and for a folder
    that exists, unless it is to be overwritten and this function wrote everything in it.
    """
    if target.format == "tfds":
        return _convert_to_tfds(data, target, names, choice)
    name = target.name or target.out.resolve().name
    if not re.fullmatch(r"[^/\\\0]+", name):
        raise ValueError(f"--name: '{name}' cannot be a file's name")
    require_place(target.out, target.overwrite)
    parts = open_parts(data, names, choice)
    _require_splits(data, parts)
    if target.link:
        require_files(data, parts)
    if is_taken(target.out):
        _require_elsewhere(data, parts, target.out)
    with folder_written_beside(target.out, target.overwrite) as folder:
        write = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}[target.format]
        written = write(folder, data, parts, _placing(parts, target.link, progress))
        mark = folder_mark(folder, f"{name}.toml", AUTHOR)
        (folder / f"{name}.toml").write_text(mark + tomli_w.dumps(written.description), encoding="utf-8")
    notes = {split: [*part.notes, *written.notes[split]] for split, part in parts.items()}
    return Converted(str(target.out / f"{name}.toml"), parts, notes)


def _placing(parts: Mapping[str, Part], link: bool, progress: Callable[[int, int], None]) -> Place:
    numbers, total = count(1), sum(map(len, parts.values()))

    def place(part: Part, index: int, path: Path) -> None:
        place_picture(part, index, path, link)
        progress(next(numbers), total)

    return place


def _convert_to_tfds(data: str, target: Target, names: Sequence[str], choice: Choice | None) -> Converted:
    if target.link:
        raise ValueError("--link: TFDS's record files hold the pictures themselves; copy them without --link")
    parts = {} if is_tfds(data) else open_parts(data, names, choice)
    prepared = write_tfds(data, target.out, target.name, target.overwrite, parts)
    return Converted(prepared.data, parts, {split: part.notes for split, part in parts.items()})


def require_place(out: Path, overwrite: bool) -> None:
    """Raises ValueError if there is something at `out`, unless it is to be overwritten and all of it was written
    here."""
    if not is_taken(out):
        return
    if not overwrite:
        raise ValueError(f"{out}: already exists; choose another --out or give --overwrite")
    if not is_folder_written_by(out, AUTHOR):
        raise ValueError(
            f"{out}: holds what `{AUTHOR}` did not write, or no longer all that it wrote; choose another --out"
        )


def _require_splits(data: str, parts: Mapping[str, Part]) -> None:
    """Raises ValueError for a split whose name no folder of files can have."""
    for split in parts:
        if not re.fullmatch(r"\w[\w .-]*", split) or split != split.strip(" .") or split in RESERVED:
            raise ValueError(
                f"{data}: [{split}] cannot name a folder or a list of pictures: letters, digits, blanks, _, . and - "
                f"can, but not {', '.join(RESERVED)}"
            )


def _require_elsewhere(data: str, parts: Mapping[str, Part], out: Path) -> None:
    """Raises ValueError if the data set, or a picture of it, lies in the folder that is to be replaced by it."""
    paths = [part.path(index) for part in parts.values() for index in range(len(part))]
    folders = {Path(os.path.realpath(path)).parent for path in (data, *paths) if path is not None}
    if any(Path(os.path.realpath(out)) in (folder, *folder.parents) for folder in folders):
        raise ValueError(f"{out}: the data set itself is in this folder; choose another --out")
