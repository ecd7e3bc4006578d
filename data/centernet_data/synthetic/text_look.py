"""Draws a scene of words: backdrop, paper and plates, ink, shadows and light."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.imaging.colour import GREY
from centernet_data.synthetic.text_layout import REFERENCE_SIDE, Block, corners, project
from centernet_data.synthetic.textures import (
    Picture,
    Window,
    background,
    camera,
    clouds,
    dull_colours,
    gradient,
    pattern,
    standing_out,
    vivid_colours,
    window_of,
)

CONTRAST = 85  # of 255; least difference in brightness between ink and what is behind it
BUSY = 28  # of 255; words get a plate if the brightness behind them has a larger standard deviation

Mask = UInt8[np.ndarray, "h w"]
Part = UInt8[np.ndarray, "h2 w2"]  # of a window


def render(random: np.random.Generator, blocks: tuple[Block, ...], size: tuple[int, int]) -> Picture:
    """Draws the blocks over a random backdrop; `size` is (height, width)."""
    finest = 5 * min(size) / REFERENCE_SIDE
    picture = background(random, size, finest) if random.random() < 0.35 else _photograph(random, size, finest)
    for block in blocks:
        _paint(picture, random, block)
    if random.random() < 0.5:
        picture = _lit(picture, random)
    if random.random() < 0.25:
        picture = cv2.merge([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * 3)
    return camera(picture, random)


def _photograph(random: np.random.Generator, size: tuple[int, int], finest: float) -> Picture:
    """A backdrop of things out of focus, sharp ones in front of them, and grain over everything."""
    small = (-(-size[0] // 4), -(-size[1] // 4))
    picture = background(random, small, finest)
    for _ in range(random.integers(3, 12)):
        _thing(picture, random)
    picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC)
    for _ in range(random.integers(0, 7)):
        _thing(picture, random)
    for _ in range(random.integers(0, 5)):
        start, end = random.integers(0, size[::-1], (2, 2)).tolist()
        cv2.line(picture, start, end, _plain(random), int(random.integers(1, 4)), cv2.LINE_AA)
    grain = 128 + random.uniform(5, 40) * clouds(random, *size, 2) * clouds(random, *size, finest)
    return _shifted(picture, grain)


def _thing(picture: Picture, random: np.random.Generator) -> None:
    """Draws an ellipse, a box in perspective or a row of bars."""
    height, width = picture.shape[:2]
    centre, reach = random.uniform(0, 1, 2) * (width, height), random.uniform(0.04, 0.3) * max(height, width)
    kind, colour = random.integers(3), _plain(random)
    if kind == 0:
        axes = tuple(int(axis) + 1 for axis in reach * random.uniform(0.3, 1, 2))
        cv2.ellipse(
            picture, tuple(centre.astype(int).tolist()), axes, random.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA
        )
    elif kind == 1:
        cv2.fillConvexPoly(picture, _fixed(centre + reach * _rough_square(random)), colour, cv2.LINE_AA, 4)
    else:
        bar, step = reach * _rough_square(random) * (0.12, 1), reach * random.uniform(0.3, 0.6)
        for number in range(random.integers(2, 8)):
            cv2.fillConvexPoly(picture, _fixed(centre + bar + (number * step, 0)), colour, cv2.LINE_AA, 4)


def _rough_square(random: np.random.Generator) -> Float[np.ndarray, "4 2"]:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * random.uniform(0.5, 1, 2) + random.uniform(
        -0.25, 0.25, (4, 2)
    )


def _fixed(points: Float[np.ndarray, "n 2"]) -> np.ndarray:
    """Vertices in OpenCV's fixed point, sixteenths of a pixel. Pixel i has its centre at i there, at i + 0.5 here."""
    return np.rint((points - 0.5) * 16).astype(np.int32)


def _plain(random: np.random.Generator) -> tuple[float, ...]:
    return _scalar((dull_colours if random.random() < 0.7 else vivid_colours)(random, 1)[0])


