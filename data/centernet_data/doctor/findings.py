"""Checks for mistakes in a data set: one function per check, one line per finding."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from centernet_data.contract.boxes import MOST_DETECTIONS
from centernet_data.contract.messages import listed
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, Dataset, Sample
from centernet_data.doctor.expressible import Expressible
from centernet_data.stored import AnnotatedPictures

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

TOLERANCE = 1.0  # pixels that a box may extend beyond its picture, because annotation tools round
NEARLY_THE_SAME, EQUAL = 0.8, 0.999  # least IoU of two boxes at which one is likely a mistake
# Least shares of a data set's boxes at which its sizes are taken for corners. Of correct boxes hardly any extend beyond
# their picture; of misread ones about half do.
FIT_AS_CORNERS, REACH_BEYOND, FEWEST_BOXES = 0.95, 0.2, 5


class Finding(NamedTuple):
    """A finding. An error is refused by training or makes its result meaningless; a warning is probably unintended; a
    note may be surprising. `message` names the file and the record; `picture` is the picture's index in the split."""

    severity: Severity
    kind: str
    message: str
    split: str | None = None
    picture: int | None = None


@dataclass(frozen=True)
class Split:
    """An opened split. `samples[i]` is what training gets for picture i, and `pictures[i]` is what was annotated."""

    name: str
    dataset: Dataset
    samples: Sequence[Sample]
    pictures: AnnotatedPictures


def box_findings(split: Split) -> Iterator[Finding]:
    """Finds boxes that extend beyond their picture, have no area in it, or are duplicates."""
    pictures = split.pictures
    suspicious = _suspicious(*_corners_and_sizes(split))
    for index, (first, last) in enumerate(pairwise(pictures.first.tolist())):
        misplaced = suspicious[first:last].any()
        if not misplaced and not _overlap(pictures.corners[first:last]):
            continue  # nearly all: their boxes are not even made
        picture = pictures[index]
        for box in picture.boxes if misplaced else ():
            if wrong := _wrong_place(box, picture):
                yield Finding("warning", wrong[0], f"{box.where}: {wrong[1]}", split.name, index)
        for message in _duplicate_boxes(picture.boxes):
            yield Finding("warning", "duplicate box", message, split.name, index)


def _corners_and_sizes(split: Split) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, "n 2"]]:
    """The corners of all boxes of a split, one after the other, and the width and height of the picture of each."""
    pictures = split.pictures
    return pictures.corners, np.repeat(pictures.sizes[:, ::-1].astype(float), np.diff(pictures.first), axis=0)


def _overlap(corners: Float[np.ndarray, "n 4"]) -> bool:
    """Whether any two of the boxes are nearly the same."""
    return len(corners) > 1 and bool((np.triu(_overlaps(corners), 1) >= NEARLY_THE_SAME).any())


