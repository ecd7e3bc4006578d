"""Random changes of a picture's colours."""

import cv2
import numpy as np
from jaxtyping import UInt8

GREY = np.array([0.299, 0.587, 0.114])  # luma weights, ITU-R BT.601
# Principal components, in columns, of the RGB colours in natural photographs, and the standard deviation (of 1) along
# each. From the authors' code (there in BGR order), after AlexNet (section 4.1).
LIGHTING_DIRECTIONS = np.array(
    [
        [-0.56089297, 0.71832671, 0.41158938],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.58752847, -0.69563484, 0.41340352],
    ]
)
LIGHTING_SPREADS = np.array([0.2141788, 0.01817699, 0.00341571])


def augment_colour(
    picture: UInt8[np.ndarray, "h w 3"],
    strength: float,
    lighting: float,
    rng: np.random.Generator,
    out: UInt8[np.ndarray, "h w 3"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Changes brightness, contrast and saturation, in random order, then the light's colour, as one matrix on RGB.

    `strength` is the largest relative change of the first three, `lighting` the standard deviation of the last. What
    is changed is written into `out`, if given; with both 0 nothing is, and the picture itself comes back.
    """
    if strength == lighting == 0:
        return picture
    matrix, offset, mean = np.eye(3), np.zeros(3), np.array(cv2.mean(picture)[:3])
    for kind in rng.permutation(3):
        factor = rng.uniform(1 - strength, 1 + strength)
        if kind == 0:  # brightness: scales the distance from black
            step, constant = factor * np.eye(3), 0.0
        elif kind == 1:  # contrast: scales the distance from the picture's mean grey
            step, constant = factor * np.eye(3), (1 - factor) * (GREY @ (matrix @ mean + offset))
        else:  # saturation: scales the distance from each pixel's own grey
            step, constant = factor * np.eye(3) + (1 - factor) * GREY[None], 0.0
        matrix, offset = step @ matrix, step @ offset + constant
    offset = offset + 255 * LIGHTING_DIRECTIONS @ (LIGHTING_SPREADS * rng.normal(0, lighting, 3))
    return cv2.transform(picture, np.column_stack([matrix, offset]), out)
