"""The dataset doctor: all that can be said against a data set before anything is trained on it."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from centernet.commands.check_report import draw_sheet, print_report
from centernet.config import Check, require_image_size
from centernet.training.run_folder import write_picture, write_text
from centernet_data.dataset import PictureDataset, Sample
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
from centernet_data.imaging.decoding import exif_orientation
from centernet_data.readers.annotations import Box, Picture
from centernet_data.readers.errors import Audit
from centernet_data.source import open_dataset, require_trainable, split_names

MEDIUM, LARGE = 32**2, 96**2  # pixels² from which on COCO calls an object so


class Look(NamedTuple):
    """What opening one picture showed: a hash of its pixels, or why there are none; and how it says it is turned."""

    digest: str | None
    error: str | None
    orientation: int


def run_check(config: Check) -> int:
    """Prints and draws what there is to say of a data set. Returns 1 if it has errors, 0 if not.

    ValueError if `config.data` is no data set at all, or a folder to write to does not exist.
    """
    require_image_size(config.image_size)
    if config.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {config.seed}")
    if config.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{config.out}: the sheet of pictures must be a .png or .jpg file")
    for path in (config.out, config.json):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path}: its folder does not exist")
    console = Console()
    splits, findings = audit_splits(config.data)
    digests, numbers = {}, {}
    for split in splits:
        looks = look_at_pictures(split, console)
        parts = [express(sample, config.hw, config.resize) for sample in split.samples]
        digests[split.name] = [look.digest for look in looks]
        numbers[split.name] = split_numbers(split, parts)
        findings += [*picture_findings(split, looks), *box_findings(split)]
        findings += [*format_findings(split), *class_findings(split), *size_findings(split, parts, config.hw)]
    findings = _in_order([*findings, *content_findings(splits, digests)])
    print_report(console, config, numbers, findings)
    write_picture(config.out, draw_sheet(splits, findings, config.seed))
    console.print(
        f"pictures with their boxes, the most suspicious first: {config.out}", highlight=False, soft_wrap=True
    )
    if config.json:
        write_text(config.json, json.dumps(_as_json(config, numbers, findings), indent=1) + "\n")
    return int(any(finding.severity == "error" for finding in findings))


def audit_splits(data: str) -> tuple[list[Split], list[Finding]]:
    """Every split that can be opened, and what its reader has to say, of all records. ValueError for no data set."""
    splits, audit = [], Audit()
    for name in split_names(data):
        audit.pictures = []
        with audit:
            dataset = open_dataset(data, name, audit)
            samples = [dataset.sample(index) for index in range(len(dataset))]
            pictures = audit.pictures or [_as_annotated(name, sample, dataset.classes) for sample in samples]
            splits.append(Split(name, dataset, samples, pictures))
    opened = {split.name: split.dataset for split in splits}
    if "train" in opened:
        with audit:
            require_trainable(data, opened["train"], opened.get("val"))
    errors = [Finding("error", "refused by training", mistake) for mistake in audit.mistakes]
    return splits, errors + [Finding("note", "category ids", remark) for remark in audit.remarks]


def _as_annotated(split: str, sample: Sample, classes: Sequence[str]) -> Picture:
    """The next best thing where a reader does not show what it has read: the boxes that it made of it."""
    boxes = []
    for number, (y, x, height, width, label, _) in enumerate(sample.objects.tolist(), start=1):
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        boxes.append(Box(corners, classes[int(label)], where=f"[{split}]: {sample.name}: object {number}"))
    return Picture(sample.name, Path(sample.name), sample.height, sample.width, boxes)


def look_at_pictures(split: Split, console: Console) -> list[Look]:
    """Opens every picture of a split once."""

    def look(index: int) -> Look:
        paths = split.dataset.paths if isinstance(split.dataset, PictureDataset) else None
        orientation = exif_orientation(paths[index]) if paths else 1
        try:
            image = split.dataset.image(index)
        except ValueError as error:
            return Look(None, str(error), orientation)
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
        digest.update(str(image.shape).encode())
        return Look(digest.hexdigest(), None, orientation)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(look, range(len(split.samples)))
        title = f"opening the pictures of [{split.name}]".replace("[", r"\[")
        return list(
            track(found, title, len(split.samples), console=console, transient=True, disable=not console.is_terminal)
        )


def picture_findings(split: Split, looks: Sequence[Look]) -> Iterator[Finding]:
    """Pictures that are missing, damaged or not of their annotated size, and those that EXIF turns."""
    for index, (picture, look) in enumerate(zip(split.pictures, looks, strict=True)):
        if look.error:
            yield Finding("error", "picture of no use", look.error, split.name, index)
        if look.orientation != 1:
            turned = f"{picture.path}: it is shown turned, as its EXIF orientation {look.orientation} says"
            message = f"{turned}; its boxes must be those of the turned picture"
            yield Finding("warning", "EXIF rotation", message, split.name, index)


def split_numbers(split: Split, parts: Sequence[Expressible]) -> dict:
    """The counts of a split, by COCO's sizes and by class, and the average precision of its truth as expressed."""
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
    """Errors first, and none twice: two splits may show the same record."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.message, finding)
    return sorted(first.values(), key=lambda finding: SEVERITIES.index(finding.severity))


def _as_json(config: Check, numbers: dict[str, dict], findings: Sequence[Finding]) -> dict:
    return {
        "data": config.data,
        "image_size": list(config.hw),
        "resize": config.resize,
        "splits": numbers,
        "findings": [finding._asdict() for finding in findings],
    }
