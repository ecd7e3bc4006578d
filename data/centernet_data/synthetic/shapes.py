"""The built-in data set: circles, squares and triangles on busy backgrounds, rendered when asked for.

Nothing is downloaded or kept. Scene i is a pure function of (seed, split, i): one stream of random numbers first
decides where the shapes lie (`layout`), which is all that the annotation needs, then what everything looks like
(`render`).

The scenes are as hard as a ResNet-18 can learn from random weights in five minutes on two CPU cores. What it learns
slowly is where exactly a centre lies: strewn over the picture, shapes are found but not told apart by then, so each
quarter of the picture has its own. Bright shapes on dark ground are told apart sooner than shapes of any brightness.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.dataset import Sample
from centernet_data.synthetic.rendered_dataset import RenderedDataset
from centernet_data.synthetic.textures import background, camera, pattern, vivid_colours

CIRCLE, SQUARE, TRIANGLE = range(3)

# Lengths below are pixels of a picture whose shorter side is 192; other sizes scale them.
REFERENCE_SIDE = 192
LONGER_SIDES = (60, 110)
SMALLEST_SHAPE = 10  # in the picture's own pixels: below this a square and a circle look alike

QUARTER_TAKEN = 0.6  # probability that a quarter of the picture has a shape
OFF_MIDDLE = 0.08  # of the picture's height and width: the farthest that a shape's centre lies off its quarter's
QUARTER_MIDDLES = np.array([(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)])
PLACING_TRIES = 12
GREATEST_TURN = 0.45  # radians either way, about 26 degrees
VISIBLE_SHARE = 0.7  # of each shape, at least; well over the half that `layout` promises
COLOUR_DISTANCE = 90  # of 255, by which a shape stands out against what is behind its outline
LEAST_LUMA = 160  # of 255, of a shape's colour
# The eye takes dark blue on black for black, whatever the plain distance says.
LUMA_WEIGHTS = np.array([0.30, 0.53, 0.17], np.float32)
LETTERS = "BEFHKLMNPRSTWXYZ235"  # no O, Q, D, A, 0 or 4, which hold circles and triangles


class Shape(NamedTuple):
    """A shape in the picture: a convex outline, whose vertices (x, y) are in pixels (pixel i covers [i, i + 1)).

    A circle has 72 vertices, the four extremes among them.
    """

    kind: int
    outline: Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class ShapesDataset(RenderedDataset):
    """Rendered scenes of circles, squares and triangles; a `Dataset`.

    `split` is "train" (4,000 scenes unless `count` says otherwise) or "val" (200); their random numbers come from
    separate streams. `size` is (height, width) in pixels, each at least 32. Changing `count` changes no scene.
    ValueError for another split, a negative `count` or `seed`, or a smaller size.
    """

    size: tuple[int, int] = (192, 192)

    data: ClassVar[str] = "shapes"
    classes: ClassVar[tuple[str, ...]] = ("circle", "square", "triangle")
    default_counts: ClassVar[dict[str, int]] = {"train": 4000, "val": 200}
    least_side: ClassVar[int] = 32
    most_objects: ClassVar[int] = len(QUARTER_MIDDLES)

    def sample(self, index: int) -> Sample:
        """The objects of scene `index`, without drawing it. IndexError outside 0 .. len - 1."""
        shapes = layout(np.random.default_rng(self.scene_seed(index)), self.size)
        boxes = np.array([clipped_box(shape, self.size) for shape in shapes], np.float32).reshape(-1, 4)
        kinds = np.array([shape.kind for shape in shapes], np.float32)[:, None]
        return Sample(
            name=f"shapes-{self.split}-{index:05d}",
            height=self.size[0],
            width=self.size[1],
            objects=np.concatenate([boxes, kinds, np.ones_like(kinds)], axis=1),
            areas=boxes[:, 2] * boxes[:, 3],
            ignored=np.zeros((0, 6), np.float32),
        )

    def scene(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        random = np.random.default_rng(self.scene_seed(index))
        shapes = layout(random, self.size)
        return render(random, shapes, self.size)


def layout(random: np.random.Generator, size: tuple[int, int]) -> list[Shape]:
    """Up to 4 shapes for a picture of `size` (height, width), one in each quarter, from the backmost to the foremost.

    At least half of each shape's area is seen: neither outside the picture nor behind another shape.
    """
    shapes: list[Shape] = []
    owner = np.zeros(size, np.uint8)  # which shape (from 1) is seen at each pixel; 0 is the background
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
    """(y_centre, x_centre, height, width) of the tight box of the whole outline, clipped to the picture."""
    left, top = np.maximum(shape.outline.min(axis=0), 0)
    right, bottom = np.minimum(shape.outline.max(axis=0), size[::-1])
    return (top + bottom) / 2, (left + right) / 2, bottom - top, right - left


def render(random: np.random.Generator, shapes: list[Shape], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Draws `shapes`, the last one foremost, over a random background; height and width are `size`."""
    picture = background(random, size, 6 * min(size) / REFERENCE_SIDE, dark_colours)
    for _ in range(random.integers(0, 6)):
        draw = CLUTTER[random.integers(len(CLUTTER))]
        draw(picture, random, min(size) / REFERENCE_SIDE)
    for shape in shapes:
        paint(picture, random, shape)
    return camera(picture, random)


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
    if random.random() < 0.25 or len(outline) > 4:  # a turned circle is the same circle with less exact extremes
        return outline
    angle = random.uniform(-GREATEST_TURN, GREATEST_TURN)
    sine, cosine = np.sin(angle), np.cos(angle)
    return outline @ np.array([[cosine, sine], [-sine, cosine]])


