"""Renders words as ink, in the fonts that matplotlib and Pillow ship: printed, or distorted to look handwritten."""

from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from centernet_data.imaging.drawing import default_font

PILLOWS_OWN = ""
PRINTED = (
    *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"),
    *("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
    *("DejaVuSerif-Italic.ttf", "DejaVuSerif-BoldItalic.ttf", "STIXGeneral.ttf", "STIXGeneralBol.ttf"),
    *("STIXGeneralItalic.ttf", "STIXGeneralBolIta.ttf", "cmr10.ttf", "cmb10.ttf", "cmss10.ttf", "cmtt10.ttf"),
    *(PILLOWS_OWN, PILLOWS_OWN),
)
SCRIPT, BOLD_SCRIPT = "script", "bold script"  # from STIX's mathematical letters
WRITTEN = (SCRIPT, BOLD_SCRIPT, "cmti10.ttf", "STIXGeneralItalic.ttf", "DejaVuSans-Oblique.ttf")
SCRIPT_CAPITALS = "𝒜ℬ𝒞𝒟ℰℱ𝒢ℋℐ𝒥𝒦ℒℳ𝒩𝒪𝒫𝒬ℛ𝒮𝒯𝒰𝒱𝒲𝒳𝒴𝒵"  # noqa: RUF001
SCRIPT_SMALL = "𝒶𝒷𝒸𝒹ℯ𝒻ℊ𝒽𝒾𝒿𝓀𝓁𝓂𝓃ℴ𝓅𝓆𝓇𝓈𝓉𝓊𝓋𝓌𝓍𝓎𝓏"
PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LETTERS = {
    SCRIPT: str.maketrans(PLAIN, SCRIPT_CAPITALS + SCRIPT_SMALL),
    BOLD_SCRIPT: str.maketrans(PLAIN, "".join(chr(0x1D4D0 + index) for index in range(52))),
}
VISIBLE = 100  # of 255; pixels with no more ink than this do not count as part of the word


class Ink(NamedTuple):
    """Letters as ink: `mask` is the amount of ink on each pixel; its first `rise` rows are above the base line."""

    mask: UInt8[np.ndarray, "h w"]
    rise: int


class Letter(NamedTuple):
    """One letter's ink, its left edge relative to the pen, and the pen's advance to the next letter, in pixels."""

    ink: Ink
    left: int
    advance: int


def printed(text: str, face: str, size: int) -> Ink:
    """Renders the text in a face of `PRINTED`, `size` pixels to the em."""
    letters = [_letter(letter, face, size) for letter in text]
    pens = accumulate((letter.advance for letter in letters[:-1]), initial=0)
    lefts = [pen + letter.left for pen, letter in zip(pens, letters, strict=True)]
    return _composed([letter.ink for letter in letters], lefts, [0] * len(text))


def written(random: np.random.Generator, text: str, face: str, size: int) -> Ink:
    """Renders the text in a face of `WRITTEN` as if by hand: letters shift and turn, strokes waver, the word slants."""
    letters = [_shaken(random, _letter(letter, face, size).ink) for letter in text]
    gaps = random.normal(0.02, 0.05, len(letters)) * size
    lefts = np.cumsum([0, *(ink.mask.shape[1] + gap for ink, gap in zip(letters[:-1], gaps, strict=False))])
    drops = random.normal(0, 0.05, len(letters)) * size
    return _wavering(random, _composed(letters, lefts.astype(int).tolist(), drops.astype(int).tolist()), size)


def visible_outline(mask: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"] | None:
    """The convex hull of the inked pixels' centres, (x, y) in pixels (pixel i covers [i, i + 1)); None without ink."""
    points = cv2.findNonZero(cv2.threshold(mask, VISIBLE, 255, cv2.THRESH_BINARY)[1])
    return None if points is None else cv2.convexHull(points).reshape(-1, 2) + 0.5


@lru_cache(maxsize=512)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    if face == PILLOWS_OWN:
        return default_font(size)
    file = "STIXGeneral.ttf" if face in LETTERS else face
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", file)
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)  # the same with and without libraqm


@lru_cache(maxsize=32768)
def _letter(letter: str, face: str, size: int) -> Letter:
    letter, font = letter.translate(LETTERS.get(face, {})), _font(face, size)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(letter, anchor="ls"))
    picture = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(picture).text((-left, -top), letter, 255, font, anchor="ls")
    return Letter(Ink(np.asarray(picture), -top), left, round(font.getlength(letter)))


def _composed(letters: list[Ink], lefts: list[int], drops: list[int]) -> Ink:
    """Joins letters at columns `lefts`, each `drops` pixels below the base line."""
    tops = [drop - ink.rise for ink, drop in zip(letters, drops, strict=True)]
    boxes = [(top, left, *ink.mask.shape) for top, left, ink in zip(tops, lefts, letters, strict=True)]
    first_row, first_column = min(tops), min(lefts)
    height = max(top + rows for top, _, rows, _ in boxes) - first_row
    width = max(left + columns for _, left, _, columns in boxes) - first_column
    mask = np.zeros((height, width), np.uint8)
    for (top, left, rows, columns), ink in zip(boxes, letters, strict=True):
        top, left = top - first_row, left - first_column
        part = mask[top : top + rows, left : left + columns]
        np.maximum(part, ink.mask, out=part)
    return Ink(mask, -first_row)


def _shaken(random: np.random.Generator, ink: Ink) -> Ink:
    height, width = ink.mask.shape
    angle, scale = random.normal(0, 5), random.uniform(0.88, 1.12)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    return Ink(cv2.warpAffine(ink.mask, turn, (width, height)), ink.rise)


def _wavering(random: np.random.Generator, ink: Ink, size: int) -> Ink:
    """Slants the ink and bends it by a smooth field; a margin leaves room for what moves outwards."""
    margin, slant = size // 3 + 1, random.uniform(-0.15, 0.35)
    mask = cv2.copyMakeBorder(ink.mask, 2, 2, margin, margin, cv2.BORDER_CONSTANT)
    height, width = mask.shape
    rise = ink.rise + 2
    bend = random.normal(0, 0.045 * size, (2, max(2, 2 * height // size), max(2, 2 * width // size))).astype(np.float32)
    bend_x, bend_y = (cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in bend)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    map_x = columns + np.float32(slant) * (rows - rise) + bend_x
    mask = cv2.remap(mask, map_x, rows + bend_y, cv2.INTER_LINEAR)
    if random.random() < 0.6:  # these faces are thinner than pen strokes
        mask = cv2.dilate(mask, np.ones((2, 2), np.uint8), iterations=1 + (size > 40))
    return Ink(mask, rise)
