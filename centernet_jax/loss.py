"""The three losses: where the objects are, where in its cell each centre lies, and how large each object is.

Paper: section 3, equations 1 (focal loss), 2 (offset), 3 (size) and 4 (their sum).
"""

from dataclasses import dataclass
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from centernet_data.contract.inputs import (
    NHWC,
    check_objects,
    check_points,
    check_probabilities,
    require_same_batch,
    require_same_shape,
)
from centernet_data.contract.options import require_choice, require_flag, require_positive, require_weight
from centernet_data.contract.recipe import Normalization
from centernet_data.contract.targets import (
    Targets,
    check_grid,
    check_one_source,
    check_target_form,
    check_target_options,
)
from centernet_jax.convert import Cells, ObjectsToPoints, draw_heatmap, host_values, objects_to_cells
from centernet_jax.network import scale_objects


def focal_loss(
    logits: Float[Array, "b h w c"], target: Float[Array, "b h w c"], alpha: int = 2, beta: int = 4
) -> Float[Array, "b"]:
    """Penalty-reduced focal loss, summed over each image. Equation 1.

    Cells where the target is exactly 1 are positives. Every other cell is a negative, with the weight (1 -
    target)^beta: the closer to a centre, the lower."""
    require_same_shape("logits", logits.shape, "target", target.shape)
    probability = jax.nn.sigmoid(logits)
    positive = (1 - probability) ** alpha * jax.nn.log_sigmoid(logits)
    negative = (1 - target) ** beta * probability**alpha * jax.nn.log_sigmoid(-logits)
    return -jnp.where(target == 1, positive, negative).sum((1, 2, 3))


def l1_loss(prediction: Float[Array, "b h w 2"], target: Float[Array, "b n 2"], cells: Cells) -> Float[Array, "b"]:
    """|prediction at each object's own cell - its target|, summed over each image. Equations 2 and 3."""
    require_same_shape("target", target.shape, "cells", (*cells.y.shape, 2))
    require_same_batch("predictions", len(prediction), len(target))
    batch = jnp.arange(prediction.shape[0])[:, None]
    difference = jnp.where(cells.valid[..., None], prediction[batch, cells.y, cells.x] - target, 0)
    # |d| as d * sign(d): its gradient at 0 is 0, as torch has it; that of jnp.abs is 1.
    return (difference * jax.lax.stop_gradient(jnp.sign(difference))).sum((1, 2))


