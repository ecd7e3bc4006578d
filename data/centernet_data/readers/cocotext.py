"""Reads data sets annotated in COCO-Text's JSON format, version 2: words in COCO's photographs (arXiv:1601.07140)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from centernet_data.contract.messages import listed, shown
from centernet_data.contract.words import LEAST_AREA, ONE_CLASS
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture
from centernet_data.readers.annotations import chosen_classes, dataset_of
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.json_records import (
    ID,
    Record,
    area,
    box_corners,
    file_name,
    not_among,
    picture_size,
    read_json,
)
from centernet_data.readers.named_files import is_there, picture_file
from centernet_data.stored import PictureDataset

WORD_CLASSES = ("machine printed", "handwritten", "others")
LEGIBILITY = ("legible", "illegible")


def read_cocotext(
    images: Path,
    annotations: Path,
    split: str,
    classes: Sequence[str] | None = None,
    ignore_illegible: bool = True,
    least_area: float = LEAST_AREA,
    errors: ErrorPolicy = RAISE,
) -> PictureDataset:
    """Reads the pictures of a COCO-Text file whose 'set' is `split`, in its order, including those without words.

    `images` is the folder of COCO's train2014. All words have the class "text", unless `classes` names some of the
    file's own: "machine printed", "handwritten", "others". Illegible words become `ignored` (unless `ignore_illegible`
    is false), and so do words whose box, clipped to the picture, covers less than the share `least_area` of it. `areas`
    are the file's. Pictures missing from the folder are left out; `notes` count all of this. Raises ValueError, naming
    the file and the record, for anything missing, malformed or inconsistent, and if all pictures are missing; mistakes
    in single records go to `errors`.
    """
    content = read_json(annotations, "COCO-Text")
    image_records, word_records = (_records(content, key, annotations, errors) for key in ("imgs", "anns"))
    if not images.is_dir():
        raise ValueError(f"{images}: the folder of pictures does not exist")
    by_class = classes is not None and tuple(classes) != ONE_CLASS
    chosen = chosen_classes(WORD_CLASSES, classes, annotations) if by_class else ONE_CLASS
    words = _words_by_image(word_records, image_records, errors)
    pictures = []
    for key in _keys_of_split(image_records, split, annotations, errors):
        with errors:
            name, (height, width) = file_name(image_records[key]), picture_size(image_records[key])
            boxes = []
            for word in words[key]:
                with errors:
                    boxes.append(_box(word, height, width, by_class, ignore_illegible, least_area))
            pictures.append(AnnotatedPicture(name, picture_file(images, name), height, width, boxes))
    return _dataset_of_existing(pictures, chosen, images, annotations, errors)


def _records(content: Record, section: str, path: Path, errors: ErrorPolicy) -> dict[str, Record]:
    records = {}
    for key, values in content.get(section, dict).items():
        with errors:
            records[key] = Record(values, f"{path}: {section}['{key}']")
    return records


def _words_by_image(
    words: dict[str, Record], images: dict[str, Record], errors: ErrorPolicy
) -> dict[str, list[Record]]:
    by_image = defaultdict(list)
    for word in words.values():
        with errors:
            image_id = word.get("image_id", ID)
            if str(image_id) not in images:
                raise not_among(word, "image_id", images, "imgs")
            by_image[str(image_id)].append(word)
    return by_image


def _keys_of_split(images: dict[str, Record], split: str, path: Path, errors: ErrorPolicy) -> list[str]:
    sets = {}
    for key, record in images.items():
        with errors:
            sets[key] = record.get("set", str)
    if split not in sets.values():
        raise ValueError(
            f"{path}: there is no split '{split}'; there are: {listed(sorted(set(sets.values()))) or 'none'}"
        )
    return [key for key, name in sets.items() if name == split]


def _box(
    word: Record, height: int, width: int, by_class: bool, ignore_illegible: bool, least_area: float
) -> AnnotatedBox:
    corners, kind = box_corners(word), _one_of(word, "class", WORD_CLASSES)
    inside = max(0, min(corners[2], width) - max(corners[0], 0)) * max(0, min(corners[3], height) - max(corners[1], 0))
    ignored = ""
    if _one_of(word, "legibility", LEGIBILITY) == "illegible" and ignore_illegible:
        ignored = "illegible words"
    elif inside < least_area * height * width:
        ignored = f"words smaller than {least_area:.3g} of their picture"
    return AnnotatedBox(corners, kind if by_class else ONE_CLASS[0], ignored, area(word), word.where)


def _one_of(word: Record, key: str, values: Sequence[str]) -> str:
    value = word.get(key, str)
    if value not in values:
        raise word.error(f"'{key}' should be one of: {listed(values)}, but is {shown(value)}")
    return value


def _dataset_of_existing(
    pictures: Sequence[AnnotatedPicture], classes: Sequence[str], images: Path, annotations: Path, errors: ErrorPolicy
) -> PictureDataset:
    existing = [picture for picture in pictures if is_there(picture.path)]
    if pictures and not existing:
        raise ValueError(
            f"{annotations}: none of its {len(pictures)} pictures is in {images}; the first is {pictures[0].name}"
        )
    dataset = dataset_of(existing, classes, annotations, errors)
    missing = len(pictures) - len(existing)
    note = (f"pictures left out because they are not in {images}: {missing}",) if missing else ()
    return replace(dataset, notes=(*dataset.notes, *note))
