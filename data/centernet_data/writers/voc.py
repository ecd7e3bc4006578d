"""Writes data sets in Pascal VOC's layout, with one XML file per picture."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from centernet_data.contract.boxes import cyxhw_to_xyxy
from centernet_data.contract.messages import listed
from centernet_data.dataset import Sample
from centernet_data.writers.parts import Part
from centernet_data.writers.pictures import Place, file_names_in_one_folder, is_unwritable, renamed
from centernet_data.writers.written import Written

DIGITS = 10  # after the point: a box of whole pixels stays one, and no box moves by as much as 1e-10 pixels


def write_voc(folder: Path, data: str, splits: Mapping[str, Part], place: Place) -> Written:
    """Writes the splits of the data set `data` to JPEGImages, Annotations and ImageSets/Main/SPLIT.txt in `folder`.

    An object that covers [x_min, x_max] in continuous coordinates gets an xmin of x_min + 1 and an xmax of x_max: VOC
    counts pixels from 1 and includes the last one. Sides that are no whole numbers are written with their fractions.
    Ignored objects become `difficult`. `place` writes the pictures. Raises ValueError for a picture that cannot be read
    and for classes that this layout cannot name.
    """
    classes = _classes(data, splits)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    names = file_names_in_one_folder(splits)
    for split, part in splits.items():
        stems = [str(PurePosixPath(name).with_suffix("")) for name in names[split]]
        for index, (stem, name) in enumerate(zip(stems, names[split], strict=True)):
            place(part, index, folder / "JPEGImages" / name)
            path = folder / "Annotations" / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_xml(name, part.sample(index), part.classes))
        lines = "".join(f"{stem}\n" for stem in stems)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")
    absent = [name for name in next(iter(splits.values())).classes if name not in classes]
    lost = [f"classes without any object, which Pascal VOC's layout cannot name: {listed(absent)}"] * bool(absent)
    description = {"format": "voc", "classes": classes} | {split: {"root": ".", "split": split} for split in splits}
    return Written(description, {split: [*renamed(part, names[split]), *lost] for split, part in splits.items()})


def _classes(data: str, splits: Mapping[str, Part]) -> list[str]:
    """The classes that have objects, in the data set's order."""
    present = {int(label) for part in splits.values() for label in _labels(part)}
    classes = [name for index, name in enumerate(next(iter(splits.values())).classes) if index in present]
    if not classes:
        raise ValueError(f"{data}: there are no objects, and Pascal VOC's layout names classes only by them")
    for name in classes:
        if name != name.strip() or any(map(is_unwritable, name)) or not name:
            raise ValueError(
                f"{data}: Pascal VOC's layout cannot store the class name {name!r}: it has outer spaces or control "
                "characters"
            )
    return classes


def _labels(part: Part) -> np.ndarray:
    rows = [_rows(part.sample(index)) for index in range(len(part))]
    return np.unique(np.concatenate(rows)[:, 4])


def _rows(sample: Sample) -> np.ndarray:
    return np.concatenate([sample.objects, sample.ignored])


def _xml(name: str, sample: Sample, classes: tuple[str, ...]) -> bytes:
    path, root = PurePosixPath(name), ElementTree.Element("annotation")
    _add(root, "folder", path.parent.name or "JPEGImages")
    _add(root, "filename", path.name)
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", sample.width), ("height", sample.height), ("depth", 3)):
        _add(size, tag, str(value))
    for number, row in enumerate(_rows(sample)):
        _add_object(root, row, classes, difficult=number >= len(sample.objects))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _add_object(root: ElementTree.Element, row: np.ndarray, classes: tuple[str, ...], difficult: bool) -> None:
    item = ElementTree.SubElement(root, "object")
    _add(item, "name", classes[int(row[4])])
    _add(item, "difficult", str(int(difficult)))
    box = ElementTree.SubElement(item, "bndbox")
    sides = cyxhw_to_xyxy(row[:4]) + np.array([1, 1, 0, 0])
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), sides.tolist(), strict=True):
        _add(box, tag, f"{value:.{DIGITS}f}".rstrip("0").rstrip("."))


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text
