"""Draws a scene of shapes: background, clutter, and shapes that stand out."""

import cv2
import numpy as np
from jaxtyping import Float

from centernet_data.synthetic.shape_layout import REFERENCE_SIDE, Shape, coverage, following_vertices
from centernet_data.synthetic.textures import (
    Picture,
    Window,
    background,
    camera,
    pattern,
    standing_out,
    vivid_colours,
    window_of,
)

COLOUR_DISTANCE = 90  # of 255; least distance of a shape's colour from the colours behind its outline
LEAST_LUMA = 160  # of 255, of a shape's colour
# To the eye, dark blue on black looks black, whatever the unweighted distance says.
LUMA_WEIGHTS = np.array([0.30, 0.53, 0.17], np.float32)
LETTERS = "BEFHKLMNPRSTWXYZ235"  # no O, Q, D, A, 0 or 4, which contain circles and triangles


def render(random: np.random.Generator, shapes: list[Shape], size: tuple[int, int]) -> Picture:
    """Draws `shapes`, the last one in front, over a random background; `size` is (height, width)."""
    picture = background(random, size, 6 * min(size) / REFERENCE_SIDE, dark_colours)
    for _ in range(random.integers(0, 6)):
        draw = CLUTTER[random.integers(len(CLUTTER))]
        draw(picture, random, min(size) / REFERENCE_SIDE)
    for shape in shapes:
        paint(picture, random, shape)
    return camera(picture, random)


def paint(picture: Picture, random: np.random.Generator, shape: Shape) -> None:
    """Draws the shape into `picture`, anti-aliased, in random colours that stand out from what is there."""
    window = window_of(shape.outline, picture.shape[:2])
    behind = _colours_along(picture, shape.outline)
    colour = _colour_against(random, behind)
    part = _blend(picture[window], coverage(shape.outline, window), _filling(random, window, colour))
    if random.random() < 0.3:
        edge = _colour_against(random, np.concatenate([behind, np.repeat(colour[None], len(behind), axis=0)]))
        rim = coverage(shape.outline, window) - coverage(_shrunk(random, shape.outline), window)
        part = _blend(part, rim, edge)
    picture[window] = np.rint(part).astype(np.uint8)


def _colours_along(picture: Picture, outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 3"]:
    following = following_vertices(outline)
    points = np.concatenate([outline + share * (following - outline) for share in np.arange(0, 1, 1 / 8)])
    points = points[:: len(points) // 24]  # a circle has more than enough
    columns, rows = np.floor(points).astype(int).T
    height, width = picture.shape[:2]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return picture[rows[inside], columns[inside]].astype(np.float32)


def _colour_against(random: np.random.Generator, behind: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "3"]:
    """A random colour that stands out from nearly all of `behind`, or else the best of a dozen."""
    colours = bright_colours(random, 12)
    return standing_out(colours, np.sqrt(((colours[:, None] - behind) ** 2) @ LUMA_WEIGHTS), COLOUR_DISTANCE)


def bright_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Colours for shapes: any hue, mixed with white as needed for a luma of `LEAST_LUMA`."""
    colours = vivid_colours(random, count)
    luma = (colours @ LUMA_WEIGHTS)[:, None]
    return colours + np.clip((LEAST_LUMA - luma) / (255 - luma), 0, 1) * (255 - colours)


def dark_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Colours for everything else: dark greys with a tint."""
    return (random.uniform(15, 85, (count, 1)) + random.uniform(-15, 25, (count, 3))).astype(np.float32)


def _filling(random: np.random.Generator, window: Window, colour: Float[np.ndarray, "3"]) -> np.ndarray:
    if random.random() < 0.7:
        return colour
    height, width = (side.stop - side.start for side in window)
    return colour + random.uniform(10, 40) * pattern(random, height, width, finest=5.0)[..., None]


def _shrunk(random: np.random.Generator, outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    centre = outline.mean(axis=0)
    return centre + random.uniform(0.76, 0.9) * (outline - centre)


def _blend(part: np.ndarray, share: Float[np.ndarray, "h w"], colour: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Blends in floating point, so that filling and rim are rounded only once."""
    return part + share[..., None] * (np.clip(colour, 0, 255) - part)


def _line(picture: Picture, random: np.random.Generator, scale: float) -> None:
    start, end = _points(random, picture, 2)
    cv2.line(picture, start, end, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _arc(picture: Picture, random: np.random.Generator, scale: float) -> None:
    (centre,) = _points(random, picture, 1)
    axes = [max(1, int(axis * scale)) for axis in random.integers(8, 60, 2)]
    turn, start = random.uniform(0, 360, 2)
    end = start + random.uniform(40, 180)  # at most half an ellipse, so never a circle
    cv2.ellipse(picture, centre, axes, turn, start, end, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _specks(picture: Picture, random: np.random.Generator, scale: float) -> None:
    colour = _colour(random)
    for centre in _points(random, picture, int(random.integers(4, 20))):
        cv2.circle(picture, centre, max(1, round(1.2 * scale)), colour, -1, cv2.LINE_AA)


def _letters(picture: Picture, random: np.random.Generator, scale: float) -> None:
    text = "".join(random.choice(list(LETTERS), random.integers(1, 4)))
    (corner,) = _points(random, picture, 1)
    height = random.uniform(0.4, 1.4) * scale
    cv2.putText(picture, text, corner, 0, height, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _blob(picture: Picture, random: np.random.Generator, scale: float) -> None:
    """A ragged splinter, neither round nor straight-sided."""
    angles = np.sort(random.uniform(0, 2 * np.pi, 14))
    radii = random.uniform(6, 26) * scale * random.uniform(0.25, 1, 14)
    vertices = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None] + _points(random, picture, 1)
    cv2.fillPoly(picture, [np.rint(vertices).astype(np.int32)], _colour(random), cv2.LINE_AA)


CLUTTER = (_line, _arc, _specks, _letters, _blob)


def _points(random: np.random.Generator, picture: Picture, count: int) -> list[list[int]]:
    return random.integers(0, picture.shape[1::-1], (count, 2)).tolist()


def _colour(random: np.random.Generator) -> list[float]:
    return dark_colours(random, 1)[0].clip(0, 255).tolist()


def _thickness(random: np.random.Generator, scale: float) -> int:
    return max(1, round(random.integers(1, 4) * scale))
