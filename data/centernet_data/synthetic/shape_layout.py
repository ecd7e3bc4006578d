"""Places the shapes of a scene: their kinds, outlines and order."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.synthetic.textures import Window, window_of

CIRCLE, SQUARE, TRIANGLE = range(3)

# Lengths are in pixels of a picture whose shorter side is 192; they scale with the picture.
REFERENCE_SIDE = 192
LONGER_SIDES = (60, 110)
SMALLEST_SHAPE = 10  # in the picture's own pixels; in smaller shapes, squares and circles look alike

QUARTER_TAKEN = 0.6  # probability that a quarter of the picture has a shape
OFF_MIDDLE = 0.08  # largest offset of a shape's centre from its quarter's, relative to the picture's height and width
QUARTER_MIDDLES = np.array([(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)])
PLACING_TRIES = 12
GREATEST_TURN = 0.45  # radians in either direction, about 26 degrees
VISIBLE_SHARE = 0.7  # least visible share of each shape, well above the half that `layout` promises


class Shape(NamedTuple):
    """A shape in the picture: a convex outline with vertices (x, y) in pixels (pixel i covers [i, i + 1)).

    A circle has 72 vertices, including the four extremes.
    """

    kind: int
    outline: Float[np.ndarray, "n 2"]


def layout(random: np.random.Generator, size: tuple[int, int]) -> list[Shape]:
    """Places up to 4 shapes in a picture of `size` (height, width), one in each quarter, from back to front.

    At least half of each shape's area is visible: neither outside the picture nor behind another shape.
    """
    shapes: list[Shape] = []
    owner = np.zeros(size, np.uint8)  # the number, from 1, of the shape visible at each pixel; 0 is the background
    for middle in random.permutation(QUARTER_MIDDLES):
        if random.random() >= QUARTER_TAKEN:
            continue
        for _ in range(PLACING_TRIES):
            shape = _random_shape(random, size, middle)
            if _put_on_top(owner, shapes, shape):
                shapes.append(shape)
                break
    return shapes


def clipped_box(shape: Shape, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The tight box (y_centre, x_centre, height, width) of the whole outline, clipped to the picture."""
    left, top = np.maximum(shape.outline.min(axis=0), 0)
    right, bottom = np.minimum(shape.outline.max(axis=0), size[::-1])
    return (top + bottom) / 2, (left + right) / 2, bottom - top, right - left


def _random_shape(random: np.random.Generator, size: tuple[int, int], middle: Float[np.ndarray, "2"]) -> Shape:
    kind = int(random.integers(3))
    scale = min(size) / REFERENCE_SIDE
    smallest = max(LONGER_SIDES[0] * scale, SMALLEST_SHAPE)
    longer_side = np.exp(random.uniform(np.log(smallest), np.log(max(LONGER_SIDES[1] * scale, smallest))))
    outline = _turned(random, _unit_outline(random, kind))
    low, high = outline.min(axis=0), outline.max(axis=0)
    outline = (outline - (low + high) / 2) * (longer_side / (high - low).max())
    return Shape(kind, outline + (middle + random.uniform(-OFF_MIDDLE, OFF_MIDDLE, 2)) * size[::-1])


def _unit_outline(random: np.random.Generator, kind: int) -> Float[np.ndarray, "n 2"]:
    if kind == CIRCLE:
        angles = np.arange(72) * (2 * np.pi / 72)  # a multiple of 4, so that the extremes are vertices
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if kind == SQUARE:
        return np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    height = random.uniform(0.75, 1.1)  # of the base; 0.87 is equilateral
    return np.array([[-0.5, height / 3], [0.0, -height * 2 / 3], [0.5, height / 3]])


def _turned(random: np.random.Generator, outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    if random.random() < 0.25 or len(outline) > 4:  # rotating a circle would only make its extremes less exact
        return outline
    angle = random.uniform(-GREATEST_TURN, GREATEST_TURN)
    sine, cosine = np.sin(angle), np.cos(angle)
    return outline @ np.array([[cosine, sine], [-sine, cosine]])


def _put_on_top(owner: UInt8[np.ndarray, "h w"], below: list[Shape], shape: Shape) -> bool:
    """Assigns `shape` its pixels in `owner`, unless too little of it or of a shape `below` would be visible."""
    window = window_of(shape.outline, owner.shape)
    covered = coverage(shape.outline, window) >= 0.5
    if np.count_nonzero(covered) < VISIBLE_SHARE * _area(shape.outline):
        return False
    lost = np.bincount(owner[window][covered], minlength=len(below) + 1)
    for number in np.flatnonzero(lost[1:]) + 1:
        if np.count_nonzero(owner == number) - lost[number] < VISIBLE_SHARE * _area(below[number - 1].outline):
            return False
    owner[window][covered] = len(below) + 1
    return True


def _area(outline: Float[np.ndarray, "n 2"]) -> float:
    following = following_vertices(outline)
    return abs(np.sum(outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0])) / 2


def following_vertices(outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """The next vertex for each vertex. (np.roll does the same but is ten times slower.)"""
    return np.concatenate([outline[1:], outline[:1]])


def coverage(outline: Float[np.ndarray, "n 2"], window: Window) -> Float[np.ndarray, "h w"]:
    """The share, 0 .. 1, of each pixel of the window that is inside the outline, from the distance of its centre."""
    x, y = (np.arange(side.start, side.stop, dtype=np.float32) + np.float32(0.5) for side in window[::-1])
    outside = _outside_circle if len(outline) > 4 else _outside_polygon
    # Distances alone would round pointed corners and let them extend beyond the box.
    return np.clip(0.5 - np.maximum(outside(outline, x, y), _outside_box(outline, x, y)), 0, 1)


def _outside_circle(
    outline: Float[np.ndarray, "n 2"], x: Float[np.ndarray, "w"], y: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "h w"]:
    centre = outline.mean(axis=0).astype(np.float32)
    radius = np.float32(np.ptp(outline[:, 0]) / 2)
    return np.sqrt((x - centre[0]) ** 2 + ((y - centre[1]) ** 2)[:, None]) - radius


def _outside_box(
    outline: Float[np.ndarray, "n 2"], x: Float[np.ndarray, "w"], y: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "h w"]:
    left, top = outline.min(axis=0).astype(np.float32)
    right, bottom = outline.max(axis=0).astype(np.float32)
    return np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom)[:, None])


def _outside_polygon(
    outline: Float[np.ndarray, "n 2"], x: Float[np.ndarray, "w"], y: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "h w"]:
    """The signed distance to the farthest side of a convex polygon whose vertices run clockwise on screen."""
    along = following_vertices(outline) - outline
    normals = along[:, ::-1] * (1, -1) / np.linalg.norm(along, axis=1, keepdims=True)
    offsets = np.sum(normals * outline, axis=1)
    sides = np.column_stack([normals, offsets]).astype(np.float32)
    return np.max([right * x + (down * y - offset)[:, None] for right, down, offset in sides], axis=0)
