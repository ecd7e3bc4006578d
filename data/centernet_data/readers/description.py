"""Reads the TOML file that describes a data set."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import listed
from centernet_data.contract.text_files import read_text

FORMATS = ("coco", "cocotext", "voc", "yolo")

_A_STRING, _STRINGS = "a string", "a string or a list of strings"
_TWO_NUMBERS = "two positive whole numbers"
_NAMES, _FRACTION = "a list of at least one string", "a number from 0 to 1"
_SECTION_KEYS = {
    "coco": {"images": _A_STRING, "annotations": _A_STRING},
    "cocotext": {"images": _A_STRING, "annotations": _A_STRING, "split": _A_STRING},
    "voc": {"root": _A_STRING, "split": _A_STRING},
    "yolo": {"images": _STRINGS},
}
_MAY_LACK = {("voc", "split")}
_OPTIONS = {  # keys that only one format has, and their values
    "cocotext": {"ignore_illegible": "true or false", "least_area": _FRACTION},
    "voc": {"first_pixel": "0 or 1"},
    "yolo": {"names": _NAMES, "kpt_shape": _TWO_NUMBERS},
}
_FOR_ALL = {"val_share": _FRACTION, "val_group": _A_STRING}


def _are_strings(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


_ALLOWS = {
    _A_STRING: lambda value: isinstance(value, str),
    _STRINGS: lambda value: isinstance(value, str) or _are_strings(value),
    _NAMES: _are_strings,
    _TWO_NUMBERS: lambda value: (
        isinstance(value, list) and len(value) == 2 and all(type(n) is int and n > 0 for n in value)
    ),
    "true or false": lambda value: isinstance(value, bool),
    _FRACTION: lambda value: type(value) in (int, float) and 0 <= value <= 1,
    "0 or 1": lambda value: type(value) is int and value in (0, 1),
}


@dataclass(frozen=True)
class Description:
    """What a data set consists of: its format, the chosen classes (None means all), the format's own options, and for
    each split the section as it is written, with paths relative to `folder`.

    `path` is the file or folder that was given, for messages. `val_share` and `val_group` make a validation split, see
    `ValShare`. `taken_for` says what a folder was taken for; it is empty where a file says it itself.
    """

    path: Path
    format: str
    classes: list[str] | None
    options: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    folder: Path
    val_share: float | None = None
    val_group: str | None = None
    taken_for: str = ""

    def section(self, split: str) -> dict[str, Any]:
        """The checked section of a split. Raises ValueError, naming the file, for a mistake in it."""
        keys, path = _SECTION_KEYS[self.format], self.path
        if split not in self.sections:
            there_are = listed(list(self.sections)) or "none"
            raise ValueError(f"{path}: there is no section [{split}]; there are: {there_are}")
        section = self.sections[split]
        if unknown := [key for key in section if key not in keys]:
            raise ValueError(f"{path}: [{split}] has an unknown key: {listed(unknown)}; there are: {listed([*keys])}")
        for key, kind in keys.items():
            if key not in section and (self.format, key) not in _MAY_LACK:
                raise ValueError(f"{path}: '{key}' of [{split}] is missing")
            if key in section and not _ALLOWS[kind](section[key]):
                raise ValueError(f"{path}: '{key}' of [{split}] should be {kind}, but is {section[key]!r}")
        return section


def read_description(path: Path) -> Description:
    """Reads a data set's TOML file. Raises ValueError, naming the file, for any mistake in it outside its sections."""
    try:
        content = tomllib.loads(read_text(path, "TOML"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    kind = _format(path, content)
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    options, for_all = _options(path, content, _OPTIONS.get(kind, {})), _options(path, content, _FOR_ALL)
    known = ["format", "classes", *_FOR_ALL, *_OPTIONS.get(kind, {})]
    if unknown := [key for key in content if key not in {*known, *sections}]:
        raise ValueError(f"{path}: unknown key: {listed(unknown)}; there are: {listed(known)} and sections")
    if kind == "yolo" and "names" not in options:
        raise ValueError(f"{path}: 'names' is missing: the names of the classes 0, 1, ... in the label files")
    return Description(path, kind, _classes(path, content), options, sections, path.parent, **for_all)


def classes_line(classes: Sequence[str]) -> str:
    """The line that chooses these classes in a TOML file."""
    return f"classes = [{', '.join(quoted(name) for name in classes)}]"


def _format(path: Path, content: dict[str, Any]) -> str:
    if "format" not in content:
        raise ValueError(f"{path}: 'format' is missing; it should be one of: {listed(FORMATS)}")
    kind = content["format"]
    if not isinstance(kind, str) or kind not in FORMATS:
        raise ValueError(f"{path}: no such format: {kind!r}; there are: {listed(FORMATS)}")
    return kind


def _classes(path: Path, content: dict[str, Any]) -> list[str] | None:
    classes = content.get("classes")
    if classes is not None and not _are_strings(classes):
        raise ValueError(f"{path}: 'classes' should be {_NAMES}, but is {classes!r}")
    return classes


def _options(path: Path, content: dict[str, Any], allowed: dict[str, str]) -> dict[str, Any]:
    options = {key: content[key] for key in allowed if key in content}
    for key, value in options.items():
        if not _ALLOWS[allowed[key]](value):
            raise ValueError(f"{path}: '{key}' should be {allowed[key]}, but is {value!r}")
    return options


def toml_line(kind: str, options: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The lines of a TOML file, in one, with a semicolon between them. Options that are None are left out."""
    given = {"format": kind} | {key: value for key, value in options.items() if value is not None}
    lines = [f"{key} = {_value(value)}" for key, value in given.items()]
    for split, section in sections.items():
        inside = ", ".join(f"{key} = {_value(value)}" for key, value in section.items())
        lines.append(f"{split} = {{{inside}}}")
    return "; ".join(lines)


def _value(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, (list, tuple)) else json.dumps(value)


def quoted(text: str) -> str:
    """A TOML string, which JSON's strings are too, except for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
