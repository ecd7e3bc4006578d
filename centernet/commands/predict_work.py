"""What `centernet predict` looks at and writes, and where."""

import json
import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from centernet.backends import Detector
from centernet.terminal import Failures, complain, say
from centernet.training.signals import stoppable
from centernet_data.contract.authors import is_written_by, require_replaceable
from centernet_data.contract.boxes import cyxhw_to_xywh
from centernet_data.contract.files import write_text
from centernet_data.contract.messages import one_line
from centernet_data.imaging.decoding import read_picture
from centernet_data.imaging.drawing import draw_objects
from centernet_data.imaging.encoding import JPEG_SUFFIXES, write_picture
from centernet_data.imaging.finding import HEIC_ADVICE, HEIC_SUFFIXES, Found, find_pictures

AUTHOR, RECORDS = "centernet predict", "detections.json"


class Job(NamedTuple):
    """A picture, and where it is drawn to."""

    path: Path
    target: Path


def find(paths: Sequence[Path], recursive: bool, out: Path, overwrite: bool) -> list[Job]:
    """The pictures at `paths` and where they go; says what is left out.

    Raises ValueError if there is none, or if a file of the user would be replaced and `overwrite` is not set.
    """
    pictures = find_pictures(paths, recursive, lambda path: _is_earlier_result(path, out))
    if not pictures.found:
        raise ValueError("no picture was given")
    jobs = [Job(found.path, drawn_path(found, out)) for found in pictures.found]
    require_different(jobs, out)
    for target in (*(job.target for job in jobs), out / RECORDS):
        require_replaceable(target, AUTHOR, overwrite, "--out")
    for folder in {folder for job in jobs for folder in job.target.parents if folder.is_relative_to(out)}:
        if os.path.lexists(folder) and not folder.is_dir():
            raise ValueError(f"{folder}: a file, not a folder; choose another --out")
    for note in pictures.notes:
        say(note)
    return jobs


def write_detections(jobs: Sequence[Job], detector: Detector, min_confidence: float, out: Path) -> int:
    """Draws each picture and writes all detections. A signal ends this after the picture at hand.

    Returns the exit status: 1 if something failed, which is said, 2 if no picture could be looked at, and after a
    signal 128 + its number."""
    records, failures, looked_at = [], Failures(), 0
    with stoppable() as stop:
        for job in jobs:
            if stop.signal is not None:
                break
            with failures.said():
                picture = read(job.path)
                (objects,) = detector([picture], min_confidence)
                records += detection_records(str(job.path), objects, detector.config.classes)
                looked_at += 1
                say(f"{job.path}: {len(objects)} found")
                job.target.parent.mkdir(parents=True, exist_ok=True)
                write_picture(job.target, draw_objects(picture, objects, detector.config.classes), AUTHOR)
        if looked_at:
            with failures.said():
                write_text(out / RECORDS, json.dumps(records, indent=1) + "\n")
                say(f"the drawn pictures and {RECORDS} are in {out}")
    if stop.signal is not None:
        complain(f"stopped by a signal: {looked_at} of {len(jobs)} pictures were looked at, the others were not")
        return 128 + stop.signal
    if not looked_at:
        if len(jobs) > 1:
            complain(f"none of the {len(jobs)} pictures could be looked at; nothing was written")
        return 2
    if failures.count:
        say(f"{looked_at} of {len(jobs)} pictures were looked at; {failures.count} failures are named above")
    return int(failures.count > 0)


def read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a picture. Raises ValueError, naming the file, and for HEIC with what to do."""
    try:
        return read_picture(path)
    except ValueError as error:
        if path.suffix.lower() in HEIC_SUFFIXES:
            raise ValueError(f"{one_line(error)}; {HEIC_ADVICE}") from error
        raise


def drawn_path(found: Found, out: Path) -> Path:
    """Where a drawn picture goes: JPEG stays JPEG, everything else becomes PNG."""
    name = found.name
    return out / (name if name.suffix.lower() in JPEG_SUFFIXES else name.with_name(f"{name.stem}.png"))


def require_different(jobs: Sequence[Job], out: Path) -> None:
    """Raises ValueError if two pictures would go to one file, or one would replace a picture that is looked at."""
    by_target = defaultdict(list)
    ignoring = ignores_case(out)
    for job in jobs:
        name = str(job.target)
        by_target[unicodedata.normalize("NFC", name).casefold() if ignoring else name].append(job)
    for one, other, *_ in (clash for clash in by_target.values() if len(clash) > 1):
        raise ValueError(f"{one.path} and {other.path} would both be drawn to {one.target}; give them to separate runs")
    inputs = {os.path.realpath(job.path): job.path for job in jobs}
    for job in jobs:
        if path := inputs.get(os.path.realpath(job.target)):
            raise ValueError(f"{path}: would be overwritten by the drawn picture; choose another --out")


def ignores_case(folder: Path) -> bool:
    """Whether a folder's file system takes names that differ in case only for one, as those of macOS and Windows do;
    judged by the name of the folder, or the nearest above it that exists and has letters."""
    for place in (folder.absolute(), *folder.absolute().parents):
        swapped = place.with_name(place.name.swapcase())
        if place.exists() and swapped != place:
            return swapped.exists() and swapped.samefile(place)
    return False


def detection_records(file_name: str, objects: Float[np.ndarray, "n 6"], classes: Sequence[str]) -> list[dict]:
    """One record per detection; the box is (x, y, width, height) in the picture's pixels, from its top left corner."""
    return [
        {
            "file_name": file_name,
            "box": [round(value, 2) for value in box],
            "class": classes[int(row[4])],
            "score": round(row[5], 4),
        }
        for box, row in zip(cyxhw_to_xywh(objects[:, :4]).tolist(), objects.tolist(), strict=True)
    ]


def _is_earlier_result(path: Path, out: Path) -> bool:
    """Whether it lies in the folder of the results, and an earlier run wrote it."""
    return path.resolve().is_relative_to(out.resolve()) and is_written_by(path, AUTHOR)
