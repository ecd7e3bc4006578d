"""Recognises the layouts in which people have their data sets, where no TOML file describes one."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import listed
from centernet_data.contract.text_files import read_lines
from centernet_data.readers.description import Description, read_description, toml_line
from centernet_data.readers.named_files import is_there, picture_file
from centernet_data.readers.voc import is_in_other_words, voc_classes
from centernet_data.readers.yolo_yaml import read_yolo_yaml

Sections = dict[str, dict[str, Any]]

ROBOFLOW = "_annotations.coco.json"
LOOKED_FOR = (
    "a TOML file with a format, YOLO's data.yaml, COCO's annotations/*.json or one COCO file, Roboflow's "
    f"train/{ROBOFLOW}, Pascal VOC's Annotations and JPEGImages, XML files beside pictures, images and labels"
)
_OF_SPLIT = {"train": "train", "valid": "val", "val": "val", "test": "test"}
_SPLIT = re.compile("train(?!val)|valid|val|test")
_OTHER_TASKS = ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_")
_HEAD = 1 << 20  # bytes of a JSON file that are looked at
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def describe(path: Path, built_in: Sequence[str] = ()) -> Description:
    """What the data set at `path` consists of: a TOML file says it; a YAML file of YOLO's and a COCO file too; a folder
    is recognised by what is in it.

    `built_in` are the names of data sets that need no file, for the message if there is nothing at `path`. Raises
    ValueError, naming the file or the folder, for what cannot be read or recognised.
    """
    if path.is_dir():
        return recognised(path)
    if not path.is_file():
        neither = f"neither a file nor the name of a built-in data set (there are: {listed(built_in)})"
        beside = path.with_name(f"{path.name}.toml")
        raise ValueError(f"{path}: {neither}{f'; there is {beside}' if beside.is_file() else ''}")
    begin = _beginning(path, 99).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if begin == b"{":
        return _of_json(path.parent, [path], path)
    if begin == b"<":
        raise ValueError(
            f"{path}: an XML file, such as Pascal VOC's layout has for each picture: give the folder of the data set"
        )
    if path.suffix.lower() in (".yaml", ".yml"):
        return _of_yaml(path, path)
    return read_description(path)


def recognised(folder: Path) -> Description:
    """The description of the data set in a folder. Raises ValueError, naming the folder, if it holds none that is
    known, or several."""
    for find in (_toml, _yaml, _roboflow, _coco, _voc, _xml_beside_pictures, _labels):
        if found := find(folder):
            return found
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if len(inner) == 1:  # as archives often unpack
        return recognised(inner[0])
    raise ValueError(f"{folder}: no data set is recognised in this folder; looked for: {LOOKED_FOR}")


def how_taken(data: str | Path, description: Description) -> str:
    """One line that says what a folder was taken for, and how to say something else; empty if a file says it itself."""
    if not description.taken_for:
        return ""
    options = {"classes": description.classes} | description.options
    lines = toml_line(description.format, options, _relative(description))
    return (
        f"{data}: taken for {description.taken_for}, with {listed(list(description.sections))}; to have it read in "
        f"another way, write a TOML file in {description.folder}, in lines such as: {lines}"
    )


def _relative(description: Description) -> Sections:
    folder = description.folder.absolute()

    def relative(value: Any) -> Any:
        if isinstance(value, list):
            return [relative(item) for item in value]
        path = Path(value)
        inside = path.is_absolute() and path.is_relative_to(folder)
        return path.relative_to(folder).as_posix() if inside else value

    return {
        split: {key: relative(value) for key, value in section.items()}
        for split, section in description.sections.items()
    }


def _in_folder(
    folder: Path,
    kind: str,
    taken_for: str,
    sections: Sections,
    classes: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Description:
    return Description(folder, kind, classes, options or {}, sections, folder, taken_for=taken_for)


def _one(folder: Path, files: Sequence[Path], what: str, preferred: Sequence[str]) -> Path | None:
    """The only file, or the first of the preferred names. Raises ValueError for several others."""
    named = [folder / name for name in preferred if folder / name in files]
    if len(files) > 1 and not named:
        raise ValueError(
            f"{folder}: it holds several {what}: {listed([path.name for path in files])}; give one of them"
        )
    return next(iter([*named, *files]), None)


def _toml(folder: Path) -> Description | None:
    files = [path for path in sorted(folder.glob("*.toml")) if re.search(rb"(?m)^\s*format\s*=", path.read_bytes())]
    path = _one(folder, files, "TOML files that describe data sets", [f"{folder.name}.toml"])
    return path and read_description(path)


def _yaml(folder: Path) -> Description | None:
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".yaml", ".yml") and is_there(path)]
    files = [path for path in files if re.search(rb"(?m)^(train|val)\s*:", path.read_bytes())]
    path = _one(folder, files, "YAML files of YOLO's", ["data.yaml", "dataset.yaml", f"{folder.name}.yaml"])
    return path and _of_yaml(path, folder)


def _of_yaml(path: Path, given: Path) -> Description:
    options, sections = read_yolo_yaml(path)
    taken_for = f"YOLO's layout, by {path.name}"
    return Description(given, "yolo", None, options, sections, path.parent, taken_for=taken_for)


def _roboflow(folder: Path) -> Description | None:
    sections = {
        split: {"images": name, "annotations": f"{name}/{ROBOFLOW}"}
        for name, split in _OF_SPLIT.items()
        if (folder / name / ROBOFLOW).is_file()
    }
    if not sections:
        return None
    files = [folder / section["annotations"] for section in sections.values()]
    classes, heading = _without_heading(files)
    return _in_folder(folder, "coco", f"Roboflow's export in COCO's format{heading}", sections, classes=classes)


def _without_heading(files: Sequence[Path]) -> tuple[list[str] | None, str]:
    """The classes without Roboflow's category 0, which is the heading of the others and has no objects."""
    contents = [path.read_bytes() for path in files]
    try:
        first, *others = json.loads(contents[0])["categories"]
        names = [other["name"] for other in others]
        is_heading = first["id"] == 0 and all(other["supercategory"] == first["name"] for other in others)
    except (ValueError, KeyError, TypeError):  # the reader says what is wrong
        return None, ""
    if not others or not is_heading or any(re.search(rb'"category_id"\s*:\s*0\b', content) for content in contents):
        return None, ""
    return names, f" (without its category '{first['name']}', a heading that has no objects)"


