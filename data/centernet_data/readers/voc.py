"""Reads data sets in Pascal VOC's layout, with one XML file per picture."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unicodedata import normalize

from centernet_data.contract.messages import duplicates, listed
from centernet_data.contract.text_files import read_lines
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture
from centernet_data.imaging.decoding import picture_content, upright_size
from centernet_data.imaging.finding import PICTURE_SUFFIXES
from centernet_data.readers.annotations import DIFFICULT, Known, chosen_classes, dataset_of, side_in_pixels
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.named_files import NamedFiles, is_there
from centernet_data.readers.voc_xml import Element, read_xml
from centernet_data.stored import PictureDataset

OTHER_WORDS = ("annotations", "images")  # for Annotations and JPEGImages

_LINE_OF_A_CLASS = re.compile(r"(.*\S)\s+(-1|0|1)")  # VOC's lists of one class: a picture's name, and whether it has it
_SIZE_FROM_FILE = "pictures whose size is read from their file, because their annotation has none"
_ANOTHER_PICTURE = "annotations whose <filename> is another picture's; the picture of the annotation's own name is used"
_BEFORE_THE_FIRST = (
    "boxes that begin before pixel 1, from which VOC counts; if this data set counts from 0, write first_pixel = 0"
)


def read_voc(
    root: Path,
    split: str | None,
    classes: Sequence[str] | None = None,
    errors: ErrorPolicy = RAISE,
    first_pixel: int = 1,
    known: Known = tuple,
) -> PictureDataset:
    """Reads the pictures of `root`/ImageSets/Main/`split`.txt, in its order, including those without objects; without a
    `split` those of all annotations, sorted. The annotations may also be in `root` itself, beside their pictures.

    A line names a picture and its annotation by their path in JPEGImages and Annotations, without suffix. VOC counts
    pixels from 1 and includes the last one, so an object covers [xmin - 1, xmax] x [ymin - 1, ymax] in continuous
    coordinates; with a `first_pixel` of 0, [xmin, xmax] x [ymin, ymax]. Boxes are clipped to their picture. `difficult`
    objects become `ignored`. A class's index is its position in `classes` if given (see `chosen_classes` for `known`),
    otherwise among the sorted names in all of `root`/Annotations, so that every split agrees. Raises ValueError, naming
    the file and the object, for anything missing, malformed or inconsistent; mistakes in single pictures or objects go
    to `errors`.
    """
    folders = _folders(root, split)
    files = NamedFiles(folders.annotations, (".xml",))
    lines = dict.fromkeys((stem for stem, _ in files), "") if split is None else _lines(root, split, files, errors)
    annotations = _read_all(files, errors)
    chosen = chosen_classes(_class_names(annotations.values(), errors), classes, files.folder, known)
    reading = _Reading(files, NamedFiles(folders.pictures, PICTURE_SUFFIXES), annotations, first_pixel, errors)
    return dataset_of(reading.pictures(lines), chosen, folders.listing, errors, reading.counts)


def voc_classes(root: Path) -> list[str]:
    """The sorted names of the classes in all of `root`/Annotations. Raises ValueError for a damaged file."""
    return _class_names(_read_all(NamedFiles(_folders(root, None).annotations, (".xml",)), RAISE).values(), RAISE)


def voc_lists(root: Path) -> list[str]:
    """The names of the lists of pictures in `root`/ImageSets/Main, sorted."""
    return sorted(file.stem for file in (root / "ImageSets" / "Main").glob("*.txt") if not file.name.startswith("."))


def _split_file(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Main" / f"{split}.txt"


class _Folders(NamedTuple):
    """Where a data set's files are, and what lists its pictures."""

    annotations: Path
    pictures: Path
    listing: Path


def _folders(root: Path, split: str | None) -> _Folders:
    """Raises ValueError for a folder or a list that is missing."""
    if split is None and not (root / "Annotations").exists() and any(root.glob("*.xml")):
        return _Folders(root, root, root)
    if split is None and not (root / "Annotations").exists() and is_in_other_words(root):
        return _Folders(root / OTHER_WORDS[0], root / OTHER_WORDS[1], root)
    path = root if split is None else _split_file(root, split)
    folders = _Folders(root / "Annotations", root / "JPEGImages", path)
    for folder in (root, *([] if split is None else [path.parent]), folders.annotations, folders.pictures):
        if not folder.is_dir():
            raise ValueError(f"{folder}: the folder does not exist (Pascal VOC's layout needs it)")
    if split is not None and not path.is_file():
        raise ValueError(f"{path}: there is no split '{split}'; there are: {listed(voc_lists(root)) or 'none'}")
    return folders


def is_in_other_words(root: Path) -> bool:
    """Whether the folders are called annotations and images, as many people who use VOC's XML call them."""
    annotations, images = (root / name for name in OTHER_WORDS)
    return images.is_dir() and any(annotations.glob("*.xml"))


