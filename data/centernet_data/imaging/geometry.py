"""Maps pictures to the network's input and back, by 2x3 matrices that act on (x, y) in pixels.

The matrices scale, shift, mirror and turn by right angles: of the two factors in each row and column one is 0.
Coordinates are continuous: pixel i covers [i, i + 1), so a picture W pixels wide spans 0 to W.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.boxes import clip_xyxy, cyxhw_to_xyxy
from centernet_data.contract.model_config import Resize
from centernet_data.imaging.jpeg import REDUCTIONS

Matrix = Float[np.ndarray, "2 3"]

PADDING = (124, 116, 104)  # ImageNet's mean colour, which normalisation takes to zero
LEAST_VISIBLE = 0.25  # a view keeps an object if at least this share of its area is inside the frame


def fit(picture_hw: tuple[int, int], input_hw: tuple[int, int], resize: Resize = "letterbox") -> Matrix:
    """The matrix that fits a picture into the input: letterbox keeps the aspect ratio and centres it, stretch fills."""
    (height, width), (input_height, input_width) = picture_hw, input_hw
    scale_y, scale_x = input_height / height, input_width / width
    if resize == "letterbox":
        scale_y = scale_x = min(scale_y, scale_x)
    margin_x, margin_y = (input_width - scale_x * width) / 2, (input_height - scale_y * height) / 2
    return np.array([[scale_x, 0, margin_x], [0, scale_y, margin_y]])


def compose(second: Matrix, first: Matrix) -> Matrix:
    """The matrix that applies `first`, then `second`."""
    return second @ np.vstack([first, [0, 0, 1]])


def invert(matrix: Matrix) -> Matrix:
    """The inverse of `matrix`."""
    return cv2.invertAffineTransform(matrix)


def quarter_turns(picture_hw: tuple[int, int], quarters: int) -> Matrix:
    """The matrix that turns a picture counter-clockwise by 0 to 3 right angles; odd numbers swap its sides."""
    height, width = picture_hw
    turns = (
        [[1, 0, 0], [0, 1, 0]],
        [[0, 1, 0], [-1, 0, width]],
        [[-1, 0, width], [0, -1, height]],
        [[0, -1, height], [1, 0, 0]],
    )
    return np.array(turns[quarters], float)


def shrinking(matrix: Matrix) -> tuple[int, int]:
    """The numbers of whole source pixels, along the picture's x and y, that map to one target pixel, at least 1."""
    scale_x, scale_y = np.abs(matrix[:, :2]).sum(0)  # of the two in a column one is 0
    return max(int(1 / scale_x), 1), max(int(1 / scale_y), 1)


def reduction_before(matrix: Matrix) -> int:
    """The largest reduction (1, 2, 4 or 8) at which to read a picture that `warp` then maps by `matrix`."""
    return max(reduction for reduction in REDUCTIONS if reduction <= min(shrinking(matrix)))


def warp(
    picture: UInt8[np.ndarray, "h w 3"],
    matrix: Matrix,
    hw: tuple[int, int],
    padding: tuple[int, int, int] | None = PADDING,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Maps the picture by `matrix` onto a canvas of `hw` pixels, filled with the colour `padding`; None repeats the
    picture's edge pixels instead.

    A picture that shrinks to half or less is first averaged over areas, so that every pixel counts; the rest is linear
    interpolation.
    """
    height, width = picture.shape[:2]
    shrink_x, shrink_y = shrinking(matrix)
    small = -(-width // shrink_x), -(-height // shrink_y)
    if small != (width, height):
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)  # fast if it divides the picture's size
        matrix = matrix * [width / small[0], height / small[1], 1]
    half = np.array([[1, 0, 0.5], [0, 1, 0.5]])  # the centre of pixel i is at i in OpenCV, at i + 0.5 here
    matrix = compose(half * [1, 1, -1], compose(matrix, half))
    border = cv2.BORDER_REPLICATE if padding is None else cv2.BORDER_CONSTANT
    return cv2.warpAffine(
        picture, matrix, hw[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=padding or 0
    )


def move_objects(objects: Float[np.ndarray, "n 6"], matrix: Matrix) -> Float[np.ndarray, "n 6"]:
    """Maps objects (y_centre, x_centre, height, width, ...) by a matrix of this module's kind."""
    moved = objects.copy()
    linear = matrix[::-1, 1::-1]  # its rows and columns in the order y, x
    for axis in (0, 1):
        (by_y, by_x), shift = linear[axis], matrix[1 - axis, 2]
        moved[:, axis] = objects[:, 0] * by_y + objects[:, 1] * by_x + shift
        moved[:, 2 + axis] = objects[:, 2] * abs(by_y) + objects[:, 3] * abs(by_x)
    return moved


def visible_share(objects: Float[np.ndarray, "n 6"], hw: tuple[int, int]) -> Float[np.ndarray, "n"]:
    """The share of each object's area that is inside a frame of `hw` pixels."""
    x_min, y_min, x_max, y_max = clip_xyxy(cyxhw_to_xyxy(objects[:, :4]), *hw).T
    return (y_max - y_min) * (x_max - x_min) / objects[:, 2:4].prod(1)


def augment_geometry(hw: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator) -> Matrix:
    """A random matrix to apply after `fit`: scaling about the input's centre, shift and mirroring."""
    height, width = hw
    scale = 1 / rng.uniform(*augmentation.scale)
    shift_y, shift_x = rng.uniform(-augmentation.shift, augmentation.shift, 2) * hw * scale
    mirror_x = -1 if augmentation.flip and rng.random() < 0.5 else 1
    mirror_y = -1 if augmentation.vertical_flip and rng.random() < 0.5 else 1
    margin_x, margin_y = (width - mirror_x * scale * width) / 2, (height - mirror_y * scale * height) / 2
    return np.array([[mirror_x * scale, 0, margin_x + shift_x], [0, mirror_y * scale, margin_y + shift_y]])


def augment_turn(
    picture_hw: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Matrix, tuple[int, int]]:
    """A random matrix to apply before `fit`, a turn by right angles, and the turned picture's (height, width)."""
    quarters = int(rng.integers(4)) if augmentation.turn else 0
    height, width = picture_hw
    return quarter_turns(picture_hw, quarters), (width, height) if quarters % 2 else (height, width)
