"""Places the words of a scene: pages, signs, and scattered words, each block in its own plane."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.synthetic.lettering import PRINTED, WRITTEN, Ink, printed, visible_outline, written
from centernet_data.synthetic.words import random_word

# Lengths are in pixels of a picture whose shorter side is 256; they scale with the picture.
REFERENCE_SIDE = 256
PAGE_EMS, SIGN_EMS, SCATTERED_EMS = (9.5, 19), (26, 90), (12, 44)
SMALLEST_EM = 8  # in the picture's own pixels; smaller letters are unreadable
SIZE_STEP = 1.15
EM_PER_LETTER = 0.6  # approximate width of a letter
ENOUGH_PAGE_WORDS, MOST_HEADING_WORDS, MOST_WORDS = 70, 20, 100  # the line that reaches "enough" is a page's last
PLACING_TRIES = 4


class Word(NamedTuple):
    """A word in the picture; coordinates are (x, y) in pixels (pixel i covers [i, i + 1)).

    `box` is (y_centre, x_centre, height, width), the tight box of its visible ink, inside the picture. `quad` has the
    four corners, clockwise from the letters' top left, of the rectangle that bounded its ink before the perspective.
    """

    text: str
    handwritten: bool
    box: tuple[float, float, float, float]
    quad: Float[np.ndarray, "4 2"]


class Block(NamedTuple):
    """Words in one plane: their `ink` seen from the front, and the homography that maps it into the picture.

    The matrix acts on (x, y, 1) in pixels. `outlined` is the width in pixels of the outline around the ink, 0 for none.
    `is_page` means that the ink is on paper.
    """

    ink: UInt8[np.ndarray, "h w"]
    matrix: Float[np.ndarray, "3 3"]
    words: tuple[Word, ...]
    outlined: int
    is_page: bool


class _Style(NamedTuple):
    face: str
    handwritten: bool
    em: int
    case: Callable[[str], str]


class _Inked(NamedTuple):
    text: str
    handwritten: bool
    outline: Float[np.ndarray, "n 2"]


class _Written(NamedTuple):
    ink: UInt8[np.ndarray, "h w"]
    words: list[_Inked]
    outlined: int


_Lines = Sequence[tuple[_Style, Sequence[str]]]


def layout(random: np.random.Generator, size: tuple[int, int]) -> list[Block]:
    """Lays out the blocks of words of one scene of `size` (height, width). Blocks do not overlap; every word is visible
    at least in part.

    Two fifths of the scenes are pages of one block, a quarter have a sign with a few large words, and the rest have
    scattered words.
    """
    kind = random.random()
    if kind < 0.4:
        return _page(random, size)
    taken, blocks = np.zeros(size, np.uint8), []
    if kind < 0.65:
        _place(random, blocks, taken, _sign(random, size, SIGN_EMS), near_middle=True)
    for _ in range(random.integers(0, 3) if kind < 0.65 else random.integers(1, 6)):
        _place(random, blocks, taken, _sign(random, size, SCATTERED_EMS), near_middle=False)
    return blocks


def project(matrix: Float[np.ndarray, "3 3"], points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Maps points (x, y) by a homography."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / moved[:, 2:]


def corners(mask: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "4 2"]:
    """The corners (x, y) of a mask, clockwise from the top left."""
    height, width = mask.shape
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], float)


def _page(random: np.random.Generator, size: tuple[int, int]) -> list[Block]:
    style = _style(random, _em(random, size, PAGE_EMS), by_hand=0.25)
    height, width = np.array(size) * random.uniform(0.55, 1, 2)
    lines = _page_lines(random, style, height, width)
    what = _typeset(random, lines, random.uniform(1.15, 1.7), centred=False, outlined=0)
    turn = random.normal(0, 0.03) if random.random() < 0.7 else random.normal(0, 0.15)
    centre = _centre(random, what.ink, size, reach=1)
    matrix = _homography(random, what.ink, centre, turn, tilt=random.choice([0.1, 0.3, 0.9]))
    return [_block(what, matrix, size, is_page=True)]


def _page_lines(random: np.random.Generator, style: _Style, height: float, width: float) -> _Lines:
    lines, count = [], 0
    if random.random() < 0.4:
        heading = _style(random, round(style.em * random.uniform(1.2, 2)), by_hand=0)
        lines.append((heading, _texts(random, heading, width * random.uniform(0.3, 0.8))[:MOST_HEADING_WORDS]))
    for _ in range(max(1, int(height / (1.4 * style.em)))):
        share = 1 if random.random() < 0.8 else random.uniform(0.2, 0.9)
        texts = _texts(random, style, width * share)[: MOST_WORDS - MOST_HEADING_WORDS - count]
        lines.append((style, texts))
        count += len(texts)
        if count >= ENOUGH_PAGE_WORDS:
            break
    return lines


def _texts(random: np.random.Generator, style: _Style, width: float) -> list[str]:
    """Words that roughly fill a line of `width` pixels; at least one."""
    texts, room = [], width / _letter_width(style)
    while not texts or room > 3:
        texts.append(style.case(random_word(random)))
        room -= len(texts[-1]) + 1
    return texts


@lru_cache(maxsize=4096)
def _letter_width(style: _Style) -> float:
    typical = "the average letter"
    width = printed(style.case(typical), style.face, style.em).mask.shape[1] / len(typical)
    return 1.2 * width if style.handwritten else width


def _sign(random: np.random.Generator, size: tuple[int, int], ems: tuple[float, float]) -> _Written:
    texts = [[random_word(random) for _ in range(random.integers(1, 3))] for _ in range(random.integers(1, 4))]
    longest = max(sum(map(len, line)) + len(line) for line in texts)
    fitting = REFERENCE_SIDE / min(size) * size[1] / (longest * EM_PER_LETTER)
    em = _em(random, size, (min(ems[0], fitting), min(ems[1], fitting)))
    style = _style(random, em, by_hand=0.25)
    outlined = 1 + em // 24 if em > 20 and random.random() < 0.2 else 0
    lines = [(style, [style.case(text) for text in line]) for line in texts]
    leading = random.uniform(1.05, 1.5)
    return _typeset(random, lines, leading, random.random() < 0.5, outlined)


def _style(random: np.random.Generator, em: int, by_hand: float) -> _Style:
    handwritten = random.random() < by_hand
    faces = WRITTEN if handwritten else PRINTED
    cases = (str.lower, str.lower, str.title, str.upper)
    case = cases[random.integers(3 if handwritten else 4)]  # handwriting is never all capitals
    em = round(em * SIZE_STEP**2) if handwritten else em  # handwriting is larger, or it would be unreadable
    return _Style(faces[random.integers(len(faces))], handwritten, em, case)


def _em(random: np.random.Generator, size: tuple[int, int], ems: tuple[float, float]) -> int:
    scale = min(size) / REFERENCE_SIDE
    em = np.exp(random.uniform(*np.log(ems))) * scale
    # Few sizes, so that rendered letters can be cached; `_homography` zooms to all sizes in between.
    return round(SMALLEST_EM * SIZE_STEP ** max(round(np.log(em / SMALLEST_EM) / np.log(SIZE_STEP)), 0))


def _typeset(random: np.random.Generator, lines: _Lines, leading: float, centred: bool, outlined: int) -> _Written:
    """Sets the lines below each other as one ink; leaves out words too faint to be visible."""
    margin = outlined + 2 + int(lines[0][0].em * random.uniform(0.1, 0.7))
    placed, base, bottom = [], 0, margin
    for style, texts in lines:
        inks = [_write(random, text, style) for text in texts]
        base = max(base + int(leading * style.em), bottom + max(ink.rise for ink in inks) + 1 + 2 * outlined)
        bottom = base + max(len(ink.mask) - ink.rise for ink in inks)
        space = max(3, round(style.em * random.uniform(0.25, 0.5))) + 2 * outlined
        lefts = np.cumsum([0, *(ink.mask.shape[1] + space for ink in inks)])
        placed.append((style, texts, inks, lefts, base))
    width = max(lefts[-1] for *_, lefts, _ in placed)
    canvas, words = np.zeros((bottom + margin, width + 2 * margin), np.uint8), []
    for style, texts, inks, lefts, base in placed:
        indent = margin + ((width - lefts[-1]) // 2 if centred else 0)
        for text, ink, left in zip(texts, inks, lefts[:-1] + indent, strict=True):
            outline, top = visible_outline(ink.mask), base - ink.rise
            if outline is not None:
                canvas[top : top + ink.mask.shape[0], left : left + ink.mask.shape[1]] = ink.mask
                words.append(_Inked(text, style.handwritten, _widened(outline, outlined) + np.array([left, top])))
    return _Written(canvas, words, outlined)


def _write(random: np.random.Generator, text: str, style: _Style) -> Ink:
    if style.handwritten:
        return written(random, text, style.face, style.em)
    return printed(text, style.face, style.em)


def _widened(outline: Float[np.ndarray, "n 2"], by: int) -> Float[np.ndarray, "m 2"]:
    if by == 0:
        return outline
    moved = [outline + np.array([x, y]) for x in (-by, by) for y in (-by, by)]
    return cv2.convexHull(np.concatenate(moved).astype(np.float32)).reshape(-1, 2).astype(float)


def _place(
    random: np.random.Generator, blocks: list[Block], taken: UInt8[np.ndarray, "h w"], what: _Written, near_middle: bool
) -> None:
    """Adds a block in a free place and marks it as `taken`; gives up after `PLACING_TRIES` failed tries."""
    size = taken.shape
    for _ in range(PLACING_TRIES):
        turn = random.normal(0, 0.1) if random.random() < 0.8 else random.uniform(-0.8, 0.8)
        centre = _centre(random, what.ink, size, reach=0.5 if near_middle else 1)
        matrix = _homography(random, what.ink, centre, turn, tilt=0.8)
        frame = project(matrix, corners(what.ink))
        sticks_out = (frame < 0).any() or (frame > size[::-1]).any()
        if sticks_out and not near_middle and random.random() < 0.85:
            continue
        area = cv2.fillConvexPoly(np.zeros(size, np.uint8), np.rint(frame).astype(np.int32), 1)
        if not cv2.countNonZero(cv2.bitwise_and(area, taken)):
            taken |= area
            blocks.append(_block(what, matrix, size, is_page=False))
            return


def _centre(
    random: np.random.Generator, ink: UInt8[np.ndarray, "h w"], size: tuple[int, int], reach: float
) -> Float[np.ndarray, "2"]:
    """A random centre (x, y) at which the ink fits, or nearly; a `reach` of 1 allows centres up to the edges."""
    frame = np.array(size[::-1])
    room = np.maximum(frame - ink.shape[::-1], 0.08 * frame) / 2
    return frame / 2 + random.uniform(-reach, reach, 2) * room


def _homography(
    random: np.random.Generator, ink: UInt8[np.ndarray, "h w"], centre: np.ndarray, turn: float, tilt: float
) -> Float[np.ndarray, "3 3"]:
    """A random perspective: rotated by `turn` in its plane, tilted by up to `tilt` about both axes (radians), from a
    random distance."""
    flat = corners(ink)
    sine, cosine = np.sin(turn), np.cos(turn)
    points = (flat - flat[2] / 2) @ np.array([[cosine, sine], [-sine, cosine]])
    angles = random.uniform(-tilt, tilt, 2) * random.uniform(0, 1)
    depth = points @ np.sin(angles)
    distance = random.uniform(1.0, 3) * flat[2].sum()  # greater than the depth of any corner
    zoom = random.uniform(1 / SIZE_STEP, SIZE_STEP) ** 0.5
    seen = points * np.cos(angles) * (zoom * distance / (distance + depth))[:, None] + centre
    return cv2.getPerspectiveTransform(flat.astype(np.float32), seen.astype(np.float32))


def _block(what: _Written, matrix: Float[np.ndarray, "3 3"], size: tuple[int, int], is_page: bool) -> Block:
    ink, words, outlined = what
    if not words:
        return Block(ink, matrix, (), outlined, is_page)
    starts = np.cumsum([0, *(len(word.outline) for word in words[:-1])])
    flat = np.concatenate([word.outline for word in words])
    seen = project(matrix, flat)
    (left, top), (right, bottom) = _extremes(flat, starts).transpose(0, 2, 1)
    quads = project(matrix, np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 2))
    boxes = _boxes(seen, starts, size)
    words_seen = tuple(
        Word(word.text, word.handwritten, tuple(box), quad)
        for word, box, quad in zip(words, boxes.tolist(), quads.reshape(-1, 4, 2), strict=True)
        if min(box[2:]) > 0
    )
    return Block(ink, matrix, words_seen, outlined, is_page)


def _extremes(points: Float[np.ndarray, "n 2"], starts: np.ndarray) -> Float[np.ndarray, "2 w 2"]:
    """Each outline's smallest and largest (x, y), of whole pixels. `points` are all outlines' pixel centres."""
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    return np.stack([low - 0.5, high + 0.5])


def _boxes(points: Float[np.ndarray, "n 2"], starts: np.ndarray, size: tuple[int, int]) -> Float[np.ndarray, "w 4"]:
    """The box (y_centre, x_centre, height, width) of each outline's part in the picture, of size 0 if there is none."""
    low, high = _extremes(points, starts)
    frame = np.array(size[::-1])
    for index in np.flatnonzero((low < 0).any(axis=1) | (high > frame).any(axis=1)):
        last = starts[index + 1] if index + 1 < len(starts) else None
        part = _clipped(points[starts[index] : last], size)
        low[index], high[index] = _extremes(part, np.array([0]))[:, 0] if len(part) else (0, 0)
    low, high = np.clip(low, 0, frame), np.clip(high, 0, frame)
    return np.concatenate([(low + high)[:, ::-1] / 2, (high - low)[:, ::-1]], axis=1)


def _clipped(outline: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Float[np.ndarray, "m 2"]:
    """The part of a convex outline that is inside the picture; has no vertices if nothing is."""
    height, width = size
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    area, part = cv2.intersectConvexConvex(cv2.convexHull(outline.astype(np.float32)), frame)
    return part.reshape(-1, 2).astype(float) if area > 0 else np.zeros((0, 2))
