"""Objects to points (the targets of training) and points to objects (decoding).

Here, and only here, objects are measured in cells of the output grid: rows of (y_centre, x_centre, height, width,
class, confidence), pixels divided by 4. Real rows have confidence 1, padding rows are all zero.
Paper: section 3 (targets) and section 4, "From points to bounding boxes" (decoding).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from centernet_data.contract.inputs import NHWC, check_objects, check_points
from centernet_data.contract.options import require_confidence, require_count
from centernet_data.contract.targets import Targets, check_target_form, check_target_options, grid_of


class Cells(NamedTuple):
    """The cell of each object on the grid, and what the network should predict there. `valid` is False for padding."""

    y: Int[Array, "b n"]
    x: Int[Array, "b n"]
    label: Int[Array, "b n"]
    offset: Float[Array, "b n 2"]
    size: Float[Array, "b n 2"]
    valid: Bool[Array, "b n"]


def host_values(array: Float[Array, "..."] | Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."] | None:
    """The values as a numpy array; None where nobody can look at them: while JAX traces a function, and where parts lie
    on other processes' devices."""
    if isinstance(array, Tracer) or (isinstance(array, jax.Array) and not array.is_fully_addressable):
        return None
    return np.asarray(array)


def objects_to_cells(objects: Float[Array, "b n 6"], hw: tuple[int, int]) -> Cells:
    """Clips objects to a grid of `hw` cells; objects with nothing left inside are no longer valid. The label of a class
    that is no whole number is -1."""
    frame = jnp.array(hw, objects.dtype)
    centre, size = objects[..., :2], objects[..., 2:4]
    low, high = jnp.maximum(centre - size / 2, 0), jnp.minimum(centre + size / 2, frame)
    # A box inside the frame stays as it was, bit for bit: rebuilt from its corners, its size could round up to one cell
    # more.
    clipped = (centre < size / 2) | (centre + size / 2 > frame)
    size = jnp.where(clipped, high - low, size)
    centre = jnp.where(clipped, (low + high) / 2, centre)
    cell = jnp.clip(jnp.floor(centre), 0, frame - 1)
    valid = (objects[..., 5] > 0) & ~(size <= 0).any(-1)  # one that is not a number stays, and makes the loss NaN
    size = jnp.where(valid[..., None], size, 0)
    y, x = jnp.nan_to_num(jnp.where(valid[..., None], cell, 0)).astype(int).transpose(2, 0, 1)
    label = jnp.where(objects[..., 4] == jnp.floor(objects[..., 4]), objects[..., 4], -1)
    return Cells(y, x, label.astype(int), centre - cell, size, valid)


def gaussian_radius(size: Float[Array, "... 2"], exact: bool = False, min_overlap: float = 0.7) -> Float[Array, "..."]:
    """How far (in cells) a box of (height, width) may be shifted and still overlap itself by `min_overlap`.

    CornerNet (arXiv:1808.01244), section 3.2: the least of three cases (both corners outside, both inside, one of
    each), each the root of a quadratic. `exact` takes the right root of each; otherwise all three are
    (b + sqrt(b² - 4ac)) / 2, as in the authors' code, on which the published models were trained.
    """
    height, width = size[..., 0], size[..., 1]
    area, half_perimeter = height * width, height + width

    def root(a, b, c, sign):
        discriminant = jnp.sqrt(b**2 - 4 * a * c)
        return (b + sign * discriminant) / (2 * a) if exact else (b + discriminant) / 2

    shifted = root(1, half_perimeter, area * (1 - min_overlap) / (1 + min_overlap), -1)
    shrunk = root(4, 2 * half_perimeter, area * (1 - min_overlap), -1)
    grown = root(4 * min_overlap, -2 * min_overlap * half_perimeter, area * (min_overlap - 1), +1)
    return jnp.minimum(jnp.minimum(shifted, shrunk), grown)


