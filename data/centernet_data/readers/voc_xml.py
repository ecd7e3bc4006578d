"""Reads annotation files in Pascal VOC's XML: every value has the right type, or one line says where it is wrong."""

import math
from pathlib import Path
from xml.etree import ElementTree

from centernet_data.contract.messages import shown
from centernet_data.readers.annotations import FURTHEST


class Element:
    """One XML element and its place in the file. Reading a value gives the right type or an error that says what is
    wrong."""

    def __init__(self, element: ElementTree.Element, where: str):
        self.element = element
        self.where = where

    def text(self, tag: str) -> str:
        """The text of the only element at `tag`, without blanks around it. Raises ValueError if there is none, or
        several: a reader that takes the first would lose the others."""
        found = self.element.findall(tag)
        if len(found) > 1:
            raise self.error(f"it has {len(found)} times <{tag}>")
        text = self.text_or_empty(tag)
        if not text:
            raise self.error(f"<{tag}> is missing or empty")
        return text

    def text_or_empty(self, tag: str) -> str:
        """The text of the first element at `tag`, without blanks around it; empty if there is none."""
        return (self.element.findtext(tag) or "").strip()

    def number(self, tag: str) -> float:
        """The finite number at `tag`. Raises ValueError if it is anything else."""
        text = self.text(tag)
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            hint = " (write a decimal point, not a comma)" if "," in text else ""
            raise self.error(f"<{tag}> should be a finite number, but is '{text}'{hint}")
        return value

    def objects(self) -> list["Element"]:
        """Its <object>s."""
        children = self.element.findall("object")
        return [Element(child, f"{self.where}: object {number}") for number, child in enumerate(children, start=1)]

    def corners(self) -> tuple[float, float, float, float]:
        """The box (xmin, ymin, xmax, ymax) of an <object>, as it is written. Raises ValueError for anything but one
        box, in this order."""
        if (count := len(self.element.findall("bndbox"))) > 1:
            raise self.error(f"it has {count} times <bndbox>; each box needs an <object> of its own")
        x_min, y_min, x_max, y_max = (self.number(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
        if any(abs(side) > FURTHEST for side in (x_min, y_min, x_max, y_max)):
            raise self.error(f"its box is further away than any picture is large: {x_min:g}, {y_min:g}, ...")
        if x_max < x_min - 1 or y_max < y_min - 1:
            box = f"xmin {x_min:g}, ymin {y_min:g}, xmax {x_max:g}, ymax {y_max:g}"
            raise self.error(f"its box is reversed: {box}")
        return x_min, y_min, x_max, y_max

    def error(self, what: str) -> ValueError:
        """A ValueError whose message names the element."""
        return ValueError(f"{self.where}: {what}")


def read_xml(path: Path) -> Element:
    """Reads a file's <annotation>. Raises ValueError, naming the file, if it is none, or has <object>s deep inside."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not XML: {error}") from error
    except (ValueError, LookupError) as error:  # such as Shift JIS or GBK
        raise ValueError(f"{path}: its encoding cannot be read ({error}); save it as UTF-8 and say so") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    if root.tag.lower() != "annotation":
        raise ValueError(f"{path}: not VOC: its top element should be <annotation>, but is <{shown(root.tag)[1:-1]}>")
    every = sum(element.tag.lower() == "object" for element in root.iter())
    if lost := every - len(root.findall("object")):
        raise ValueError(f"{path}: {lost} of its {every} objects are not an <object> directly in <annotation>")
    return Element(root, str(path))
