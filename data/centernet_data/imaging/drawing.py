"""Pictures for people: boxes with their labels, heatmaps, and a page that compares truth and prediction."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's palette, which people with any of the usual colour blindnesses can tell apart, without its black.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
SHOWN_WIDTH = 320
SHOWN_HEIGHT = 640  # a picture so tall that it would be higher than this is shown narrower
MARGIN = 12
CAPTION_HEIGHT = 26
TILE = 320  # pixels along each side of a contact sheet's pictures
PAPER, INK = (255, 255, 255), (32, 32, 32)

PageRow = tuple[
    str, UInt8[np.ndarray, "_ _ 3"], Float[np.ndarray, "_ 6"], Float[np.ndarray, "_ 6"], Float[np.ndarray, "_ _"]
]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Tile = tuple[UInt8[np.ndarray, "_ _ 3"] | None, Float[np.ndarray, "_ 6"], Sequence[str], str, str]


def class_colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """One RGB colour per class. The colours of the first classes do not depend on how many follow.

    After Okabe and Ito's seven, each further colour is the one farthest (in CIE Lab) from all before it.
    """
    return _palette(max(count, 80))[:count].copy()


def draw_objects(
    image: UInt8[np.ndarray, "h w 3"],
    objects: Float[np.ndarray, "n 6"],
    classes: Sequence[str],
    show_scores: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `image` with a box and a label for each object, the most certain drawn last.

    A label that would hide the label of a more certain object, or the centre of another object, is left out.
    `objects` are rows of (y_centre, x_centre, height, width, class, confidence) in the picture's pixels; they may
    reach beyond the picture. Rows with confidence 0 are padding and are not drawn. ValueError for a class that
    `classes` does not name, or a box that is not finite.
    """
    drawn = objects[objects[:, 5] > 0]
    _check(drawn, classes)
    drawn = drawn[np.argsort(drawn[:, 5], kind="stable")]
    colours, picture = class_colours(len(classes)), Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    corners = [_draw_box(draw, row, colours[int(row[4])]) for row in drawn]
    taken: list[Tag] = []
    for index in reversed(range(len(drawn))):
        row, label = drawn[index], classes[int(drawn[index, 4])]
        tag = _tag(draw, corners[index], f"{label} {row[5]:.2f}" if show_scores else label)
        if not any(map(tag.overlaps, taken)) and not tag.holds_any(np.delete(drawn[:, :2], index, axis=0)):
            _draw_tag(draw, tag, colours[int(row[4])])
            taken.append(tag)
    return np.array(picture)


def overlay_heatmap(image: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "k l"]) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `image` under `heat` (0 .. 1, of any size, covering the whole picture): hotter is more opaque."""
    height, width = image.shape[:2]
    heat = np.clip(np.nan_to_num(heat), 0, 1).astype(np.float32)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    # The root lets faint heat be seen; what is under full heat still shines through.
    opacity = 0.85 * np.sqrt(heat)[..., None]
    return np.rint(image * (1 - opacity) + colours * opacity).astype(np.uint8)


def predictions_page(rows: Sequence[PageRow], classes: Sequence[str]) -> Image.Image:
    """A page with one row a picture: the true objects, the predicted ones, and the heatmap; its name below.

    `rows` are (name, image uint8 RGB, true objects, predicted objects, heat 0 .. 1), the objects as
    `draw_objects` takes them, in the pixels of their own picture. Pictures are shown 320 pixels wide. ValueError
    as for `draw_objects`.
    """
    strips = [_heading(), *(_page_row(row, classes) for row in rows)]
    page = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    return page


def contact_sheet(tiles: Sequence[Tile], columns: int = 4) -> Image.Image:
    """A page of small pictures with their objects drawn, row by row, each over its two lines of caption.

    `tiles` are (image uint8 RGB, objects and classes as `draw_objects` takes them, first line, second line); an image
    of None is shown as an empty frame. ValueError as for `draw_objects`.
    """
    cell_width, cell_height = TILE + MARGIN, TILE + 2 * CAPTION_HEIGHT
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), PAPER)
    for number, (image, objects, classes, *captions) in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = MARGIN + column * cell_width, MARGIN + row * cell_height
        picture = _tile(image, objects, classes)
        page.paste(picture, (left + (TILE - picture.width) // 2, top + TILE - picture.height))
        for line, caption in enumerate(captions):
            font = _font(14 - 2 * line)
            place = (left, top + TILE + 2 + line * CAPTION_HEIGHT * 0.7)
            ImageDraw.Draw(page).text(place, _shortened(caption, font, TILE), fill=INK, font=font)
    return page


@cache
def _palette(count: int) -> UInt8[np.ndarray, "count 3"]:
    levels = np.linspace(0, 255, 12)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    lightness = _lab(grid)[:, 0]
    grid = grid[(lightness > 35) & (lightness < 92)]  # darker or lighter ones get lost in a picture
    colours = [np.array(colour) for colour in OKABE_ITO]
    lab = _lab(grid)
    nearest = np.min(np.linalg.norm(lab[:, None] - _lab(np.array(OKABE_ITO)), axis=2), axis=1)
    while len(colours) < count:
        best = np.argmax(nearest)
        colours.append(grid[best])
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[best], axis=1))
    return np.rint(colours).astype(np.uint8)


def _lab(colours: np.ndarray) -> Float[np.ndarray, "n 3"]:
    return cv2.cvtColor(np.float32(colours)[None] / 255, cv2.COLOR_RGB2LAB)[0]


def _check(objects: Float[np.ndarray, "n 6"], classes: Sequence[str]) -> None:
    if not np.isfinite(objects).all():
        raise ValueError("cannot draw an object whose box, class or confidence is not a finite number")
    unnamed = objects[(objects[:, 4] < 0) | (objects[:, 4] >= len(classes)), 4]
    if len(unnamed):
        raise ValueError(f"cannot draw an object of class {unnamed[0]:g}: there are {len(classes)} classes")


def _draw_box(draw: ImageDraw.ImageDraw, row: Float[np.ndarray, "6"], colour: np.ndarray) -> tuple[int, int]:
    """Draws an object's box; returns its left upper corner (x, y) in pixels."""
    width, height = draw.im.size
    line = max(1, round((width + height) / 300))
    # Beyond the picture by a line's width is out of sight, and keeps Pillow from tracing far away lines.
    limits = np.array([width + line, height + line])
    low = np.clip(np.rint(row[1::-1] - row[3:1:-1] / 2), -line, limits).astype(int)
    high = np.clip(np.rint(row[1::-1] + row[3:1:-1] / 2), -line, limits).astype(int)
    high = np.maximum(high - 1, low)  # Pillow's corners are pixels, and both are drawn
    draw.rectangle([*low.tolist(), *high.tolist()], outline=tuple(colour.tolist()), width=line)
    return tuple(low.tolist())