def _suspicious(corners: Float[np.ndarray, "n 4"], sizes: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
    """Which boxes `_wrong_place` must look at; hardly any, and it takes long for a million."""
    within = (corners[:, 2:] > np.maximum(corners[:, :2], 0)).all(axis=1) & (corners[:, :2] < sizes).all(axis=1)
    return ~within | (_reach_beyond(corners, sizes) > TOLERANCE)


def _reach_beyond(corners: Float[np.ndarray, "n 4"], sizes: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n"]:
    """By how many pixels each box extends beyond its picture."""
    return np.concatenate([-corners[:, :2], corners[:, 2:] - sizes], axis=1).max(axis=1)


def _duplicate_boxes(boxes: Sequence[AnnotatedBox]) -> Iterator[str]:
    boxes = [box for box in boxes if not box.ignored]
    if len(boxes) < 2:
        return
    overlaps = np.triu(_overlaps(np.array([box.corners for box in boxes], float).reshape(-1, 4)), 1)
    for first, second in np.argwhere(overlaps >= NEARLY_THE_SAME):
        box, other, overlap = boxes[second], boxes[first], overlaps[first, second]
        if box.label == other.label:
            labels = f"both {box.label}"
        elif overlap > EQUAL:
            labels = f"{box.label} here, {other.label} there"
        else:
            continue  # things of different classes may well fill nearly the same place
        same = "the same box as" if overlap > EQUAL else f"nearly the same box (IoU {overlap:.2f}) as"
        yield f"{box.where}: {same} {other.where.rpartition(': ')[2]}, {labels}"


def _overlaps(corners: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n n"]:
    """The IoU of each pair of boxes; 0 if one has no area."""
    low, high = corners[:, :2], corners[:, 2:]
    inside = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    both = np.maximum(inside, 0).prod(axis=2)
    area = np.maximum(high - low, 0).prod(axis=1)
    either = area[:, None] + area - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def _wrong_place(box: AnnotatedBox, picture: AnnotatedPicture) -> tuple[str, str] | None:
    x_min, y_min, x_max, y_max = box.corners
    shown = f"x {x_min:g} to {x_max:g}, y {y_min:g} to {y_max:g}"
    size = f"{picture.width} x {picture.height}"
    if x_max <= x_min or y_max <= y_min:
        return "box without area", f"its box has no area and is left out: {shown}"
    if x_max <= 0 or y_max <= 0 or x_min >= picture.width or y_min >= picture.height:
        return "box outside its picture", f"its box is outside the picture of {size} and is left out: {shown}"
    corners, sizes = np.array([box.corners], float), np.array([[picture.width, picture.height]], float)
    beyond = _reach_beyond(corners, sizes)[0]
    if beyond <= TOLERANCE:
        return None
    hint = "; its width and height would fit as its lower right corner" if _fit_as_corners(corners, sizes)[0] else ""
    return (
        "box beyond its picture",
        f"its box is clipped by {beyond:g} pixels, to the picture of {size}: {shown}{hint}",
    )


def _fit_as_corners(corners: Float[np.ndarray, "n 4"], sizes: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
    """Whether what was read as (x, y, width, height) makes sense as (x_min, y_min, x_max, y_max)."""
    low, high = corners[:, :2], corners[:, 2:] - corners[:, :2]
    return np.all((low >= 0) & (low < high) & (high <= sizes + TOLERANCE), axis=1)


def format_findings(split: Split) -> Iterator[Finding]:
    """Finds signs that all boxes were written in a different format from the one they are read in."""
    corners, sizes = _corners_and_sizes(split)
    if len(corners) < FEWEST_BOXES:
        return
    beyond = int((_reach_beyond(corners, sizes) > TOLERANCE).sum())
    fitting = int(_fit_as_corners(corners, sizes).sum())
    if fitting >= FIT_AS_CORNERS * len(corners) and beyond >= REACH_BEYOND * len(corners):
        yield Finding(
            "error",
            "corners written as sizes",
            f"[{split.name}]: the boxes look like x_min, y_min, x_max, y_max, but are read as x, y, width, height: as "
            f"such, {beyond} of {len(corners)} extend beyond their picture; as corners, {fitting} would be inside it",
            split.name,
        )
    if corners.min() >= 0 and corners.max() <= 1:
        yield Finding(
            "error",
            "fractions written as pixels",
            f"[{split.name}]: all {len(corners)} boxes are within the first pixel of their picture: they look like "
            "fractions of its width and height, but are read as pixels",
            split.name,
        )


_ABSENT: dict[str, tuple[Severity, str]] = {"train": ("warning", "the network cannot learn them")}


def class_findings(split: Split) -> Iterator[Finding]:
    """Finds classes without objects in the split."""
    present = set(np.concatenate([sample.objects[:, 4] for sample in split.samples] or [[]]).astype(int).tolist())
    absent = [name for index, name in enumerate(split.dataset.classes) if index not in present]
    if absent and split.samples:
        severity, effect = _ABSENT.get(split.name, ("note", "average precision leaves them out"))
        count = f"{len(absent)} of {len(split.dataset.classes)} classes"
        message = f"[{split.name}]: {count} have no objects, and {effect}: {listed(absent)}"
        yield Finding(severity, "class without objects", message, split.name)


def size_findings(split: Split, parts: Sequence[Expressible], input_hw: tuple[int, int]) -> Iterator[Finding]:
    """Finds objects that the network cannot express with an input of `input_hw`, counted per picture."""
    at = f"at an input of {input_hw[1]} x {input_hw[0]}"
    for index, part in enumerate(parts):
        picture, total = f"[{split.name}]: {split.samples[index].name}", len(part.shared)
        for kind, which, what in (
            ("object vanishes", part.vanished, "less than a pixel high or wide"),
            ("objects share a cell", part.shared, "in the cell of another object (a cell holds only one size)"),
            ("too many objects", part.beyond_the_best, f"beyond the {MOST_DETECTIONS} that a detector returns"),
        ):
            if which.any():
                first = _spoken(split.samples[index].objects[which.argmax()], split.dataset.classes)
                message = (
                    f"{picture}: {which.sum()} of its {total} objects {_be(which)} {what} {at}; the first: {first}"
                )
                yield Finding("warning", kind, message, split.name, index)


def _spoken(row: Float[np.ndarray, "6"], classes: Sequence[str]) -> str:
    y, x, height, width = (float(value) for value in row[:4])
    return f"{classes[int(row[4])]}, {width:.4g} x {height:.4g} pixels at x {x:.4g}, y {y:.4g}"


def _be(which: np.ndarray) -> str:
    return "is" if which.sum() == 1 else "are"


def _told_apart(*places: tuple[Split, int]) -> list[str]:
    """Names of pictures: as annotated, or their paths if two are called the same, or else their places in the split."""
    tellings = (
        [f"[{split.name}] {split.samples[index].name}" for split, index in places],
        [f"[{split.name}] {split.pictures[index].path}" for split, index in places],
        [f"[{split.name}] {split.samples[index].name} (picture {index + 1})" for split, index in places],
    )
    return next(names for names in tellings if len(set(names)) == len(names))


def content_findings(splits: Sequence[Split], hashes: dict[str, Sequence[str | None]]) -> Iterator[Finding]:
    """Finds pictures with the same pixels, within a split or in two splits. `hashes` has each split's, by its name."""
    places: dict[str, list[tuple[Split, int]]] = defaultdict(list)
    for split in splits:
        for index, digest in enumerate(hashes[split.name]):
            if digest is not None:
                places[digest].append((split, index))
    for found in places.values():
        (first, first_index), *others = found
        for other, index in others:
            one, two = _told_apart((other, index), (first, first_index))
            if other is first:
                yield Finding("warning", "duplicate picture", f"{one}: the same pixels as {two}", other.name, index)
            else:
                message = f"{one}: the same pixels as {two}, so the two splits share its objects"
                yield Finding("error", f"[{first.name}] and [{other.name}] overlap", message, other.name, index)
