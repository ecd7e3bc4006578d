"""Reads data sets in YOLO's layout: a text file of boxes for each picture, in a folder `labels` beside `images`."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from centernet_data.contract.messages import duplicates, listed, shown
from centernet_data.contract.text_files import read_lines
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture
from centernet_data.imaging.decoding import upright_size_of_file
from centernet_data.imaging.finding import PICTURE_SUFFIXES
from centernet_data.readers.annotations import Known, chosen_classes, dataset_of, require_files
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.named_files import PictureFiles, elsewhere, is_there, visible_files
from centernet_data.stored import PictureDataset

ROUNDING = 0.01  # share of a picture that a number may be outside of it, as in Ultralytics' own reader
_NO_LABELS = "pictures without a label file, taken as pictures without objects"
_ALONE = "label files without a picture"
_LISTS_OF_NAMES = ("classes.txt", "labels.txt", "notes.txt")
_ORIENTED = "oriented boxes or polygons of 4 corners, read as the upright boxes around them"
_POLYGONS = "polygons, read as the upright boxes around them"
_TWICE = "objects given twice in their label file, read once"
_SHARED = "pictures that share their label file with another of the same name"
_BEYOND = "objects with numbers slightly outside of 0 to 1, clipped to their picture"


class YoloFiles(NamedTuple):
    """The pictures of a split: folders, each taken with its sub-folders, or text files that list pictures.

    `names` are the class names of the numbers 0, 1, ...; `kpt_shape` is Ultralytics': how many keypoints follow a box,
    and how many numbers each has.
    """

    pictures: Sequence[Path]
    names: Sequence[str]
    kpt_shape: Sequence[int] | None = None


def read_yolo(
    files: YoloFiles,
    where: Path,
    classes: Sequence[str] | None = None,
    errors: ErrorPolicy = RAISE,
    known: Known = tuple,
) -> PictureDataset:
    """Reads the pictures of a split in YOLO's layout, sorted within each folder, including those without objects.

    The labels of `a/images/b/c.jpg` are in `a/labels/b/c.txt` (the last "images" of the path counts), one object a
    line: its class number, then x_centre, y_centre, width and height of its box, or the x and y of three or more
    corners, all as shares of the upright picture's width and height. A polygon's box is the upright box around it. A
    class's index is its position in `classes` if given (see `chosen_classes` for `known`), otherwise its number. Boxes
    are clipped to their picture. Raises ValueError for anything missing, malformed or inconsistent, naming `where`, the
    file that describes the data set, or the label file and its line; mistakes in single lines go to `errors`.
    """
    if repeated := duplicates(files.names):
        raise ValueError(f"{where}: duplicate names: {listed(repeated)}")
    chosen = chosen_classes(files.names, classes, where, known)
    reading = _Reading(files, errors)
    pictures = [path for place in files.pictures for path in _pictures(place, where, errors)]
    _require_labels(pictures)
    labels = _LabelFiles(pictures, reading.counts)
    if all(place.is_dir() for place in files.pictures):  # a list may leave out pictures
        labels.count_alone(errors)
    return dataset_of(reading.pictures(pictures, labels), chosen, where, errors, reading.counts)


def _pictures(place: Path, where: Path, errors: ErrorPolicy) -> list[Path]:
    """The pictures in a folder, or those that a text file lists: relative to its own folder, or where the first one is
    not there, to that of the data set, `where`."""
    if place.is_dir():
        return [path for path in visible_files(place) if path.suffix.lower() in PICTURE_SUFFIXES]
    if not is_there(place):
        raise ValueError(f"{place}: neither a folder of pictures nor a file that lists them{elsewhere(place)}")
    if place.suffix.lower() in PICTURE_SUFFIXES:
        raise ValueError(f"{place}: a picture; give its folder, or a text file that lists pictures")
    lines = [line for line in read_lines(place) if line]
    root = where if where.is_dir() else where.parent
    first = Path(lines[0] if lines else "")
    files = PictureFiles(root if is_there(root / first) and not is_there(place.parent / first) else place.parent)
    paths = [files.path(line) for line in lines]
    if errors.raises:
        require_files(paths, place)
    return [Path(path) for path in paths]


def label_file(picture: Path) -> Path:
    """Where a picture's labels are: "labels" in the place of the last "images" among its folders, or else beside it."""
    for path in (picture, picture.absolute()):
        folders = path.parts[:-1]
        if "images" in folders:
            last = len(folders) - 1 - folders[::-1].index("images")
            return Path(*folders[:last], "labels", *folders[last + 1 :], path.with_suffix(".txt").name)
    return picture.with_suffix(".txt")


def _require_labels(pictures: Sequence[Path]) -> None:
    """Raises ValueError if not even a folder of labels is there: then something else is meant."""
    folders = dict.fromkeys(label_file(path).parent for path in pictures)
    if pictures and not any(folder.is_dir() for folder in folders):
        expected = label_file(pictures[0])
        raise ValueError(
            f"{expected.parent}: the folder of labels does not exist; the labels of {pictures[0]} would be {expected}"
        )


