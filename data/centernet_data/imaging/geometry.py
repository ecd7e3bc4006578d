"""From pictures to the network's input and back: 2x3 matrices act on (x, y) in pixels, continuous coordinates.

Pixel i covers [i, i + 1): a picture W wide reaches from 0 to W.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.model_config import Resize
from centernet_data.imaging.decoding import REDUCTIONS

Matrix = Float[np.ndarray, "2 3"]

PADDING = (124, 116, 104)  # ImageNet's mean colour: zero, once normalised
GREY = np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
# Along which RGB colours, and how far (of 1), the pixels of natural photographs differ: principal components, in
# columns, as the authors' code has them (there for BGR), after AlexNet (section 4.1).
LIGHTING_DIRECTIONS = np.array(
    [
        [-0.56089297, 0.71832671, 0.41158938],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.58752847, -0.69563484, 0.41340352],
    ]
)
LIGHTING_SPREADS = np.array([0.2141788, 0.01817699, 0.00341571])
LEAST_VISIBLE = 0.25  # an object of which less than this share is left in the frame is no object of it


def fit(picture_hw: tuple[int, int], input_hw: tuple[int, int], resize: Resize = "letterbox") -> Matrix:
    """The matrix that fits a picture into the input: letterbox keeps the aspect ratio and centres, stretch does not."""
    (height, width), (input_height, input_width) = picture_hw, input_hw
    scale_y, scale_x = input_height / height, input_width / width
    if resize == "letterbox":
        scale_y = scale_x = min(scale_y, scale_x)
    margin_x, margin_y = (input_width - scale_x * width) / 2, (input_height - scale_y * height) / 2
    return np.array([[scale_x, 0, margin_x], [0, scale_y, margin_y]])


def compose(second: Matrix, first: Matrix) -> Matrix:
    """The matrix that does `first`, then `second`."""
    return second @ np.vstack([first, [0, 0, 1]])


def invert(matrix: Matrix) -> Matrix:
    """The matrix that undoes `matrix`."""
    return cv2.invertAffineTransform(matrix)


def shrinking(scale: float) -> int:
    """How many whole pixels come to lie side by side in one, at least 1."""
    return max(int(1 / abs(scale)), 1)


def reduction_before(matrix: Matrix) -> int:
    """By how much a picture that `warp` will move by `matrix` may be reduced while it is read: 1, 2, 4 or 8."""
    least = min(shrinking(matrix[0, 0]), shrinking(matrix[1, 1]))
    return max(reduction for reduction in REDUCTIONS if reduction <= least)


def warp(
    image: UInt8[np.ndarray, "h w 3"],
    matrix: Matrix,
    hw: tuple[int, int],
    padding: tuple[int, int, int] | None = PADDING,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture moved by `matrix` onto a canvas of `hw` pixels, of the colour `padding`; None continues its edges.

    What shrinks to half or less is first averaged over areas, so that no pixel is passed over; the rest is linear
    interpolation.
    """
    height, width = image.shape[:2]
    small = -(-width // shrinking(matrix[0, 0])), -(-height // shrinking(matrix[1, 1]))
    if small != (width, height):
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)  # fast where it divides the picture's size
        matrix = matrix * [width / small[0], height / small[1], 1]
    half = np.array([[1, 0, 0.5], [0, 1, 0.5]])  # OpenCV's pixel i lies at i, ours at i + 0.5
    matrix = compose(half * [1, 1, -1], compose(matrix, half))
    border = cv2.BORDER_REPLICATE if padding is None else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, matrix, hw[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=padding or 0)


def move_objects(objects: Float[np.ndarray, "n 6"], matrix: Matrix) -> Float[np.ndarray, "n 6"]:
    """Objects (y_centre, x_centre, height, width, ...) moved by a matrix without rotation."""
    moved = objects.copy()
    moved[:, 1] = objects[:, 1] * matrix[0, 0] + matrix[0, 2]
    moved[:, 0] = objects[:, 0] * matrix[1, 1] + matrix[1, 2]
    moved[:, 3] = objects[:, 3] * abs(matrix[0, 0])
    moved[:, 2] = objects[:, 2] * abs(matrix[1, 1])
    return moved


def visible_share(objects: Float[np.ndarray, "n 6"], hw: tuple[int, int]) -> Float[np.ndarray, "n"]:
    """The share of each object's area that lies inside a frame of `hw` pixels."""
    centre, size = objects[:, :2], objects[:, 2:4]
    inside = np.minimum(centre + size / 2, hw) - np.maximum(centre - size / 2, 0)
    return np.maximum(inside, 0).prod(1) / size.prod(1)


def augment_geometry(hw: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator) -> Matrix:
    """A random scaling about the centre of the input, shift and mirroring, to follow `fit`."""
    height, width = hw
    scale = 1 / rng.uniform(*augmentation.scale)
    shift_y, shift_x = rng.uniform(-augmentation.shift, augmentation.shift, 2) * hw * scale
    mirror = -1 if augmentation.flip and rng.random() < 0.5 else 1
    margin_x, margin_y = (width - mirror * scale * width) / 2, (height - scale * height) / 2
    return np.array([[mirror * scale, 0, margin_x + shift_x], [0, scale, margin_y + shift_y]])


def augment_colour(
    image: UInt8[np.ndarray, "h w 3"], strength: float, lighting: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Brightness, contrast and saturation, in random order, then the colour of the light, as one matrix on RGB."""
    if strength == lighting == 0:
        return image
    matrix, offset, mean = np.eye(3), np.zeros(3), np.array(cv2.mean(image)[:3])
    for kind in rng.permutation(3):
        factor = rng.uniform(1 - strength, 1 + strength)
        if kind == 0:  # brightness: away from black
            step, constant = factor * np.eye(3), 0.0
        elif kind == 1:  # contrast: away from the picture's mean grey
            step, constant = factor * np.eye(3), (1 - factor) * (GREY @ (matrix @ mean + offset))
        else:  # saturation: away from each pixel's own grey
            step, constant = factor * np.eye(3) + (1 - factor) * GREY[None], 0.0
        matrix, offset = step @ matrix, step @ offset + constant
    offset = offset + 255 * LIGHTING_DIRECTIONS @ (LIGHTING_SPREADS * rng.normal(0, lighting, 3))
    return cv2.transform(image, np.column_stack([matrix, offset]))
