"""Four pictures around one point, as in YOLOv4 (arXiv:2004.10934, section 3.3) and Ultralytics' code.

The point lies anywhere in the input. Each picture is fitted into a frame of the input's size, as it would be alone, and
touches the point with one corner; what of it is then outside the input is cut off. The random changes of a view come
after that, and apply to the four together. Coordinates are those of `imaging.geometry`.
"""

from typing import NamedTuple

import numpy as np

from centernet_data.contract.model_config import Resize
from centernet_data.imaging.geometry import Matrix, compose, fit

QUADRANTS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (down, right) of the point


class Region(NamedTuple):
    """A rectangle of whole pixels of a view, from `top` and `left` to before `bottom` and `right`."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def hw(self) -> tuple[int, int]:
        """Its height and width, 0 if it is empty."""
        return max(self.bottom - self.top, 0), max(self.right - self.left, 0)

    def from_its_corner(self, matrix: Matrix) -> Matrix:
        """A matrix to the view as one to this region alone."""
        return compose(np.array([[1.0, 0, -self.left], [0, 1, -self.top]]), matrix)


def random_point(hw: tuple[int, int], rng: np.random.Generator) -> tuple[float, float]:
    """The (y, x) at which four pictures meet, anywhere in an input of `hw` pixels."""
    y, x = rng.uniform(0, hw)
    return float(y), float(x)


def whole_pixels(change: Matrix, point: tuple[float, float]) -> tuple[Matrix, tuple[int, int]]:
    """The view's random matrix, shifted by less than a pixel so that the point comes to lie between pixels; with the
    (y, x) at which it then lies in the view."""
    x, y = change @ [point[1], point[0], 1]
    shift = np.array([[1, 0, round(x) - x], [0, 1, round(y) - y]])
    return compose(shift, change), (round(y), round(x))


def place(
    picture_hw: tuple[int, int],
    input_hw: tuple[int, int],
    resize: Resize,
    point: tuple[float, float],
    quadrant: tuple[int, int],
) -> Matrix:
    """The matrix that fits a picture, and puts it into this quadrant, with its corner at the point."""
    (y, x), (down, right) = point, quadrant
    fitted = fit(picture_hw, input_hw, resize)
    scale_x, scale_y = fitted[0, 0], fitted[1, 1]
    left = x if right else x - scale_x * picture_hw[1]
    top = y if down else y - scale_y * picture_hw[0]
    return np.array([[scale_x, 0, left], [0, scale_y, top]])


def region(change: Matrix, seen_at: tuple[int, int], hw: tuple[int, int], quadrant: tuple[int, int]) -> Region:
    """The part of a view of `hw` pixels that is of this quadrant; `seen_at` is where the point lies in the view."""
    down, right = quadrant[0] == (change[1, 1] > 0), quadrant[1] == (change[0, 0] > 0)  # a mirrored view swaps sides
    y, x = np.clip(seen_at, 0, hw).tolist()
    return Region(y if down else 0, x if right else 0, hw[0] if down else y, hw[1] if right else x)
