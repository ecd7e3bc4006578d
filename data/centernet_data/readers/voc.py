"""Reads data sets in Pascal VOC's layout, with one XML file per picture."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from centernet_data.contract.messages import duplicates, listed
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, PictureDataset
from centernet_data.readers.annotations import DIFFICULT, chosen_classes, dataset_of
from centernet_data.readers.errors import RAISE, ErrorPolicy


def read_voc(
    root: Path, split: str, classes: Sequence[str] | None = None, errors: ErrorPolicy = RAISE
) -> PictureDataset:
    """Reads the pictures of `root`/ImageSets/Main/`split`.txt, in its order, including those without objects.

    VOC counts pixels from 1 and includes the last one, so an object covers [xmin - 1, xmax] x [ymin - 1, ymax] in
    continuous coordinates. Boxes are clipped to their picture. `difficult` objects become `ignored`. A class's index is
    its position in `classes` if given, otherwise among the sorted names in all of `root`/Annotations, so that every
    split agrees. Raises ValueError, naming the file and the object, for anything missing, malformed or inconsistent;
    mistakes in single pictures or objects go to `errors`.
    """
    names = _split_names(root, split, errors)
    annotations = _read_all(root / "Annotations", errors)
    chosen = chosen_classes(_all_classes(annotations.values(), errors), classes, root / "Annotations")
    pictures = _pictures(root, names, annotations, errors)
    return dataset_of(pictures, chosen, _split_file(root, split), errors)


class _Element:
    """One XML element and its place in the file. Reading a value gives the right type or an error that says what is
    wrong."""

    def __init__(self, element: ElementTree.Element, where: str):
        self.element = element
        self.where = where

    def text(self, tag: str) -> str:
        text = (self.element.findtext(tag) or "").strip()
        if not text:
            raise self.error(f"<{tag}> is missing or empty")
        return text

    def number(self, tag: str) -> float:
        text = self.text(tag)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"<{tag}> should be a finite number, but is '{text}'")
        return value

    def objects(self) -> list["_Element"]:
        children = self.element.findall("object")
        return [_Element(child, f"{self.where}: object {number}") for number, child in enumerate(children, start=1)]

    def error(self, what: str) -> ValueError:
        return ValueError(f"{self.where}: {what}")


def _split_file(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Main" / f"{split}.txt"


def _split_names(root: Path, split: str, errors: ErrorPolicy) -> list[str]:
    path = _split_file(root, split)
    for folder in (root, path.parent, root / "Annotations", root / "JPEGImages"):
        if not folder.is_dir():
            raise ValueError(f"{folder}: the folder does not exist (Pascal VOC's layout needs it)")
    if not path.is_file():
        splits = sorted(file.stem for file in path.parent.glob("*.txt"))
        raise ValueError(f"{path}: there is no split '{split}'; there are: {listed(splits) or 'none'}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    with errors:
        if repeated := duplicates(names):
            raise ValueError(f"{path}: duplicate pictures: {listed(repeated)}")
    return list(dict.fromkeys(names))


def _read_all(folder: Path, errors: ErrorPolicy) -> dict[str, _Element]:
    """Reads every annotation file in the folder; keys are the names of the pictures."""
    annotations = {}
    for file in sorted(folder.glob("*.xml")):
        with errors:
            annotations[file.stem] = _read_xml(file)
    return annotations


def _all_classes(annotations: Iterable[_Element], errors: ErrorPolicy) -> list[str]:
    names = set()
    for annotation in annotations:
        for item in annotation.objects():
            with errors:
                names.add(item.text("name"))
    return sorted(names)


def _read_xml(path: Path) -> _Element:
    if not path.is_file():
        raise ValueError(f"{path}: the annotation file does not exist")
    try:
        return _Element(ElementTree.parse(path).getroot(), str(path))
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # ValueError and LookupError: its encoding
        raise ValueError(f"{path}: not XML: {error}") from error


def _pictures(
    root: Path, names: Sequence[str], annotations: Mapping[str, _Element], errors: ErrorPolicy
) -> Iterator[AnnotatedPicture]:
    for name in names:
        with errors:
            annotation = annotations.get(name) or _read_xml(root / "Annotations" / f"{name}.xml")
            path = _picture_path(root / "JPEGImages", annotation, name)
            height, width = _size(annotation, "height"), _size(annotation, "width")
            yield AnnotatedPicture(path.name, path, height, width, _boxes(annotation, errors))


def _picture_path(folder: Path, annotation: _Element, name: str) -> Path:
    by_split = folder / f"{name}.jpg"
    filename = (annotation.element.findtext("filename") or "").strip()
    # Renamed data sets often keep a stale <filename>: if its file is missing, use the name in the split's list.
    return by_split if not filename or (by_split.is_file() and not (folder / filename).is_file()) else folder / filename


def _size(annotation: _Element, side: str) -> int:
    value = annotation.number(f"size/{side}")
    if value <= 0 or value != int(value):
        raise annotation.error(f"<size/{side}> should be a positive whole number, but is {value:g}")
    return int(value)


def _boxes(annotation: _Element, errors: ErrorPolicy) -> list[AnnotatedBox]:
    boxes = []
    for item in annotation.objects():
        with errors:
            boxes.append(_box(item))
    return boxes


def _box(item: _Element) -> AnnotatedBox:
    x_min, y_min, x_max, y_max = (item.number(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
    if x_max < x_min - 1 or y_max < y_min - 1:
        raise item.error(f"its box is reversed: xmin {x_min:g}, ymin {y_min:g}, xmax {x_max:g}, ymax {y_max:g}")
    ignored = DIFFICULT if _is_difficult(item) else ""
    return AnnotatedBox((x_min - 1, y_min - 1, x_max, y_max), item.text("name"), ignored, where=item.where)


def _is_difficult(item: _Element) -> bool:
    text = (item.element.findtext("difficult") or "0").strip()
    if text not in ("0", "1"):
        raise item.error(f"<difficult> should be 0 or 1, but is '{text}'")
    return text == "1"
