"""The dataset doctor: finds everything wrong with a data set before anything is trained on it."""

import gc
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centernet_data.contract.boxes import cyxhw_to_xyxy
from centernet_data.contract.model_config import Resize
from centernet_data.contract.val_share import ValShare
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, Dataset, Sample
from centernet_data.doctor.expressible import Expressible, express, summary
from centernet_data.doctor.findings import (
    SEVERITIES,
    Finding,
    Split,
    box_findings,
    class_findings,
    content_findings,
    format_findings,
    size_findings,
)
from centernet_data.evaluation import average_precision, without_nan
from centernet_data.imaging.decoding import dark_levels, decoding_threads, exif_orientation
from centernet_data.readers.errors import Collect
from centernet_data.source import open_dataset, require_trainable, split_names
from centernet_data.stored import AnnotatedPictures, SamplesInMemory
from centernet_data.verification.verify import picture_and_content

MEDIUM, LARGE = 32**2, 96**2  # COCO's lower limits of medium and large objects, in pixels²

Progress = Callable[[Iterable["Look"], str, int], Iterable["Look"]]


class Look(NamedTuple):
    """The result of opening one picture: a hash of its pixels, or the error; its EXIF orientation; and what is wrong
    with its levels."""

    digest: str | None
    error: str | None
    orientation: int
    levels: str


class Audit(NamedTuple):
    """The result for a data set: its splits, their numbers by split name, and the findings, errors first."""

    splits: list[Split]
    numbers: dict[str, dict]
    findings: list[Finding]


def audit(
    data: str,
    hw: tuple[int, int],
    resize: Resize,
    progress: Progress | None = None,
    val_share: ValShare | None = None,
) -> Audit:
    """Reads a whole data set and opens every picture in it.

    `hw` and `resize` are the network's input size and how pictures are fitted into it. `progress(looks, split, total)`
    may wrap the iterator over a split's pictures. Raises ValueError if `data` is not a data set at all, and for a
    `val_share` where there is a validation split.
    """
    splits, findings = audit_splits(data, val_share)
    digests, numbers = {}, {}
    for split in splits:
        looks = look_at_pictures(split, progress)
        digests[split.name] = [look.digest for look in looks]
        with _collector_paused():
            parts = [express(sample, hw, resize) for sample in split.samples]
            numbers[split.name] = split_numbers(split, parts)
        findings += [*picture_findings(split, looks), *box_findings(split)]
        findings += [*format_findings(split), *class_findings(split), *size_findings(split, parts, hw)]
    return Audit(splits, numbers, _in_order([*findings, *content_findings(splits, digests)]))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Stops the search for cyclic garbage: there is none, and among a million boxes it takes half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def audit_splits(data: str, val_share: ValShare | None = None) -> tuple[list[Split], list[Finding]]:
    """Opens every split that can be opened, and collects the readers' findings about all records.

    Raises ValueError if `data` is not a data set at all.
    """
    splits, errors = [], Collect()
    for name in split_names(data, val_share):
        with errors:
            dataset = open_dataset(data, name, errors, val_share=val_share)
            splits.append(Split(name, dataset, _samples(dataset), _annotated(name, dataset)))
    opened = {split.name: split.dataset for split in splits}
    if "train" in opened:
        with errors:
            require_trainable(data, opened["train"], opened.get("val"))
    refused = [Finding("error", "refused by training", mistake) for mistake in errors.mistakes]
    return splits, refused + [Finding(remark.severity, remark.kind, remark.text) for remark in errors.remarks]


def _samples(dataset: Dataset) -> Sequence[Sample]:
    if isinstance(dataset, SamplesInMemory):
        return dataset.samples
    return [dataset.sample(index) for index in range(len(dataset))]


def _annotated(name: str, dataset: Dataset) -> AnnotatedPictures:
    if isinstance(dataset.annotated, AnnotatedPictures):
        return dataset.annotated
    return AnnotatedPictures.of(_as_annotated(name, sample, dataset.classes) for sample in _samples(dataset))


