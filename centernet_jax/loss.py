"""The three losses: where the objects are, where in its cell each centre lies, and how large each object is.

Paper: section 3, equations 1 (focal loss), 2 (offset), 3 (size) and 4 (their sum).
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from centernet_jax.convert import Cells, ObjectsToPoints, TargetMode, draw_heatmap, objects_to_cells
from centernet_jax.network import scale_objects


def focal_loss(
    logits: Float[Array, "b h w c"], target: Float[Array, "b h w c"], alpha: int = 2, beta: int = 4
) -> Float[Array, "b"]:
    """Penalty-reduced focal loss, summed over each image. Equation 1.

    Cells where the target is exactly 1 are positives. Every other cell is a negative, the less so the closer it is
    to a centre: its weight is (1 - target)^beta.
    """
    probability = jax.nn.sigmoid(logits)
    positive = (1 - probability) ** alpha * jax.nn.log_sigmoid(logits)
    negative = (1 - target) ** beta * probability**alpha * jax.nn.log_sigmoid(-logits)
    return -jnp.where(target == 1, positive, negative).sum((1, 2, 3))


def l1_loss(prediction: Float[Array, "b h w 2"], target: Float[Array, "b n 2"], cells: Cells) -> Float[Array, "b"]:
    """|prediction at each real object's own cell - its target|, summed over each image. Equations 2 and 3."""
    batch = jnp.arange(prediction.shape[0])[:, None]
    difference = jnp.where(cells.valid[..., None], prediction[batch, cells.y, cells.x] - target, 0)
    # |d| as d * sign(d): its gradient at 0 is 0, as torch has it; that of jnp.abs is 1.
    return (difference * jax.lax.stop_gradient(jnp.sign(difference))).sum((1, 2))


def logit(probability: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of the sigmoid, with probabilities held within [1e-4, 1 - 1e-4] as in the authors' code."""
    probability = jnp.clip(probability, 1e-4, 1 - 1e-4)
    return jnp.log(probability) - jnp.log1p(-probability)


@dataclass(frozen=True)
class CenterNetLoss:
    """(points, objects in pixels) to [B, 3]: heatmap, offset and size loss of each image, already weighted.

    normalization "batch": every image's sum is divided by the mean count of objects per image of the batch, so that
    the mean over B equals the authors' three losses (the L1 losses are means over both coordinates). "image": by
    that image's own objects + 1. `from_logits`: the class channels of the points are logits; else probabilities.
    `obj_to_points` gives the targets' options; without it they follow from the points' own shape and from
    `smooth_kernel_size` and `mode`. `r_scale`: pixels per cell.
    """

    l_size_lambda: float = 0.1
    l_offset_lambda: float = 1
    r_scale: float = 4
    obj_to_points: ObjectsToPoints | None = None
    normalization: Literal["batch", "image"] = "batch"
    from_logits: bool = False
    smooth_kernel_size: int = 3
    mode: TargetMode = "fixed"

    def __post_init__(self):
        if self.normalization not in ("batch", "image"):
            raise ValueError(f"normalization must be batch or image, not {self.normalization!r}")

    def __call__(self, points: Float[Array, "b h w p"], objects: Float[Array, "b n 6"]) -> Float[Array, "b 3"]:
        # In the wider of the two precisions, so that bfloat16 points keep float32 targets and sums.
        dtype = jnp.promote_types(points.dtype, objects.dtype)
        points, objects = points.astype(dtype), objects.astype(dtype)
        hw, num_classes = points.shape[1:3], points.shape[3] - 4
        options = self.obj_to_points or ObjectsToPoints(hw, num_classes, self.smooth_kernel_size, self.mode)
        cells = objects_to_cells(scale_objects(objects, 1 / self.r_scale), hw)
        target = draw_heatmap(cells, hw, num_classes, options.smooth_kernel_size, options.mode)
        scores, offsets, sizes = jnp.split(points, (num_classes, num_classes + 2), axis=-1)
        # Computed anew for the gradient, what lies between logits and loss need not be kept: all losses with their
        # gradient take 22 ms instead of 40 (8 x 64 x 64 cells, 80 classes, two cores).
        heatmap = jax.checkpoint(focal_loss)(scores if self.from_logits else logit(scores), target)
        offset = self.l_offset_lambda * l1_loss(offsets, cells.offset, cells)
        size = self.l_size_lambda * l1_loss(sizes, cells.size, cells)
        return self._normalize(jnp.stack([heatmap, offset, size], axis=1), target, cells)

    def _normalize(
        self, sums: Float[Array, "b 3"], target: Float[Array, "b h w c"], cells: Cells
    ) -> Float[Array, "b 3"]:
        objects = cells.valid.sum(1).astype(sums.dtype)
        if self.normalization == "image":
            return sums / (objects[:, None] + 1)
        # Counted in the order in which it was drawn, or XLA writes the target down anew: 16 ms instead of 22, as above.
        positives = jnp.maximum((target.transpose(0, 3, 1, 2) == 1).sum(), 1).astype(sums.dtype)
        coordinates = 2 * objects.sum() + 1e-4  # the authors' code counts both coordinates, and never divides by 0
        return len(sums) * sums / jnp.stack([positives, coordinates, coordinates])