def _paint(picture: Picture, random: np.random.Generator, block: Block) -> None:
    window = window_of(project(block.matrix, corners(block.ink)), picture.shape[:2])
    if block.is_page:
        _lay_paper(picture, random, block)
    elif random.random() < 0.35 or _brightness(_behind(picture, block)).std() > BUSY:
        _fix_plate(picture, random, block)
    colour = _readable(_ink_colours(random, block.is_page), _behind(picture, block))
    ink = _warped(block.ink, block, window)
    if not block.is_page and random.random() < 0.25:
        _cast_shadow(picture, random, ink, window)
    if block.outlined:
        wide = cv2.dilate(block.ink, np.ones((1 + 2 * block.outlined,) * 2, np.uint8))
        _blend(picture, window, _warped(wide, block, window), colour)
        colour = _readable(_ink_colours(random, False), colour[None])
    elif random.random() < 0.4:
        ink = cv2.convertScaleAbs(ink, alpha=random.uniform(0.75, 1))
    _blend(picture, window, ink, _shaded(random, window, colour) if random.random() < 0.25 else colour)


def _behind(picture: Picture, block: Block) -> Float[np.ndarray, "n 3"]:
    """The picture's colours on a grid of points behind the block."""
    height, width = picture.shape[:2]
    grid = np.stack(np.meshgrid(np.linspace(0.05, 0.95, 10), np.linspace(0.1, 0.9, 5)), axis=-1).reshape(-1, 2)
    columns, rows = project(block.matrix, grid * block.ink.shape[::-1]).astype(int).T
    return picture[rows.clip(0, height - 1), columns.clip(0, width - 1)].astype(np.float32)


