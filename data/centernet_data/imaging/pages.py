"""Pages of pictures with their objects: truth next to prediction, and contact sheets."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from centernet_data.imaging.drawing import default_font, draw_objects, overlay_heatmap, shortened

SHOWN_WIDTH = 320
SHOWN_HEIGHT = 640  # pictures that would be taller than this are shown narrower
MARGIN = 12
CAPTION_HEIGHT = 26
TILE = 320  # pixels along each side of a contact sheet's pictures
PAPER, INK = (255, 255, 255), (32, 32, 32)

PageRow = tuple[
    str, UInt8[np.ndarray, "_ _ 3"], Float[np.ndarray, "_ 6"], Float[np.ndarray, "_ 6"], Float[np.ndarray, "_ _"]
]

Tile = tuple[UInt8[np.ndarray, "_ _ 3"] | None, Float[np.ndarray, "_ 6"], Sequence[str], str, str]


def predictions_page(rows: Sequence[PageRow], classes: Sequence[str]) -> Image.Image:
    """A page with one row per picture: the true objects, the predicted ones and the heatmap, above the picture's name.

    `rows` are (name, picture uint8 RGB, true objects, predicted objects, heat 0 .. 1), with the objects in the
    picture's pixels, as `draw_objects` takes them. Pictures are shown 320 pixels wide. Raises ValueError as
    `draw_objects` does.
    """
    strips = [_heading(), *(_page_row(row, classes) for row in rows)]
    page = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    return page


def contact_sheet(tiles: Sequence[Tile], columns: int = 4) -> Image.Image:
    """A page of small pictures with their objects, row by row, each above two lines of caption.

    `tiles` are (picture uint8 RGB, objects and classes as `draw_objects` takes them, first line, second line); None
    instead of a picture is shown as an empty frame. Raises ValueError as `draw_objects` does.
    """
    cell_width, cell_height = TILE + MARGIN, TILE + 2 * CAPTION_HEIGHT
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), PAPER)
    for number, (picture, objects, classes, *captions) in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = MARGIN + column * cell_width, MARGIN + row * cell_height
        shown = _tile(picture, objects, classes)
        page.paste(shown, (left + (TILE - shown.width) // 2, top + TILE - shown.height))
        for line, caption in enumerate(captions):
            font = default_font(14 - 2 * line)
            place = (left, top + TILE + 2 + line * CAPTION_HEIGHT * 0.7)
            ImageDraw.Draw(page).text(place, shortened(caption, font, TILE), fill=INK, font=font)
    return page


def _heading() -> Image.Image:
    strip = Image.new("RGB", (3 * SHOWN_WIDTH + 4 * MARGIN, CAPTION_HEIGHT + MARGIN), PAPER)
    for column, title in enumerate(("truth", "predicted", "heatmap")):
        ImageDraw.Draw(strip).text((_left_of(column), MARGIN), title, fill=INK, font=default_font(18))
    return strip


def _page_row(row: PageRow, classes: Sequence[str]) -> Image.Image:
    name, picture, truth, predicted, heat = row
    scale = min(SHOWN_WIDTH / picture.shape[1], SHOWN_HEIGHT / picture.shape[0])
    shown = _resized(picture, scale)
    # Scaled before drawing, so that lines and labels are equally readable on every picture.
    cells = (
        draw_objects(shown, _scaled(truth, picture, shown), classes, show_scores=False),
        draw_objects(shown, _scaled(predicted, picture, shown), classes),
        overlay_heatmap(shown, heat),
    )
    strip = Image.new("RGB", (3 * SHOWN_WIDTH + 4 * MARGIN, shown.shape[0] + CAPTION_HEIGHT + MARGIN), PAPER)
    for column, cell in enumerate(cells):
        strip.paste(Image.fromarray(cell), (_left_of(column), 0))
    font = default_font(14)
    caption = shortened(name, font, strip.width - 2 * MARGIN)
    ImageDraw.Draw(strip).text((MARGIN, shown.shape[0] + 3), caption, fill=INK, font=font)
    return strip


def _tile(
    picture: UInt8[np.ndarray, "h w 3"] | None, objects: Float[np.ndarray, "n 6"], classes: Sequence[str]
) -> Image.Image:
    if picture is None:
        frame = Image.new("RGB", (TILE, TILE), INK)
        ImageDraw.Draw(frame).rectangle([1, 1, TILE - 2, TILE - 2], fill=PAPER)
        return frame
    shown = _resized(picture, TILE / max(picture.shape[:2]))
    return Image.fromarray(draw_objects(shown, _scaled(objects, picture, shown), classes, show_scores=False))


def _left_of(column: int) -> int:
    return MARGIN + column * (SHOWN_WIDTH + MARGIN)


def _resized(picture: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    smoothing = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=smoothing)


def _scaled(objects: Float[np.ndarray, "n 6"], picture: np.ndarray, shown: np.ndarray) -> Float[np.ndarray, "n 6"]:
    down, right = (new / old for new, old in zip(shown.shape[:2], picture.shape[:2], strict=True))
    return objects * np.array([down, right, down, right, 1, 1])