def _coco(folder: Path) -> Description | None:
    files = [*sorted(folder.glob("annotations/*.json")), *sorted(folder.glob("*.json"))]
    files = [path for path in files if not path.name.startswith((".", *_OTHER_TASKS)) and _is_coco(path)]
    instances = [path for path in files if path.name.startswith("instances_")]
    return _of_json(folder, instances or files, folder) if files else None


def _of_json(folder: Path, files: Sequence[Path], given: Path) -> Description:
    """The description of a data set whose annotations are in COCO files, named by their split if they are several."""
    by_split: dict[str, Path] = {}
    for path in files:
        found = _SPLIT.search(path.stem.lower())
        split = _OF_SPLIT[found[0]] if found and len(files) > 1 else "train"
        if split in by_split:
            names = listed([str(other.relative_to(folder)) for other in files])
            unclear = f"it is not clear which COCO file is which split's: {names}"
            raise ValueError(f"{folder}: {unclear}; {_write_toml(folder)}")
        by_split[split] = path
    sections = {split: _coco_section(folder, path, split) for split, path in by_split.items()}
    if b'"imgs"' in _beginning(files[0], _HEAD):
        path = files[0]
        sections = {split: {**_coco_section(folder, path, split), "split": split} for split in ("train", "val")}
        return Description(given, "cocotext", None, {}, sections, folder, taken_for="a COCO-Text file")
    taken_for = "a COCO file" if len(files) == 1 else "COCO's layout"
    return Description(given, "coco", None, {}, sections, folder, taken_for=taken_for)


