"""Reads the TOML file that describes a data set, and says what to write where there is none."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import listed
from centernet_data.contract.text_files import read_text

_SECTION_KEYS = {
    "coco": ("images", "annotations"),
    "cocotext": ("images", "annotations", "split"),
    "voc": ("root", "split"),
}
_OPTIONS = {  # keys that only one format has, and their values
    "cocotext": {"ignore_illegible": "true or false", "least_area": "a number from 0 to 1"},
    "voc": {"first_pixel": "0 or 1"},
}
_ALLOWS = {
    "true or false": lambda value: isinstance(value, bool),
    "a number from 0 to 1": lambda value: type(value) in (int, float) and 0 <= value <= 1,
    "0 or 1": lambda value: type(value) is int and value in (0, 1),
}


@dataclass(frozen=True)
class Description:
    """A data set's TOML file: its format, the chosen classes (None means all), the format's own options, and for each
    split the section as it is written."""

    path: Path
    format: str
    classes: list[str] | None
    options: dict[str, Any]
    sections: dict[str, dict[str, Any]]

    def section(self, split: str) -> dict[str, str]:
        """The checked section of a split. Raises ValueError, naming the file, for a mistake in it."""
        keys, path = _SECTION_KEYS[self.format], self.path
        if split not in self.sections:
            there_are = listed(list(self.sections)) or "none"
            raise ValueError(f"{path}: there is no section [{split}]; there are: {there_are}")
        section = self.sections[split]
        if unknown := [key for key in section if key not in keys]:
            raise ValueError(f"{path}: [{split}] has an unknown key: {listed(unknown)}; there are: {listed(keys)}")
        for key in keys:
            if not isinstance(section.get(key), str):
                wrong = f"should be a string, but is {section[key]!r}" if key in section else "is missing"
                raise ValueError(f"{path}: '{key}' of [{split}] {wrong}")
        return section


def read_description(path: Path, built_in: Sequence[str] = ()) -> Description:
    """Reads a data set's TOML file. Raises ValueError, naming the file, for any mistake in it outside its sections.

    `built_in` are the names of data sets that need no file, for the message if there is none at `path`.
    """
    content = _read_toml(path, built_in)
    kind = _format(path, content)
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    options = _options(path, content, kind)
    known = ["format", "classes", *_OPTIONS.get(kind, {})]
    if unknown := [key for key in content if key not in {*known, *sections}]:
        raise ValueError(f"{path}: unknown key: {listed(unknown)}; there are: {listed(known)} and sections")
    return Description(path, kind, _classes(path, content), options, sections)


def classes_line(classes: Sequence[str]) -> str:
    """The line that chooses these classes in a TOML file."""
    return f"classes = [{', '.join(_quoted(name) for name in classes)}]"


def _read_toml(path: Path, built_in: Sequence[str]) -> dict[str, Any]:
    if not path.is_file():
        neither = f"neither a file nor the name of a built-in data set (there are: {listed(built_in)})"
        raise ValueError(f"{path}: {neither}{_instead_of(path)}")
    try:
        return tomllib.loads(read_text(path, "TOML"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}{_instead_of(path)}") from error


def _format(path: Path, content: dict[str, Any]) -> str:
    if "format" not in content:
        raise ValueError(f"{path}: 'format' is missing; it should be one of: {listed(list(_SECTION_KEYS))}")
    kind = content["format"]
    if not isinstance(kind, str) or kind not in _SECTION_KEYS:
        raise ValueError(f"{path}: no such format: {kind!r}; there are: {listed(list(_SECTION_KEYS))}")
    return kind


def _classes(path: Path, content: dict[str, Any]) -> list[str] | None:
    classes = content.get("classes")
    if classes is None:
        return None
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path}: 'classes' should be a list of at least one string, but is {classes!r}")
    return classes


def _options(path: Path, content: dict[str, Any], kind: str) -> dict[str, Any]:
    allowed = _OPTIONS.get(kind, {})
    options = {key: content[key] for key in allowed if key in content}
    for key, value in options.items():
        if not _ALLOWS[allowed[key]](value):
            raise ValueError(f"{path}: '{key}' should be {allowed[key]}, but is {value!r}")
    return options


def _instead_of(path: Path) -> str:
    """What to give instead of something that is no TOML file, as the end of a sentence; empty if that is unknown."""
    if path.is_dir():
        return _instead_of_folder(path)
    begin = _beginning(path, 99).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] if path.is_file() else b""
    if begin == b"{":
        return _to_write(path.with_suffix(".toml"), *_json_lines(path.parent, path))
    if begin == b"<":
        return (
            "; an XML file, as Pascal VOC's layout has for each picture: give the TOML file that describes the data set"
        )
    if begin and path.suffix.lower() in (".yaml", ".yml"):
        return (
            "; a YAML file, such as YOLO's, is not read: convert the data set to COCO's format or Pascal VOC's layout"
        )
    beside = path.with_name(f"{path.name}.toml")
    return f"; there is {beside}" if beside.is_file() else ""


def _instead_of_folder(folder: Path) -> str:
    if (folder / "dataset_info.json").is_file():
        return f"; it is a folder of TFDS: tfds:{folder}"
    if found := sorted(folder.glob("*.toml")):
        return f"; it is a folder that holds {listed(found)}"
    if (folder / "ImageSets" / "Main").is_dir():
        splits = sorted(file.stem for file in (folder / "ImageSets" / "Main").glob("*.txt") if file.name[0] != ".")
        split = next((name for name in ("train", "trainval", *splits) if name in splits), "train")
        return _to_write(folder / "voc.toml", "voc", {"root": ".", "split": split})
    if found := [*sorted(folder.glob("*.json")), *sorted(folder.glob("*/*.json"))]:
        return _to_write(folder / "data.toml", *_json_lines(folder, found[0]))
    return "; it is a folder: give the TOML file that describes the data set (docs/data.md)"


def _json_lines(folder: Path, annotations: Path) -> tuple[str, dict[str, str]]:
    """The format of an annotation file, and its section in a TOML file in `folder`."""
    is_text = b'"imgs"' in _beginning(annotations, 1 << 20)
    names = (annotations.stem, annotations.stem.removeprefix("instances_"), "images", "JPEGImages")
    beside = annotations.relative_to(folder).parent.as_posix()
    images = next((name for name in names if (folder / name).is_dir()), beside)
    section = {"images": images, "annotations": annotations.relative_to(folder).as_posix()}
    return ("cocotext", {**section, "split": "train"}) if is_text else ("coco", section)


def _beginning(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _to_write(path: Path, kind: str, section: dict[str, str]) -> str:
    values = ", ".join(f"{key} = {_quoted(value)}" for key, value in section.items())
    lines = f"format = {_quoted(kind)} and, on the next line, train = {{{values}}}"
    return f"; describe the data set in a TOML file, such as {path}, with the lines {lines}"


def _quoted(text: str) -> str:
    """A TOML string, which JSON's strings are too, except for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