def logit(probability: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of the sigmoid, of probabilities clamped to [1e-4, 1 - 1e-4] as in the authors' code; NaN outside
    [0, 1]. The clamp's gradient at both bounds is 1. In float32 at least, because in bfloat16 1 - 1e-4 is 1."""
    probability = probability.astype(jnp.promote_types(probability.dtype, jnp.float32))
    probability = jnp.where((probability >= 0) & (probability <= 1), probability, jnp.nan)
    probability = jnp.where(probability < 1e-4, 1e-4, probability)  # jnp.clip would halve the gradient at the bound
    probability = jnp.where(probability > 1 - 1e-4, 1 - 1e-4, probability)
    return jnp.log(probability) - jnp.log1p(-probability)


@dataclass(frozen=True)
class CenterNetLoss:
    """(points, objects in pixels) to [B, 3]: heatmap, offset and size loss of each image, already weighted.

    The class channels of the points are probabilities, as the head gives them, or logits with `from_logits`. `r_scale`:
    pixels per cell. Targets are drawn with the options of `obj_to_points`, or with `smooth_kernel_size` and `targets`;
    `hw` and `num_classes` follow from the points, and are checked against them where they are given. Normalization
    "batch": every image's sum is divided by the mean number of objects per image of the batch, so that the mean over B
    equals the authors' three losses (the L1 losses are means over both coordinates); "image": by that image's own
    number of objects + 1. Raises ValueError for points of another grid or number of classes than the options say."""

    l_size_lambda: float = 0.1
    l_offset_lambda: float = 1
    r_scale: float = 4
    obj_to_points: ObjectsToPoints | None = None
    normalization: Normalization = "batch"
    from_logits: bool = False
    hw: int | tuple[int, int] | None = None
    num_classes: int | None = None
    smooth_kernel_size: int = 3
    targets: Targets = "fixed"

    def __post_init__(self):
        require_weight("l_size_lambda", self.l_size_lambda)
        require_weight("l_offset_lambda", self.l_offset_lambda)
        require_positive("r_scale", self.r_scale)
        require_choice("normalization", self.normalization, get_args(Normalization))
        require_flag("from_logits", self.from_logits)
        check_target_options(self.targets, self.smooth_kernel_size)
        if self.obj_to_points is not None:
            check_one_source(self.obj_to_points, ObjectsToPoints, self)
        check_target_form(1 if self.hw is None else self.hw, 1 if self.num_classes is None else self.num_classes)

    def __call__(self, points: Float[Array, "b h w p"], objects: Float[Array, "b n 6"]) -> Float[Array, "b 3"]:
        self._check(points, objects)
        # The wider of the two precisions, and float32 at least, so that bfloat16 points keep float32 targets and sums.
        dtype = jnp.promote_types(jnp.promote_types(points.dtype, objects.dtype), jnp.float32)
        points, objects = points.astype(dtype), objects.astype(dtype)
        _, height, width, channels = points.shape
        hw, num_classes = (height, width), channels - 4
        options = self._options(hw, num_classes)
        cells = objects_to_cells(scale_objects(objects, 1 / self.r_scale), hw)
        target = draw_heatmap(cells, hw, num_classes, options.smooth_kernel_size, options.targets)
        scores, offsets, sizes = jnp.split(points, (num_classes, num_classes + 2), axis=-1)
        # Recomputed for the gradient, what lies between logits and loss need not be stored: all losses with their
        # gradient take 22 ms instead of 40 (8 x 64 x 64 cells, 80 classes, two cores).
        heatmap = jax.checkpoint(focal_loss)(scores if self.from_logits else logit(scores), target)
        offset = self.l_offset_lambda * l1_loss(offsets, cells.offset, cells)
        size = self.l_size_lambda * l1_loss(sizes, cells.size, cells)
        return self._normalize(jnp.stack([heatmap, offset, size], axis=1), target, cells)

    def _check(self, points: Float[Array, "b h w p"], objects: Float[Array, "b n 6"]) -> None:
        check_points(points, NHWC)
        check_objects(objects, host_values, points.shape[-1] - 4)
        require_same_batch("points", len(points), len(objects))
        if not self.from_logits:
            scores = points[..., :-4]
            check_probabilities(host_values(jnp.stack([scores.min(), scores.max()])))

    def _options(self, hw: tuple[int, int], num_classes: int) -> ObjectsToPoints:
        """The options of the targets, for points of that grid and number of classes."""
        given = self.obj_to_points or ObjectsToPoints(
            hw if self.hw is None else self.hw,
            num_classes if self.num_classes is None else self.num_classes,
            self.smooth_kernel_size,
            self.targets,
        )
        check_grid(given.grid, given.num_classes, hw, num_classes)
        return given

    def _normalize(
        self, sums: Float[Array, "b 3"], target: Float[Array, "b h w c"], cells: Cells
    ) -> Float[Array, "b 3"]:
        objects = cells.valid.sum(1).astype(sums.dtype)
        if self.normalization == "image":
            return sums / (objects[:, None] + 1)
        # Counted in the layout in which it was drawn, or XLA stores the target a second time: 16 ms instead of 22, as
        # above.
        positives = jnp.maximum((target.transpose(0, 3, 1, 2) == 1).sum(), 1).astype(sums.dtype)
        coordinates = 2 * objects.sum() + 1e-4  # the authors' code counts both coordinates, and never divides by 0
        return len(sums) * sums / jnp.stack([positives, coordinates, coordinates])