def _put_on_top(owner: UInt8[np.ndarray, "h w"], below: list[Shape], shape: Shape) -> bool:
    """Gives `shape` its pixels in `owner`, unless too little of it or of a shape `below` would be seen."""
    window = _window(shape.outline, owner.shape)
    covered = _coverage(shape.outline, window) >= 0.5
    if np.count_nonzero(covered) < VISIBLE_SHARE * _area(shape.outline):
        return False
    lost = np.bincount(owner[window][covered], minlength=len(below) + 1)
    for number in np.flatnonzero(lost[1:]) + 1:
        if np.count_nonzero(owner == number) - lost[number] < VISIBLE_SHARE * _area(below[number - 1].outline):
            return False
    owner[window][covered] = len(below) + 1
    return True


def _area(outline: Float[np.ndarray, "n 2"]) -> float:
    following = _next(outline)
    return abs(np.sum(outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0])) / 2


def _next(outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """The vertex after each vertex. (np.roll does the same in ten times the time.)"""
    return np.concatenate([outline[1:], outline[:1]])


def _window(outline: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of the picture that the outline can touch."""
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, size[::-1])
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _coverage(outline: Float[np.ndarray, "n 2"], window: tuple[slice, slice]) -> Float[np.ndarray, "h w"]:
    """How much of each of the window's pixels lies inside the outline, 0 .. 1, from the distance of its centre."""
    x, y = (np.arange(side.start, side.stop, dtype=np.float32) + np.float32(0.5) for side in window[::-1])
    outside = _outside_circle if len(outline) > 4 else _outside_polygon
    # Distances alone would blunt a pointed corner and let it reach beyond the box.
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
    """The signed distance to the farthest of a convex polygon's sides; its vertices go from x to y about it."""
    along = _next(outline) - outline
    normals = along[:, ::-1] * (1, -1) / np.linalg.norm(along, axis=1, keepdims=True)
    offsets = np.sum(normals * outline, axis=1)
    sides = np.column_stack([normals, offsets]).astype(np.float32)
    return np.max([right * x + (down * y - offset)[:, None] for right, down, offset in sides], axis=0)


def paint(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, shape: Shape) -> None:
    """Draws the shape into `picture`, anti-aliased, in random colours that stand out against what is there."""
    window = _window(shape.outline, picture.shape[:2])
    behind = _colours_along(picture, shape.outline)
    colour = _standing_out(random, behind)
    part = _blend(picture[window], _coverage(shape.outline, window), _filling(random, window, colour))
    if random.random() < 0.3:
        edge = _standing_out(random, np.concatenate([behind, np.repeat(colour[None], len(behind), axis=0)]))
        rim = _coverage(shape.outline, window) - _coverage(_shrunk(random, shape.outline), window)
        part = _blend(part, rim, edge)
    picture[window] = np.rint(part).astype(np.uint8)


def _colours_along(picture: UInt8[np.ndarray, "h w 3"], outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 3"]:
    following = _next(outline)
    points = np.concatenate([outline + share * (following - outline) for share in np.arange(0, 1, 1 / 8)])
    points = points[:: len(points) // 24]  # enough of a circle's many
    columns, rows = np.floor(points).astype(int).T
    height, width = picture.shape[:2]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return picture[rows[inside], columns[inside]].astype(np.float32)


def _standing_out(random: np.random.Generator, behind: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "3"]:
    """The first random colour that differs enough from nearly all of `behind`, or else the best of a dozen."""
    colours = bright_colours(random, 12)
    distances = np.sqrt(((colours[:, None] - behind) ** 2) @ LUMA_WEIGHTS)
    least = np.sort(distances, axis=1)[:, distances.shape[1] // 8]
    good = np.flatnonzero(least >= COLOUR_DISTANCE)
    return colours[good[0] if len(good) else np.argmax(least)]


def bright_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """What shapes wear: any hue, mixed with white where that is needed for a luma of `LEAST_LUMA`."""
    colours = vivid_colours(random, count)
    luma = (colours @ LUMA_WEIGHTS)[:, None]
    return colours + np.clip((LEAST_LUMA - luma) / (255 - luma), 0, 1) * (255 - colours)


def dark_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """What all else wears: dark greys with a tint."""
    return (random.uniform(15, 85, (count, 1)) + random.uniform(-15, 25, (count, 3))).astype(np.float32)


def _filling(random: np.random.Generator, window: tuple[slice, slice], colour: Float[np.ndarray, "3"]) -> np.ndarray:
    if random.random() < 0.7:
        return colour
    height, width = (side.stop - side.start for side in window)
    return colour + random.uniform(10, 40) * pattern(random, height, width, finest=5.0)[..., None]


def _shrunk(random: np.random.Generator, outline: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    centre = outline.mean(axis=0)
    return centre + random.uniform(0.76, 0.9) * (outline - centre)


def _blend(part: np.ndarray, share: Float[np.ndarray, "h w"], colour: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    return part + share[..., None] * (np.clip(colour, 0, 255) - part)


def _line(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, scale: float) -> None:
    start, end = _points(random, picture, 2)
    cv2.line(picture, start, end, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _arc(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, scale: float) -> None:
    (centre,) = _points(random, picture, 1)
    axes = [max(1, int(axis * scale)) for axis in random.integers(8, 60, 2)]
    turn, start = random.uniform(0, 360, 2)
    end = start + random.uniform(40, 180)  # half an ellipse at most: no circle
    cv2.ellipse(picture, centre, axes, turn, start, end, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _specks(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, scale: float) -> None:
    colour = _colour(random)
    for centre in _points(random, picture, int(random.integers(4, 20))):
        cv2.circle(picture, centre, max(1, round(1.2 * scale)), colour, -1, cv2.LINE_AA)


def _letters(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, scale: float) -> None:
    text = "".join(random.choice(list(LETTERS), random.integers(1, 4)))
    (corner,) = _points(random, picture, 1)
    height = random.uniform(0.4, 1.4) * scale
    cv2.putText(picture, text, corner, 0, height, _colour(random), _thickness(random, scale), cv2.LINE_AA)


def _blob(picture: UInt8[np.ndarray, "h w 3"], random: np.random.Generator, scale: float) -> None:
    """A ragged splinter: what is neither round nor straight-sided."""
    angles = np.sort(random.uniform(0, 2 * np.pi, 14))
    radii = random.uniform(6, 26) * scale * random.uniform(0.25, 1, 14)
    vertices = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None] + _points(random, picture, 1)
    cv2.fillPoly(picture, [np.rint(vertices).astype(np.int32)], _colour(random), cv2.LINE_AA)


CLUTTER = (_line, _arc, _specks, _letters, _blob)


def _points(random: np.random.Generator, picture: UInt8[np.ndarray, "h w 3"], count: int) -> list[list[int]]:
    return random.integers(0, picture.shape[1::-1], (count, 2)).tolist()


def _colour(random: np.random.Generator) -> list[float]:
    return dark_colours(random, 1)[0].clip(0, 255).tolist()


def _thickness(random: np.random.Generator, scale: float) -> int:
    return max(1, round(random.integers(1, 4) * scale))
