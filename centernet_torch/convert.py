"""Objects to points (the targets of training) and points to objects (decoding).

Here, and only here, objects are measured in cells of the output grid: rows of (y_centre, x_centre, height, width,
class, confidence), pixels divided by 4. Real rows have confidence 1, padding rows are all zero.
Paper: section 3 (targets) and section 4, "From points to bounding boxes" (decoding).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from centernet_data.contract.inputs import NCHW, check_objects, check_points
from centernet_data.contract.options import require_confidence, require_count
from centernet_data.contract.targets import Targets, check_target_form, check_target_options, grid_of


class Cells(NamedTuple):
    """The cell of each object on the grid, and what the network should predict there. `valid` is False for padding."""

    y: Int[Tensor, "b n"]
    x: Int[Tensor, "b n"]
    label: Int[Tensor, "b n"]
    offset: Float[Tensor, "b n 2"]
    size: Float[Tensor, "b n 2"]
    valid: Bool[Tensor, "b n"]


def host_values(array: Float[Tensor, "..."] | Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."] | None:
    """The values as a numpy array; None where nobody can look at them without waiting (on a GPU) or at all (while torch
    traces a function)."""
    if isinstance(array, np.ndarray):
        return array
    if torch.compiler.is_compiling() or array.device.type != "cpu":
        return None
    try:
        return array.detach().double().numpy()
    except RuntimeError:  # a tensor that stands for others, as within torch.func
        return None


def objects_to_cells(objects: Float[Tensor, "b n 6"], hw: tuple[int, int]) -> Cells:
    """Clips objects to a grid of `hw` cells; objects with nothing left inside are no longer valid. The label of a class
    that is no whole number is -1."""
    frame = objects.new_tensor(hw)
    centre, size = objects[..., :2], objects[..., 2:4]
    low, high = (centre - size / 2).clamp(min=0), (centre + size / 2).minimum(frame)
    # A box inside the frame stays as it was, bit for bit: rebuilt from its corners, its size could round up to one cell
    # more.
    clipped = (centre < size / 2) | (centre + size / 2 > frame)
    size = torch.where(clipped, high - low, size)
    centre = torch.where(clipped, (low + high) / 2, centre)
    cell = centre.floor().clamp(min=torch.zeros_like(frame), max=frame - 1)
    valid = (objects[..., 5] > 0) & ~(size <= 0).any(-1)  # one that is not a number stays, and makes the loss NaN
    size = torch.where(valid[..., None], size, 0)
    y, x = torch.where(valid[..., None], cell, 0).nan_to_num().long().unbind(-1)
    label = torch.where(objects[..., 4] == objects[..., 4].floor(), objects[..., 4], -1)
    return Cells(y, x, label.long(), centre - cell, size, valid)


def gaussian_radius(
    size: Float[Tensor, "... 2"], exact: bool = False, min_overlap: float = 0.7
) -> Float[Tensor, "..."]:
    """How far (in cells) a box of (height, width) may be shifted and still overlap itself by `min_overlap`.

    CornerNet (arXiv:1808.01244), section 3.2: the least of three cases (both corners outside, both inside, one of
    each), each the root of a quadratic. `exact` takes the right root of each; otherwise all three are
    (b + sqrt(b² - 4ac)) / 2, as in the authors' code, on which the published models were trained.
    """
    height, width = size[..., 0], size[..., 1]
    area, half_perimeter = height * width, height + width

    def root(a, b, c, sign):
        discriminant = (b**2 - 4 * a * c).sqrt()
        return (b + sign * discriminant) / (2 * a) if exact else (b + discriminant) / 2

    shifted = root(1, half_perimeter, area * (1 - min_overlap) / (1 + min_overlap), -1)
    shrunk = root(4, 2 * half_perimeter, area * (1 - min_overlap), -1)
    grown = root(4 * min_overlap, -2 * min_overlap * half_perimeter, area * (min_overlap - 1), +1)
    return torch.minimum(torch.minimum(shifted, shrunk), grown)


def draw_heatmap(
    cells: Cells,
    hw: tuple[int, int],
    num_classes: int,
    smooth_kernel_size: int = 3,
    targets: Targets = "fixed",
) -> Float[Tensor, "b c h w"]:
    """A Gaussian around each object's cell in its class's map: exactly 1 at the cell, merged by maximum. Equation 1.

    `adaptive` and `exact`: sigma (2r + 1) / 6, cut off beyond the radius r of `gaussian_radius` of the size rounded
    up. `fixed`: a kernel of `smooth_kernel_size` cells with sigma (k // 2 + 1) / 3; 0 draws the centre cell alone.
    An object of a class that there is not makes a map NaN: traced, nobody can be told that it is left out.
    """
    if targets == "fixed":
        radius = torch.full_like(cells.size[..., 0], smooth_kernel_size // 2)
        sigma = torch.full_like(radius, (smooth_kernel_size // 2 + 1) / 3)
    else:
        radius = gaussian_radius(cells.size.ceil(), targets == "exact").floor().clamp(min=0)
        sigma = (2 * radius + 1) / 6

    def along(length, centre):  # a Gaussian is a product of one along y and one along x
        distance = torch.arange(length, dtype=sigma.dtype, device=sigma.device) - centre[..., None]
        inside = (distance.abs() <= radius[..., None]) & cells.valid[..., None]
        return torch.where(inside, (-(distance**2) / (2 * sigma[..., None] ** 2)).exp(), 0)

    label = cells.label.clamp(0, num_classes - 1)
    rows = torch.where((cells.valid & (label != cells.label))[..., None], torch.nan, along(hw[0], cells.y))
    gaussians = rows[..., :, None] * along(hw[1], cells.x)[..., None, :]
    heatmap = gaussians.new_zeros(len(gaussians), num_classes, *hw)
    return heatmap.scatter_reduce_(1, label[..., None, None].expand_as(gaussians), gaussians, "amax")


def objects_to_points(
    objects: Float[Tensor, "b n 6"],
    hw: tuple[int, int],
    num_classes: int,
    smooth_kernel_size: int = 3,
    targets: Targets = "fixed",
) -> Float[Tensor, "b p h w"]:
    """Objects in cells to the dense map that a perfect network would predict.

    Class channels in [0, 1]; (dy, dx) in [0, 1) and (height, width) in cells, at the objects' own cells and 0
    elsewhere. Where objects share a cell, the first listed is kept.
    """
    cells = objects_to_cells(objects, hw)
    heatmap = draw_heatmap(cells, hw, num_classes, smooth_kernel_size, targets)
    images, count = torch.arange(len(objects), device=objects.device)[:, None], objects.shape[1]
    listed = torch.where(cells.valid, torch.arange(count, device=objects.device), count)
    first = torch.full((len(objects), hw[0] * hw[1]), count, device=objects.device)
    first = first.scatter_reduce_(1, cells.y * hw[1] + cells.x, listed, "amin").view(-1, *hw)
    values = torch.cat([cells.offset, cells.size], dim=-1)
    values = nn.functional.pad(values, (0, 0, 0, 1))  # row `count`: cells without an object
    dense = values[images[..., None], first].permute(0, 3, 1, 2)
    return torch.cat([heatmap, dense], dim=1)


class ObjectsToPoints(nn.Module):
    """`objects_to_points` with its options as fields. `hw` is the grid: one number for a square, or (H/4, W/4)."""

    def __init__(
        self,
        hw: int | tuple[int, int] = 64,
        num_classes: int = 2,
        smooth_kernel_size: int = 3,
        targets: Targets = "fixed",
    ):
        super().__init__()
        check_target_options(targets, smooth_kernel_size)
        check_target_form(hw, num_classes)
        self.hw, self.num_classes = hw, num_classes
        self.smooth_kernel_size = smooth_kernel_size
        self.targets: Targets = targets

    @property
    def grid(self) -> tuple[int, int]:
        """`hw` as (height, width) in cells."""
        return grid_of(self.hw)

    def forward(self, objects: Float[Tensor, "b n 6"]) -> Float[Tensor, "b p h w"]:
        check_objects(objects, host_values, self.num_classes)
        return objects_to_points(objects, self.grid, self.num_classes, self.smooth_kernel_size, self.targets)


def top_k(scores: Float[Tensor, "b m"], k: int) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """The k highest scores, highest first, and their indices; among equal scores the lower index comes first.

    torch.topk promises no order among equals, and a stable sort of everything is slow. So topk finds the k-th score,
    and the first of the scores equal to it are kept. NaN counts as the highest, as in JAX."""
    ranked = torch.where(scores.isnan(), torch.inf, scores)  # NaN equals nothing: too few would be kept
    lowest = ranked.topk(k).values[:, -1:]
    above, equal = ranked > lowest, ranked == lowest
    keep = above | (equal & (equal.cumsum(1) <= k - above.sum(1, keepdim=True)))
    index = keep.nonzero()[:, 1].view(len(scores), k)
    confidence, order = scores.gather(1, index).sort(descending=True, stable=True)
    return confidence, index.gather(1, order)


def _best_cells(
    scores: Float[Tensor, "b c h w"], k: int
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"], Int[Tensor, "b k"], Int[Tensor, "b k"]]:
    """The k highest scores, highest first, with their class, y and x. Ties go by lower class, then y, then x."""
    height, width = scores.shape[2:]
    confidence, index = top_k(scores.flatten(1), k)
    label, cell = index // (height * width), index % (height * width)
    return confidence, label, cell // width, cell % width


def points_to_objects(
    points: Float[Tensor, "b p h w"], objects_per_image: int = 42, min_confidence: float = 0.1
) -> Float[Tensor, "b n 6"]:
    """The best cells over all classes as objects in cells, best first; rows under `min_confidence` are zero.

    Ties go by lower class, then y, then x. Apply `points_non_max_suppression` first.
    """
    check_points(points, NCHW)
    batch, channels, height, width = points.shape
    count = min(objects_per_image, height * width * (channels - 4))
    confidence, label, y, x = _best_cells(points[:, :-4], count)
    regression = points[torch.arange(batch, device=points.device)[:, None], -4:, y, x]
    centre = torch.stack([y, x], dim=-1) + regression[..., :2]
    last = torch.stack([label.to(points.dtype), confidence], dim=-1)
    objects = torch.cat([centre, regression[..., 2:], last], dim=-1)
    objects = torch.where(confidence[..., None] >= min_confidence, objects, 0)
    return nn.functional.pad(objects, (0, 0, 0, objects_per_image - count))


class PointsToObjects(nn.Module):
    """`points_to_objects` with its options as fields."""

    def __init__(self, objects_per_image: int = 42, min_confidence: float = 0.1):
        super().__init__()
        require_count("objects_per_image", objects_per_image)
        require_confidence(min_confidence)
        self.objects_per_image, self.min_confidence = objects_per_image, min_confidence

    def forward(self, points: Float[Tensor, "b p h w"]) -> Float[Tensor, "b n 6"]:
        return points_to_objects(points, self.objects_per_image, self.min_confidence)