class _LabelFiles:
    """The label files that there are, by one look into each folder: .TXT ones and other accents too."""

    def __init__(self, pictures: Sequence[Path], counts: Counter[str]):
        self._counts = counts
        self._expected = {path: label_file(path) for path in pictures}
        folders = dict.fromkeys(expected.parent for expected in self._expected.values())
        self._files = {folder: _text_files(folder) for folder in folders}
        self._asked = Counter(map(_key, self._expected.values()))
        counts[_SHARED] += sum(count - 1 for count in self._asked.values())

    def of(self, picture: Path) -> Path | None:
        """The picture's label file; None if there is none."""
        folder, stem = _key(self._expected[picture])
        return self._files[folder].get(stem)

    def count_alone(self, errors: ErrorPolicy) -> None:
        """Counts label files whose picture is not there."""
        for files in self._files.values():
            alone = [path for path in files.values() if _key(path) not in self._asked]
            self._counts[_ALONE] += len(alone)
            if alone:
                errors.remark("label file without a picture", f"{alone[0]}: {_ALONE}: {len(alone)}, this the first")


def _key(path: Path) -> tuple[Path, str]:
    return path.parent, normalize("NFC", path.stem)


def _text_files(folder: Path) -> dict[str, Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    named = [file for file in files if file.suffix.lower() == ".txt" and file.name[0] != "."]
    return {_key(file)[1]: file for file in named if file.name.lower() not in _LISTS_OF_NAMES}


@dataclass
class _Reading:
    """One pass over a split."""

    files: YoloFiles
    errors: ErrorPolicy
    counts: Counter[str] = field(default_factory=Counter)

    def pictures(self, paths: Sequence[Path], labels: _LabelFiles) -> Iterator[AnnotatedPicture]:
        for path in paths:
            with self.errors:
                height, width = upright_size_of_file(path)
                boxes = list(self._boxes(labels.of(path), height, width))
                yield AnnotatedPicture(_name(path), path, height, width, boxes)

    def _boxes(self, labels: Path | None, height: int, width: int) -> Iterator[AnnotatedBox]:
        if labels is None:
            self.counts[_NO_LABELS] += 1
            return
        seen = {}
        for number, line in enumerate(read_lines(labels), start=1):
            with self.errors:
                if not (columns := line.split()):
                    continue
                place = f"{labels}: line {number}"
                label, values = self._class(columns[0], place), self._numbers(columns[1:], place)
                if (first := seen.setdefault((label, *values), number)) != number:
                    self.counts[_TWICE] += 1
                    self.errors.remark("duplicate box", f"{place}: the same as line {first}; it is read once")
                    continue
                x_min, y_min, x_max, y_max = self._corners(values)
                corners = (x_min * width, y_min * height, x_max * width, y_max * height)
                yield AnnotatedBox(corners, self.files.names[label], where=place)

    def _class(self, text: str, where: str) -> int:
        names, value = self.files.names, _number(text, where, "the class")
        if value != int(value) or value < 0:
            raise ValueError(f"{where}: the class should be a whole number from 0, but is {text}")
        if value >= len(names):
            there_are = f"there are {len(names)}, 0 to {len(names) - 1}: {listed(names)}"
            raise ValueError(f"{where}: there is no class {text}; {there_are}")
        return int(value)

    def _numbers(self, texts: Sequence[str], where: str) -> tuple[float, ...]:
        """The four numbers of a box, or the corners of a polygon."""
        self._require_count(len(texts) + 1, where)
        texts = texts if self.files.kpt_shape is None else texts[:4]
        values = tuple(_number(text, where, f"column {column}") for column, text in enumerate(texts, start=2))
        outside = [value for value in values if not -ROUNDING <= value <= 1 + ROUNDING]
        if outside:
            hint = "; they look like pixels" if max(outside) > 2 else ""
            raise ValueError(
                f"{where}: its numbers should be shares of the picture's width and height, from 0 to 1, but there is "
                f"{listed([f'{value:g}' for value in outside])}{hint}"
            )
        if len(values) == 4 and min(values[2:]) < 0:
            raise ValueError(f"{where}: the width or height of its box is negative: {shown(values[2:])}")
        self.counts[_BEYOND] += any(not 0 <= value <= 1 for value in values)
        return values

    def _require_count(self, count: int, where: str) -> None:
        """Raises ValueError for a number of columns that no object has."""
        if (shape := self.files.kpt_shape) is not None:
            if count not in (5, expected := 5 + math.prod(shape)):
                keypoints = f"for a box and {shape[0]} keypoints of {shape[1]} numbers (kpt_shape)"
                raise ValueError(f"{where}: it should have {expected} columns, {keypoints}, or 5, but has {count}")
        elif count == 6:
            raise ValueError(f"{where}: it has 6 columns; labels have 5, and a sixth, a score, is in predictions only")
        elif count < 5 or count % 2 == 0:
            raise ValueError(
                f"{where}: it has {count} columns; a box has 5 (class, x, y, width, height), a polygon 7, 9, 11, ...; "
                "for keypoints give kpt_shape"
            )

    def _corners(self, values: Sequence[float]) -> tuple[float, float, float, float]:
        """The corners of the upright box, as shares."""
        if len(values) == 4:
            x, y, width, height = values
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
        self.counts[_ORIENTED if len(values) == 8 else _POLYGONS] += 1
        return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def _number(text: str, where: str, what: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)  # Python reads 0_5 as 5
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {what} should be a number, but is {shown(text)}")
    return value


def _name(path: Path) -> str:
    """A picture's name: its path within the last folder "images", or else no more than its own name."""
    folders = path.parts[:-1]
    last = len(folders) - 1 - folders[::-1].index("images") if "images" in folders else len(folders) - 1
    return Path(*path.parts[last + 1 :]).as_posix()