def _is_coco(path: Path) -> bool:
    begin = _beginning(path, _HEAD)
    return begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and any(
        key in begin for key in (b'"images"', b'"annotations"', b'"imgs"')
    )


def _coco_section(folder: Path, annotations: Path, split: str) -> dict[str, str]:
    """A COCO file, and the folder in which the first of its pictures is."""
    own = annotations.stem.removeprefix("instances_")
    names = [own, f"images/{own}", split, f"images/{split}", "images", "JPEGImages", "."]
    places = [folder / name for name in names] + [annotations.parent]
    places = [place for place in places if place.is_dir()]
    first = _FILE_NAME.search(_beginning(annotations, _HEAD))
    name = json.loads(first[1]) if first else ""
    place = next((place for place in places if name and is_there(picture_file(place, name))), places[0])
    return {
        "images": place.relative_to(folder).as_posix(),
        "annotations": annotations.relative_to(folder).as_posix(),
    }


def _voc(folder: Path) -> Description | None:
    places = [folder, *sorted(folder.glob("VOC*")), *sorted(folder.glob("VOCdevkit/VOC*"))]
    roots = [place for place in places if (place / "Annotations").is_dir() and (place / "JPEGImages").is_dir()]
    if not roots and is_in_other_words(folder):
        return _in_folder(folder, "voc", "Pascal VOC's XML files and a folder of pictures", {"train": {"root": "."}})
    if not roots:
        return None
    if len(roots) > 1:
        names = listed([str(root.relative_to(folder)) for root in roots])
        raise ValueError(f"{folder}: it holds several data sets in Pascal VOC's layout: {names}; give one of them")
    root = roots[0]
    lists = {path.stem for path in (root / "ImageSets" / "Main").glob("*.txt")}
    others = sorted(lists - {"val", "test"})
    train = next((name for name in ("train", "trainval", *others) if name in lists), "")
    wanted = {"train": train, "val": "val", "test": "test"}
    where = root.relative_to(folder).as_posix()
    sections = {split: {"root": where, "split": name} for split, name in wanted.items() if name in lists}
    return _in_folder(folder, "voc", "Pascal VOC's layout", sections or {"train": {"root": where}})


def _xml_beside_pictures(folder: Path) -> Description | None:
    found = {split: name for name, split in _OF_SPLIT.items() if any((folder / name).glob("*.xml"))}
    if not found and any(folder.glob("*.xml")):
        found = {"train": "."}
    sections = {split: {"root": name} for split, name in found.items()}
    if not found:
        return None
    classes: list[str] | None = None
    with suppress(ValueError):  # the reader says what is wrong
        classes = sorted({name for split in found.values() for name in voc_classes(folder / split)}) or None
    return _in_folder(folder, "voc", "Pascal VOC's XML files beside their pictures", sections, classes)


def _labels(folder: Path) -> Description | None:
    """YOLO's folders without a YAML file: the class names must be in a list of names."""
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        return None
    lists = [folder / "classes.txt", folder / "labels" / "classes.txt", folder / "obj.names"]
    path = next((path for path in lists if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"{folder}: it holds images and labels, as in YOLO's layout, but no data.yaml, which must say the names of "
            f"the classes; {_write_toml(folder)}"
        )
    names = [line for line in read_lines(path) if line]
    found = {split: f"images/{name}" for name, split in _OF_SPLIT.items() if (folder / "images" / name).is_dir()}
    sections = {split: {"images": name} for split, name in (found or {"train": "images"}).items()}
    return _in_folder(
        folder, "yolo", f"YOLO's layout, with the names in {path.name}", sections, options={"names": names}
    )


def _write_toml(folder: Path) -> str:
    return f"describe the data set in a TOML file, such as {folder / 'data.toml'} (docs/data.md)"


def _beginning(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