class Tag(NamedTuple):
    """Where a label is written, in pixels, and what."""

    left: int
    top: int
    right: int
    bottom: int
    label: str
    font: Font

    def overlaps(self, other: "Tag") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds_any(self, centres: Float[np.ndarray, "n 2"]) -> bool:
        """Whether any of the points (y, x) lies in it."""
        inside = (centres >= (self.top, self.left)) & (centres < (self.bottom, self.right))
        return bool(inside.all(1).any())


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], label: str) -> Tag:
    """The place of a label: above the box whose left upper `corner` is given, or inside it at its upper edge."""
    width, height = draw.im.size
    font = _font(max(10, round((width + height) / 60)))
    label = _shortened(label, font, width - 4)
    tag_width = int(font.getlength(label)) + 5
    tag_height = sum(font.getmetrics()) + 1
    left = max(0, min(corner[0], width - tag_width))
    top = corner[1] - tag_height if corner[1] >= tag_height else corner[1]
    top = max(0, min(top, height - tag_height))
    return Tag(left, top, left + tag_width, top + tag_height, label, font)


def _draw_tag(draw: ImageDraw.ImageDraw, tag: Tag, colour: np.ndarray) -> None:
    draw.rectangle([tag.left, tag.top, tag.right - 1, tag.bottom - 1], fill=tuple(colour.tolist()))
    draw.text((tag.left + 2, tag.top), tag.label, fill=_readable_on(colour), font=tag.font)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _shortened(text: str, font: Font, width: int) -> str:
    """The text on one line, its end cut off where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


def _readable_on(colour: np.ndarray) -> tuple[int, int, int]:
    luminance = ((colour / 255) ** 2.2) @ np.array([0.2126, 0.7152, 0.0722])
    # Black and white contrast equally (in WCAG's ratio) with a luminance of 0.179.
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _heading() -> Image.Image:
    strip = Image.new("RGB", (3 * SHOWN_WIDTH + 4 * MARGIN, CAPTION_HEIGHT + MARGIN), PAPER)
    for column, title in enumerate(("truth", "predicted", "heatmap")):
        ImageDraw.Draw(strip).text((_left_of(column), MARGIN), title, fill=INK, font=_font(18))
    return strip


def _page_row(row: PageRow, classes: Sequence[str]) -> Image.Image:
    name, image, truth, predicted, heat = row
    scale = min(SHOWN_WIDTH / image.shape[1], SHOWN_HEIGHT / image.shape[0])
    shown = _resized(image, scale)
    # Scaled first and drawn on then, so that lines and labels are as readable on every picture.
    pictures = (
        draw_objects(shown, _scaled(truth, image, shown), classes, show_scores=False),
        draw_objects(shown, _scaled(predicted, image, shown), classes),
        overlay_heatmap(shown, heat),
    )
    strip = Image.new("RGB", (3 * SHOWN_WIDTH + 4 * MARGIN, shown.shape[0] + CAPTION_HEIGHT + MARGIN), PAPER)
    for column, picture in enumerate(pictures):
        strip.paste(Image.fromarray(picture), (_left_of(column), 0))
    font = _font(14)
    caption = _shortened(name, font, strip.width - 2 * MARGIN)
    ImageDraw.Draw(strip).text((MARGIN, shown.shape[0] + 3), caption, fill=INK, font=font)
    return strip


def _tile(
    image: UInt8[np.ndarray, "h w 3"] | None, objects: Float[np.ndarray, "n 6"], classes: Sequence[str]
) -> Image.Image:
    if image is None:
        frame = Image.new("RGB", (TILE, TILE), INK)
        ImageDraw.Draw(frame).rectangle([1, 1, TILE - 2, TILE - 2], fill=PAPER)
        return frame
    shown = _resized(image, TILE / max(image.shape[:2]))
    return Image.fromarray(draw_objects(shown, _scaled(objects, image, shown), classes, show_scores=False))


def _left_of(column: int) -> int:
    return MARGIN + column * (SHOWN_WIDTH + MARGIN)


def _resized(image: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    smoothing = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=smoothing)


def _scaled(objects: Float[np.ndarray, "n 6"], image: np.ndarray, shown: np.ndarray) -> Float[np.ndarray, "n 6"]:
    down, right = (new / old for new, old in zip(shown.shape[:2], image.shape[:2], strict=True))
    return objects * np.array([down, right, down, right, 1, 1])
