"""Draws on pictures: boxes with labels, and heatmaps."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, cast

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from centernet_data.contract.boxes import cyxhw_to_xyxy

# Okabe and Ito's palette without its black. It is distinguishable with all common colour blindnesses.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def class_colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """One RGB colour per class. The first colours do not depend on `count`.

    After Okabe and Ito's seven, each further colour is the one farthest (in CIE Lab) from all before it.
    """
    return _palette(max(count, 80))[:count].copy()


def draw_objects(
    picture: UInt8[np.ndarray, "h w 3"],
    objects: Float[np.ndarray, "n 6"],
    classes: Sequence[str],
    show_scores: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `picture` with a box and a label for each object; the most confident is drawn last.

    A label is left out if it would cover the label of a more confident object or the centre of another object.
    `objects` are rows of (y_centre, x_centre, height, width, class, confidence) in the picture's pixels; they may
    extend beyond the picture. Rows with confidence 0 are padding and are not drawn. Raises ValueError for a class
    that `classes` does not name, or a value that is not finite.
    """
    drawn = objects[objects[:, 5] > 0]
    _check(drawn, classes)
    drawn = drawn[np.argsort(drawn[:, 5], kind="stable")]
    colours, canvas = class_colours(len(classes)), Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    corners = [_draw_box(draw, row, colours[int(row[4])]) for row in drawn]
    taken: list[Tag] = []
    for index in reversed(range(len(drawn))):
        row, label = drawn[index], classes[int(drawn[index, 4])]
        tag = _tag(draw, corners[index], f"{label} {row[5]:.2f}" if show_scores else label)
        if not any(map(tag.overlaps, taken)) and not tag.holds_any(np.delete(drawn[:, :2], index, axis=0)):
            _draw_tag(draw, tag, colours[int(row[4])])
            taken.append(tag)
    return np.array(canvas)


def overlay_heatmap(picture: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "k l"]) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `picture` under `heat` (0 .. 1, of any size, stretched over the picture); hotter is more opaque."""
    height, width = picture.shape[:2]
    heat = np.clip(np.nan_to_num(heat), 0, 1).astype(np.float32)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    # The square root makes faint heat visible; at full heat the picture still shows through.
    opacity = 0.85 * np.sqrt(heat)[..., None]
    return np.rint(picture * (1 - opacity) + colours * opacity).astype(np.uint8)


@cache
def default_font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, `size` pixels to the em."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # a bitmap font only without FreeType


def shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text on one line, cut at the end if it is wider than `width` pixels. What no font has is a replacement."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


@cache
def _palette(count: int) -> UInt8[np.ndarray, "count 3"]:
    levels = np.linspace(0, 255, 12)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    lightness = _lab(grid)[:, 0]
    grid = grid[(lightness > 35) & (lightness < 92)]  # darker or lighter colours are hard to see on a picture
    colours = [np.array(colour) for colour in OKABE_ITO]
    lab = _lab(grid)
    nearest = np.min(np.linalg.norm(lab[:, None] - _lab(np.array(OKABE_ITO)), axis=2), axis=1)
    while len(colours) < count:
        best = np.argmax(nearest)
        colours.append(grid[best])
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[best], axis=1))
    return np.rint(colours).astype(np.uint8)


def _lab(colours: np.ndarray) -> Float[np.ndarray, "n 3"]:
    return cv2.cvtColor(np.asarray(colours, np.float32)[None] / 255, cv2.COLOR_RGB2LAB)[0]


def _check(objects: Float[np.ndarray, "n 6"], classes: Sequence[str]) -> None:
    if not np.isfinite(objects).all():
        raise ValueError("cannot draw an object whose box, class or confidence is not finite")
    unnamed = objects[(objects[:, 4] < 0) | (objects[:, 4] >= len(classes)), 4]
    if len(unnamed):
        raise ValueError(f"cannot draw an object of class {unnamed[0]:g}: there are {len(classes)} classes")


def _draw_box(draw: ImageDraw.ImageDraw, row: Float[np.ndarray, "6"], colour: np.ndarray) -> tuple[int, int]:
    """Draws an object's box; returns its upper left corner (x, y) in pixels."""
    width, height = draw.im.size
    line = max(1, round((width + height) / 300))
    # One line width outside the picture is out of sight, and keeps Pillow from tracing lines far away.
    limits = np.array([width + line, height + line])
    low, high = np.clip(np.rint(cyxhw_to_xyxy(row[:4])).reshape(2, 2), -line, limits).astype(int)
    high = np.maximum(high - 1, low)  # Pillow's corners are pixels, and it draws both
    draw.rectangle([*low.tolist(), *high.tolist()], outline=tuple(colour.tolist()), width=line)
    return tuple(low.tolist())


class Tag(NamedTuple):
    """A label and its place in pixels."""

    left: int
    top: int
    right: int
    bottom: int
    label: str
    font: ImageFont.FreeTypeFont

    def overlaps(self, other: "Tag") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds_any(self, centres: Float[np.ndarray, "n 2"]) -> bool:
        """Whether any of the points (y, x) is inside."""
        inside = (centres >= (self.top, self.left)) & (centres < (self.bottom, self.right))
        return bool(inside.all(1).any())


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], label: str) -> Tag:
    """Places a label above the box with the upper left `corner`, or inside the box at its upper edge."""
    width, height = draw.im.size
    font = default_font(max(10, round((width + height) / 60)))
    label = shortened(label, font, width - 4)
    tag_width = int(font.getlength(label)) + 5
    tag_height = sum(font.getmetrics()) + 1
    left = max(0, min(corner[0], width - tag_width))
    top = corner[1] - tag_height if corner[1] >= tag_height else corner[1]
    top = max(0, min(top, height - tag_height))
    return Tag(left, top, left + tag_width, top + tag_height, label, font)


def _draw_tag(draw: ImageDraw.ImageDraw, tag: Tag, colour: np.ndarray) -> None:
    draw.rectangle([tag.left, tag.top, tag.right - 1, tag.bottom - 1], fill=tuple(colour.tolist()))
    draw.text((tag.left + 2, tag.top), tag.label, fill=_readable_on(colour), font=tag.font)


def _readable_on(colour: np.ndarray) -> tuple[int, int, int]:
    luminance = ((colour / 255) ** 2.2) @ np.array([0.2126, 0.7152, 0.0722])
    # At a luminance of 0.179, black and white have the same contrast (WCAG's ratio).
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)
