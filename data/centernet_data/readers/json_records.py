"""Reads annotation files in JSON: every value has the right type, or one line says where it is wrong."""

import json
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import shown
from centernet_data.readers.annotations import FURTHEST, side_in_pixels

_KINDS = {
    int: "a whole number",
    str: "a string",
    list: "a list",
    dict: "an object",
    (int, str): "a whole number or a string",
}
ID = (int, str)  # what may number a record


def read_json(path: Path, format_name: str) -> "Record":
    """Reads the object at the top of a JSON file in UTF-8. Raises ValueError, naming the file, if there is none, or if
    an object gives two values for one key: only the last would be read."""
    if not path.is_file():
        raise ValueError(f"{path}: the annotation file does not exist")
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=without_lost_values)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of thousands of digits, thousands of brackets
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: not {format_name}: its top level should be an object, but is a {type(content).__name__}"
        )
    return Record(content, f"{path}: not {format_name}")


class Record:
    """One JSON object and its place in the file. Reading a value gives the right type or an error that says what is
    wrong."""

    __slots__ = ("values", "where")  # a data set has a million of them

    def __init__(self, values: object, where: str):
        if not isinstance(values, dict):
            raise ValueError(f"{where} should be a JSON object, but is {shown(values)}")
        self.values = values
        self.where = where

    def get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """The value of `key`. Raises ValueError, naming the record, if it is missing or not of this kind."""
        if key not in self.values:
            raise self.error(f"'{key}' is missing")
        value = self.values[key]
        if isinstance(value, float) and value.is_integer() and (kind is int or kind is ID):
            value = int(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f"'{key}' should be {_KINDS[kind]}, but is {shown(value)}")
        if isinstance(value, str) and not _is_text(value):
            raise self.error(f"'{key}' is no text: it has half of a character: {shown(value)}")
        return value

    def error(self, what: str) -> ValueError:
        """A ValueError whose message names the record."""
        return ValueError(f"{self.where}: {what}")


def box_corners(record: Record) -> tuple[float, float, float, float]:
    """The record's 'bbox' [x, y, width, height] as corners (x_min, y_min, x_max, y_max). Raises ValueError, naming the
    record, for an invalid one."""
    bbox = record.get("bbox", list)
    if len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise record.error(f"'bbox' should be four finite numbers, but is {shown(bbox)}")
    x, y, width, height = bbox
    if any(abs(value) > FURTHEST for value in bbox):
        raise record.error(f"'bbox' is further away than any picture is large: {shown(bbox)}")
    if width < 0 or height < 0:
        raise record.error(f"the width or height of its 'bbox' is negative: {shown(bbox)}")
    return x, y, x + width, y + height


def area(record: Record) -> float | None:
    """The record's 'area', or None without one. Raises ValueError, naming the record, for an invalid one."""
    value = record.values.get("area")
    if value is not None and not (_is_number(value) and value >= 0):
        raise record.error(f"'area' should be a finite number of at least 0, but is {shown(value)}")
    return value


def file_name(record: Record) -> str:
    """The record's 'file_name'. Raises ValueError, naming the record, if no file can have it. The half characters that
    Python writes for the bytes of a name that is not UTF-8 are taken."""
    name = record.values.get("file_name")
    if isinstance(name, str) and not _is_text(name):
        with suppress(UnicodeEncodeError):
            os.fsencode(name)
            return name
    return record.get("file_name", str)


def picture_size(record: Record) -> tuple[int, int]:
    """A picture's height and width in pixels. Raises ValueError, naming the record, unless both are positive, and not
    beyond any picture's."""
    height, width = record.get("height", int), record.get("width", int)
    if height <= 0 or width <= 0:
        raise record.error(f"its size should be positive, but is {shown(width)} x {shown(height)} (width x height)")
    height, width = (side_in_pixels(record.get(side, int), f"'{side}'", record.error) for side in ("height", "width"))
    return height, width


def not_among(record: Record, key: str, ids: Collection[int | str], what: str) -> ValueError:
    """The error that the id under `key` is not among `ids`, those of `what`."""
    value = record.get(key, ID)
    other = str(value) if isinstance(value, int) else int(value) if value.isdecimal() else None
    hint = f", but {other!r} is: one is a number, the other a string" if other in ids else ""
    return record.error(f"its {key} {value!r} is not among the {what}{hint}")


def without_lost_values(pairs: list[tuple[str, object]]) -> dict:
    """The object of these members. Raises ValueError if it has two values for one key, of which one would be lost."""
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if value != values[key]:
                raise ValueError(f"an object has two values for {shown(key)}: {shown(value)} and {shown(values[key])}")
    return values


def _is_text(value: str) -> bool:
    """Whether every character is whole: JSON can hold half of a surrogate pair, which no file and no terminal can."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