def _as_annotated(split: str, sample: Sample, classes: Sequence[str]) -> AnnotatedPicture:
    """The sample's boxes as annotations, for data sets that do not keep the raw annotations."""
    corners = cyxhw_to_xyxy(sample.objects[:, :4]).tolist()
    boxes = [
        AnnotatedBox(tuple(box), classes[int(label)], where=f"[{split}]: {sample.name}: object {number}")
        for number, (box, label) in enumerate(zip(corners, sample.objects[:, 4], strict=True), start=1)
    ]
    return AnnotatedPicture(sample.name, Path(sample.name), sample.height, sample.width, boxes)


def look_at_pictures(split: Split, progress: Progress | None = None) -> list[Look]:
    """Opens every picture of a split once, in several threads."""

    def look(index: int) -> Look:
        try:
            picture, content = picture_and_content(split.dataset, index)
        except ValueError as error:
            return Look(None, str(error), *_orientation_and_levels(split.dataset, index))
        digest = hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16)
        digest.update(str(picture.shape).encode())
        return Look(digest.hexdigest(), None, exif_orientation(content), dark_levels(content))

    with decoding_threads() as pool:
        looks = pool.map(look, range(len(split.samples)))
        return list(progress(looks, split.name, len(split.samples)) if progress else looks)


def _orientation_and_levels(dataset: Dataset, index: int) -> tuple[int, str]:
    """What can still be told of a picture that cannot be used."""
    try:
        content = dataset.content(index) or b""
    except ValueError:
        return 1, ""
    return exif_orientation(content), dark_levels(content)


def picture_findings(split: Split, looks: Sequence[Look]) -> Iterator[Finding]:
    """Finds pictures that are missing, damaged or not of their annotated size, those that EXIF rotates, and those whose
    levels are dark."""
    for index, (picture, look) in enumerate(zip(split.pictures, looks, strict=True)):
        if look.error:
            yield Finding("error", "unusable picture", look.error, split.name, index)
        if look.orientation != 1:
            rotated = f"{picture.path}: it is shown rotated, by its EXIF orientation {look.orientation}"
            message = f"{rotated}; its boxes must refer to the rotated picture"
            yield Finding("warning", "EXIF rotation", message, split.name, index)
        if look.levels:
            yield Finding("warning", "dark 16-bit picture", f"{picture.path}: {look.levels}", split.name, index)


def split_numbers(split: Split, parts: Sequence[Expressible]) -> dict:
    """Counts a split by COCO's sizes and by class, and computes the average precision of its truth as the network can
    express it."""
    samples, classes = split.samples, split.dataset.classes
    sizes = _by_class_and_size(samples, len(classes))
    pictures = sum((np.bincount(np.unique(s.objects[:, 4]).astype(int), minlength=len(classes)) for s in samples), 0)
    results = average_precision(samples, [part.decoded for part in parts], classes)
    return {
        "pictures": len(samples),
        "without_objects": sum(len(sample.objects) == 0 for sample in samples),
        "objects": int(sizes.sum()),
        **_named(sizes.sum(axis=0)),
        "ignored": sum(len(sample.ignored) for sample in samples),
        "notes": list(split.dataset.notes),
        "expressible": without_nan(summary(parts) | results),
        "classes": {
            name: {"pictures": int(shown), "objects": int(row.sum()), **_named(row)}
            for name, shown, row in zip(classes, np.broadcast_to(pictures, len(classes)), sizes, strict=True)
        },
    }


def _by_class_and_size(samples: Sequence[Sample], classes: int) -> np.ndarray:
    counts = np.zeros((classes, 3), int)
    for sample in samples:
        size = np.digitize(sample.areas, [MEDIUM, LARGE])
        np.add.at(counts, (sample.objects[:, 4].astype(int), size), 1)
    return counts


def _named(row: np.ndarray) -> dict[str, int]:
    return dict(zip(("small", "medium", "large"), row.tolist(), strict=True))


def _in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Sorts errors first and drops duplicates, because two splits may have the same record."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.message, finding)
    return sorted(first.values(), key=lambda finding: SEVERITIES.index(finding.severity))