def _brightness(colours: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    return colours @ GREY.astype(np.float32)


def _readable(colours: Float[np.ndarray, "n 3"], behind: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "3"]:
    """The first colour whose brightness stands out from nearly all of `behind`, or else the best."""
    return standing_out(colours, np.abs(_brightness(colours)[:, None] - _brightness(behind)), CONTRAST)


def _ink_colours(random: np.random.Generator, is_page: bool) -> Float[np.ndarray, "n 3"]:
    """Candidate colours: mostly near black on paper, any elsewhere. Black and white come last, so one stands out."""
    neutral = random.uniform(0, 70, (8, 1)) + random.uniform(-12, 12, (8, 3))
    if not is_page:
        neutral = np.where(random.random((8, 1)) < 0.5, neutral, 255 - neutral)
    vivid = vivid_colours(random, 8)
    chosen = neutral if is_page and random.random() < 0.75 else random.permutation(np.concatenate([neutral, vivid]))
    return np.concatenate([chosen, [[8, 8, 8], [248, 248, 248]]]).clip(0, 255).astype(np.float32)


def _lay_paper(picture: Picture, random: np.random.Generator, block: Block) -> None:
    """Lays paper under a page, over the whole picture or as a sheet, sometimes with ruled lines."""
    tone = random.uniform(150, 252) if random.random() < 0.9 else random.uniform(10, 70)
    colour = tone + random.uniform(-14, 14, 3)
    flat = corners(block.ink)
    sheet = flat[2] / 2 + (flat - flat[2] / 2) * random.uniform(1, 1.25, 2)
    if random.random() < 0.65:
        whole = (slice(0, picture.shape[0]), slice(0, picture.shape[1]))
        picture[whole] = _textured(random, whole, colour)
    else:
        _fill(picture, random, project(block.matrix, sheet), colour)
    if random.random() < 0.25:
        _rule(picture, random, block, colour)


def _rule(picture: Picture, random: np.random.Generator, block: Block, paper: np.ndarray) -> None:
    rules = np.zeros_like(block.ink)
    pitch = int(random.uniform(12, 60))
    rules[random.integers(0, pitch) :: pitch] = int(random.uniform(60, 200))
    window = window_of(project(block.matrix, corners(block.ink)), picture.shape[:2])
    _blend(picture, window, _warped(rules, block, window), np.abs(paper - random.uniform(70, 150)))


def _fix_plate(picture: Picture, random: np.random.Generator, block: Block) -> None:
    """Puts a plate behind the words, sometimes with a rim."""
    plate = project(block.matrix, corners(block.ink))
    colour = random.permutation(np.concatenate([vivid_colours(random, 1), dull_colours(random, 1), [[245.0] * 3]]))[0]
    _fill(picture, random, plate, colour)
    if random.random() < 0.4:
        rim = _fixed(plate).reshape(-1, 1, 2)
        cv2.polylines(picture, [rim], True, _plain(random), int(random.integers(1, 4)), cv2.LINE_AA, 4)


def _fill(
    picture: Picture, random: np.random.Generator, vertices: Float[np.ndarray, "4 2"], colour: np.ndarray
) -> None:
    window = window_of(vertices, picture.shape[:2])
    mask = np.zeros(picture[window].shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, _fixed(vertices - (window[1].start, window[0].start)), 255, cv2.LINE_AA, 4)
    _blend(picture, window, mask, _textured(random, window, colour))


def _textured(random: np.random.Generator, window: Window, colour: np.ndarray) -> Picture:
    """A surface of the given colour in uneven light."""
    height, width = (side.stop - side.start for side in window)
    light = 128 + random.uniform(0, 30) * gradient(random, height, width, 5)
    if random.random() < 0.6:
        light += random.uniform(0, 14) * pattern(random, height, width, 4)
    flat = _flat(height, width, colour)
    return _shifted(flat, light)


def _shaded(random: np.random.Generator, window: Window, colour: np.ndarray) -> Picture:
    height, width = (side.stop - side.start for side in window)
    return _shifted(_flat(height, width, colour), 128 + random.uniform(15, 45) * gradient(random, height, width, 5))


def _flat(height: int, width: int, colour: np.ndarray) -> Picture:
    return cv2.merge([np.full((height, width), round(level), np.uint8) for level in _scalar(colour)])


def _scalar(colour: np.ndarray) -> tuple[float, ...]:
    return tuple(min(max(level, 0.0), 255.0) for level in colour.tolist())


def _cast_shadow(picture: Picture, random: np.random.Generator, ink: Part, window: Window) -> None:
    offset = random.uniform(-4, 4, 2)
    shadow = cv2.warpAffine(ink, np.array([[1, 0, offset[0]], [0, 1, offset[1]]]), ink.shape[::-1])
    shadow = cv2.convertScaleAbs(cv2.blur(shadow, (3, 3)), alpha=random.uniform(0.3, 0.6))
    _blend(picture, window, shadow, np.zeros(3))


def _lit(picture: Picture, random: np.random.Generator) -> Picture:
    """Adds light that falls off to one side, or the shadow of something."""
    height, width = picture.shape[:2]
    field = gradient(random, height, width, 5) if random.random() < 0.6 else clouds(random, height, width, 40)
    light = np.clip(255 - random.uniform(10, 55) * (1 + field), 0, 255).astype(np.uint8)
    return cv2.multiply(picture, cv2.merge([light] * 3), scale=1 / 255)


def _warped(mask: Mask, block: Block, window: Window) -> Part:
    """Maps a mask in the block's plane into a window of the picture."""
    rows, columns = window
    # The centre of pixel i is at i in OpenCV, at i + 0.5 here.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = np.array([[1, 0, -0.5 - columns.start], [0, 1, -0.5 - rows.start], [0, 0, 1]])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return cv2.warpPerspective(mask, back @ block.matrix @ half, size, flags=cv2.INTER_LINEAR)


def _blend(picture: Picture, window: Window, share: Part, colour: np.ndarray) -> None:
    """Blends a colour, or a picture of the window's size, into the picture; `share` is its opacity, 0 .. 255.

    Works on uint8; `shape_look` blends in floating point, which rounds differently, so the two cannot share it.
    """
    shares = cv2.merge([share] * 3)
    over = colour if colour.ndim == 3 else np.array(_scalar(colour))
    kept = cv2.multiply(np.ascontiguousarray(picture[window]), cv2.bitwise_not(shares), scale=1 / 255)
    picture[window] = cv2.add(kept, cv2.multiply(shares, over, scale=1 / 255))


def _shifted(picture: Picture, light: Float[np.ndarray, "h w"]) -> Picture:
    """Brightens the picture by `light` - 128."""
    light = np.clip(light, 0, 255).astype(np.uint8)
    return cv2.addWeighted(picture, 1, cv2.merge([light] * 3), 1, -128)
