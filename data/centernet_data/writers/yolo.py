"""Writes data sets in YOLO's layout: images/SPLIT, labels/SPLIT, and Ultralytics' data.yaml."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from centernet_data.dataset import Sample
from centernet_data.imaging.decoding import upright_size
from centernet_data.writers.parts import Part
from centernet_data.writers.pictures import Place, file_names, renamed
from centernet_data.writers.written import Written

YAML = "data.yaml"
HEAD = (
    "# For Ultralytics' programs. Without a key `path`, paths are relative to this file's folder, wherever that is.\n"
)
IGNORED = "ignored objects left out, because YOLO's layout has none"
TWICE = "objects left out because their box is given twice, which YOLO's layout does not allow"


def write_yolo(folder: Path, data: str, splits: Mapping[str, Part], place: Place) -> Written:
    """Writes the splits of the data set `data` to images/SPLIT, labels/SPLIT and data.yaml in `folder`.

    A line of a label file is a class's number and x_centre, y_centre, width and height as shares of the upright
    picture's sides, with all digits of a float64. `place` writes the pictures. Raises ValueError for a picture that
    cannot be read, or has another size than annotated: shares of it would be other pixels.
    """
    classes, notes = next(iter(splits.values())).classes, {}
    for split, part in splits.items():
        counts: Counter[str] = Counter()
        names = file_names(part, by_stem=True, avoid="images")  # the last such folder is where readers see labels/
        for index, name in enumerate(names):
            _require_size(part, index)
            place(part, index, folder / "images" / split / name)
            path = folder / "labels" / split / f"{PurePosixPath(name).with_suffix('')}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(_lines(part.sample(index), counts)), encoding="utf-8")
        notes[split] = [*renamed(part, names), *(f"{what}: {count}" for what, count in sorted(counts.items()) if count)]
    sections = {split: f"images/{split}" for split in splits}
    text = yaml.safe_dump(sections | {"names": dict(enumerate(classes))}, sort_keys=False, allow_unicode=True)
    (folder / YAML).write_text(HEAD + text, encoding="utf-8")
    description = {"format": "yolo", "names": list(classes)}
    return Written(description | {split: {"images": path} for split, path in sections.items()}, notes)


def _require_size(part: Part, index: int) -> None:
    content, sample = part.content(index), part.sample(index)
    if content is None:
        return
    height, width = upright_size(content, where := str(part.path(index) or sample.name))
    if (height, width) != (sample.height, sample.width):
        raise ValueError(
            f"{where}: the picture is {width} x {height} pixels (width x height, EXIF rotation applied), but its "
            f"annotation says {sample.width} x {sample.height}"
        )


def _lines(sample: Sample, counts: Counter[str]) -> list[str]:
    y, x, height, width, label = sample.objects[:, :5].T
    shares = np.column_stack([x / sample.width, y / sample.height, width / sample.width, height / sample.height])
    lines = [
        " ".join([str(int(number)), *map(repr, row)]) + "\n"
        for number, row in zip(label, np.clip(shares, 0, 1).tolist(), strict=True)
    ]
    once = list(dict.fromkeys(lines))
    counts[TWICE] += len(lines) - len(once)
    counts[IGNORED] += len(sample.ignored)
    return once