def draw_heatmap(
    cells: Cells,
    hw: tuple[int, int],
    num_classes: int,
    smooth_kernel_size: int = 3,
    targets: Targets = "fixed",
) -> Float[Array, "b h w c"]:
    """A Gaussian around each object's cell in its class's map: exactly 1 at the cell, merged by maximum. Equation 1.

    `adaptive` and `exact`: sigma (2r + 1) / 6, cut off beyond the radius r of `gaussian_radius` of the size rounded
    up. `fixed`: a kernel of `smooth_kernel_size` cells with sigma (k // 2 + 1) / 3; 0 draws the centre cell alone.
    An object of a class that there is not makes a map NaN: traced, nobody can be told that it is left out.
    """
    if targets == "fixed":
        radius = jnp.full(cells.y.shape, smooth_kernel_size // 2, cells.size.dtype)
        sigma = jnp.full_like(radius, (smooth_kernel_size // 2 + 1) / 3)
    else:
        radius = jnp.maximum(jnp.floor(gaussian_radius(jnp.ceil(cells.size), targets == "exact")), 0)
        sigma = (2 * radius + 1) / 6

    def along(length, centre):  # a Gaussian is a product of one along y and one along x
        distance = jnp.arange(length, dtype=sigma.dtype) - centre[..., None]
        inside = (jnp.abs(distance) <= radius[..., None]) & cells.valid[..., None]
        return jnp.where(inside, jnp.exp(-(distance**2) / (2 * sigma[..., None] ** 2)), 0)

    label = jnp.clip(cells.label, 0, num_classes - 1)
    rows = jnp.where((cells.valid & (label != cells.label))[..., None], jnp.nan, along(hw[0], cells.y))
    gaussians = rows[..., :, None] * along(hw[1], cells.x)[..., None, :]
    batch = len(gaussians)
    heatmap = jnp.zeros((batch, num_classes, *hw), gaussians.dtype)
    heatmap = heatmap.at[jnp.arange(batch)[:, None], label].max(gaussians)
    return heatmap.transpose(0, 2, 3, 1)


def objects_to_points(
    objects: Float[Array, "b n 6"],
    hw: tuple[int, int],
    num_classes: int,
    smooth_kernel_size: int = 3,
    targets: Targets = "fixed",
) -> Float[Array, "b h w p"]:
    """Objects in cells to the dense map that a perfect network would predict.

    Class channels in [0, 1]; (dy, dx) in [0, 1) and (height, width) in cells, at the objects' own cells and 0
    elsewhere. Where objects share a cell, the first listed is kept.
    """
    cells = objects_to_cells(objects, hw)
    heatmap = draw_heatmap(cells, hw, num_classes, smooth_kernel_size, targets)
    images, count = jnp.arange(len(objects))[:, None], objects.shape[1]
    listed = jnp.where(cells.valid, jnp.arange(count), count)
    first = jnp.full((len(objects), *hw), count).at[images, cells.y, cells.x].min(listed)
    values = jnp.concatenate([cells.offset, cells.size], axis=-1)
    values = jnp.pad(values, ((0, 0), (0, 1), (0, 0)))  # row `count`: cells without an object
    dense = values[images[..., None], first]
    return jnp.concatenate([heatmap, dense], axis=-1)


@dataclass(frozen=True)
class ObjectsToPoints:
    """`objects_to_points` with its options as fields. `hw` is the grid: one number for a square, or (H/4, W/4)."""

    hw: int | tuple[int, int] = 64
    num_classes: int = 2
    smooth_kernel_size: int = 3
    targets: Targets = "fixed"

    def __post_init__(self):
        check_target_options(self.targets, self.smooth_kernel_size)
        check_target_form(self.hw, self.num_classes)

    @property
    def grid(self) -> tuple[int, int]:
        """`hw` as (height, width) in cells."""
        return grid_of(self.hw)

    def __call__(self, objects: Float[Array, "b n 6"]) -> Float[Array, "b h w p"]:
        check_objects(objects, host_values, self.num_classes)
        return objects_to_points(objects, self.grid, self.num_classes, self.smooth_kernel_size, self.targets)


def top_k(scores: Float[Array, "b m"], k: int) -> tuple[Float[Array, "b k"], Int[Array, "b k"]]:
    """The k highest scores, highest first, and their indices; among equal scores the lower index comes first."""
    values, index = lax.top_k(scores, k)
    return values, index


def _best_cells(
    scores: Float[Array, "b h w c"], k: int
) -> tuple[Float[Array, "b k"], Int[Array, "b k"], Int[Array, "b k"], Int[Array, "b k"]]:
    """The k highest scores, highest first, with their class, y and x. Ties go by lower class, then y, then x.

    They lie in the k rows of cells (of one class and one y) with the highest maxima, because k scores precede any score
    of another row. Only those rows are searched: 0.8 ms instead of 7.1 for 8 x 64² x 80 on one CPU core.
    """
    images, height, width = jnp.arange(len(scores))[:, None], *scores.shape[1:3]
    rows = scores.max(2).swapaxes(1, 2).reshape(len(scores), -1)
    _, row = top_k(rows, min(k, rows.shape[1]))
    label, y = jnp.divmod(jnp.sort(row, axis=1), height)
    confidence, index = top_k(scores[images, y, :, label].reshape(len(scores), -1), k)
    place, x = jnp.divmod(index, width)
    return confidence, label[images, place], y[images, place], x


def points_to_objects(
    points: Float[Array, "b h w p"], objects_per_image: int = 42, min_confidence: float = 0.1
) -> Float[Array, "b n 6"]:
    """The best cells over all classes as objects in cells, best first; rows under `min_confidence` are zero.

    Ties go by lower class, then y, then x. Apply `points_non_max_suppression` first.
    """
    check_points(points, NHWC)
    batch, height, width, channels = points.shape
    count = min(objects_per_image, height * width * (channels - 4))
    confidence, label, y, x = _best_cells(points[..., :-4], count)
    regression = points[jnp.arange(batch)[:, None], y, x, -4:]
    centre = jnp.stack([y, x], axis=-1) + regression[..., :2]
    last = jnp.stack([label.astype(points.dtype), confidence], axis=-1)
    objects = jnp.concatenate([centre, regression[..., 2:], last], axis=-1)
    objects = jnp.where(confidence[..., None] >= min_confidence, objects, 0)
    return jnp.pad(objects, ((0, 0), (0, objects_per_image - count), (0, 0)))


@dataclass(frozen=True)
class PointsToObjects:
    """`points_to_objects` with its options as fields."""

    objects_per_image: int = 42
    min_confidence: float = 0.1

    def __post_init__(self):
        require_count("objects_per_image", self.objects_per_image)
        require_confidence(self.min_confidence)

    def __call__(self, points: Float[Array, "b h w p"]) -> Float[Array, "b n 6"]:
        return points_to_objects(points, self.objects_per_image, self.min_confidence)