def _lines(root: Path, split: str, files: NamedFiles, errors: ErrorPolicy) -> dict[str, str]:
    """The names in a split's file, and the place of each for messages."""
    path = _split_file(root, split)
    lines = enumerate((normalize("NFC", line.replace("\\", "/")) for line in read_lines(path)), start=1)
    places = [(line, number) for number, line in lines if line]
    for line, number in places:
        marked = _LINE_OF_A_CLASS.fullmatch(line)
        if marked and files.of(marked[1]) and not files.of(line):
            raise ValueError(
                f"{path}: line {number}: '{line}': this is VOC's list of one class (1: a picture shows it, -1: not), "
                "not a list of pictures; name another file of the folder as the split"
            )
    with errors:
        if repeated := duplicates(line for line, _ in places):
            again = max(number for line, number in places if line == repeated[0])
            raise ValueError(f"{path}: duplicate pictures: {listed(repeated)} (the first again in line {again})")
    return {line: f"line {number} of {path}" for line, number in places}


def _read_all(files: NamedFiles, errors: ErrorPolicy) -> dict[str, Element]:
    """Reads every annotation file; keys are the names of the pictures."""
    annotations = {}
    for stem, path in files:
        with errors:
            if stem in annotations:
                raise ValueError(f"{path}: there is {Path(annotations[stem].where).name} too; one of them must go")
            annotations[stem] = read_xml(path)
    return annotations


def _class_names(annotations: Iterable[Element], errors: ErrorPolicy) -> list[str]:
    names = set()
    for annotation in annotations:
        for item in annotation.objects():
            with errors:
                names.add(item.text("name"))
    return sorted(names)


@dataclass
class _Reading:
    """One pass over a split."""

    files: NamedFiles
    jpegs: NamedFiles
    annotations: Mapping[str, Element]
    first_pixel: int
    errors: ErrorPolicy

    def __post_init__(self):
        self.counts: Counter[str] = Counter()

    def pictures(self, lines: Mapping[str, str]) -> Iterator[AnnotatedPicture]:
        for name, where in lines.items():
            with self.errors:
                if self.files.of(name) and name not in self.annotations:
                    continue  # it is not XML, as was said already
                if name not in self.annotations:
                    raise ValueError(self._no_annotation(name, where))
                annotation = self.annotations[name]
                path = self._picture_path(name, annotation)
                height, width = self._size(annotation, path)
                shown = path.relative_to(self.jpegs.folder).as_posix()
                yield AnnotatedPicture(shown, path, height, width, self._boxes(annotation))

    def _no_annotation(self, name: str, where: str) -> str:
        missing = f"{self.files.folder / name}.xml: the annotation file does not exist; {where} names it"
        plain = str(Path(name).parent / Path(name).stem)
        if there := [plain] if self.files.of(plain) else self.files.similar(name) or self.files.similar(plain):
            return f"{missing}; it is there as {there[0]}.xml: the line should be {there[0]}"
        return missing

    def _picture_path(self, name: str, annotation: Element) -> Path:
        own, named = self.jpegs.of(name), self._named(name, annotation.text_or_empty("filename"))
        if named in own or (named and not own and self._stem(named) not in self.annotations):
            return named
        if own and named:
            self.counts[_ANOTHER_PICTURE] += 1
            which = f"its <filename> is another picture's, {named.name}; {own[0].name} is used"
            self.errors.remark("<filename> of another picture", f"{annotation.where}: {which}")
        if named and not own:
            belongs = f"its <filename>, {named.name}, belongs to {self._stem(named)}.xml"
            raise annotation.error(f"there is no picture {self.jpegs.folder / name}.jpg, and {belongs}")
        plain = [path for path in own if path.suffix == ".jpg"] or own or [self.jpegs.folder / f"{name}.jpg"]
        if len(plain) > 1:
            raise annotation.error(f"it has several pictures: {listed([path.name for path in plain])}")
        return plain[0]

    def _named(self, name: str, filename: str) -> Path | None:
        """The picture that a <filename> names, if it is there: in the folder of the annotation's own, or in all."""
        parts = PurePosixPath(filename.replace("\\", "/"))
        beside = self.jpegs.folder / PurePosixPath(name).parent
        inside = parts.name and not parts.is_absolute() and ".." not in parts.parts
        places = [beside / parts.name, *([self.jpegs.folder / parts] if inside else [])]
        return next((path for path in places if is_there(path)), None)

    def _stem(self, path: Path) -> str:
        return normalize("NFC", path.relative_to(self.jpegs.folder).with_suffix("").as_posix())

    def _size(self, annotation: Element, path: Path) -> tuple[int, int]:
        texts = [annotation.text_or_empty(f"size/{side}") for side in ("height", "width")]
        if any(text in ("", "0") for text in texts):
            size = upright_size(picture_content(path), str(path))
            self.counts[_SIZE_FROM_FILE] += 1
            return size
        height, width = (
            side_in_pixels(annotation.number(f"size/{side}"), f"<size/{side}>", annotation.error)
            for side in ("height", "width")
        )
        return height, width

    def _boxes(self, annotation: Element) -> list[AnnotatedBox]:
        boxes = []
        for item in annotation.objects():
            with self.errors:
                x_min, y_min, x_max, y_max = item.corners()
                ignored, first = DIFFICULT if _is_difficult(item) else "", self.first_pixel
                self.counts[_BEFORE_THE_FIRST] += 0 <= min(x_min, y_min) < first
                corners = (x_min - first, y_min - first, x_max, y_max)
                boxes.append(AnnotatedBox(corners, item.text("name"), ignored, where=item.where))
        return boxes


def _is_difficult(item: Element) -> bool:
    text = item.text_or_empty("difficult") or "0"
    if text not in ("0", "1"):
        raise item.error(f"<difficult> should be 0 or 1, but is '{text}'")
    return text == "1"
