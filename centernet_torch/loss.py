"""The three losses: where the objects are, where in its cell each centre lies, and how large each object is.

Paper: section 3, equations 1 (focal loss), 2 (offset), 3 (size) and 4 (their sum).
"""

from typing import get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from centernet_data.contract.inputs import (
    NCHW,
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
from centernet_torch.convert import Cells, ObjectsToPoints, draw_heatmap, host_values, objects_to_cells
from centernet_torch.network import scale_objects


def focal_loss(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], alpha: int = 2, beta: int = 4
) -> Float[Tensor, "b"]:
    """Penalty-reduced focal loss, summed over each image. Equation 1.

    Cells where the target is exactly 1 are positives. Every other cell is a negative, with the weight (1 -
    target)^beta: the closer to a centre, the lower."""
    require_same_shape("logits", logits.shape, "target", target.shape)
    probability = logits.sigmoid()
    positive = (1 - probability) ** alpha * F.logsigmoid(logits)
    negative = (1 - target) ** beta * probability**alpha * F.logsigmoid(-logits)
    return -torch.where(target == 1, positive, negative).sum((1, 2, 3))


def l1_loss(prediction: Float[Tensor, "b 2 h w"], target: Float[Tensor, "b n 2"], cells: Cells) -> Float[Tensor, "b"]:
    """|prediction at each object's own cell - its target|, summed over each image. Equations 2 and 3."""
    require_same_shape("target", target.shape, "cells", (*cells.y.shape, 2))
    require_same_batch("predictions", len(prediction), len(target))
    batch = torch.arange(len(prediction), device=prediction.device)[:, None]
    difference = torch.where(cells.valid[..., None], prediction[batch, :, cells.y, cells.x] - target, 0)
    return difference.abs().sum((1, 2))


def logit(probability: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The inverse of the sigmoid, of probabilities clamped to [1e-4, 1 - 1e-4] as in the authors' code; NaN outside
    [0, 1]. The clamp's gradient at both bounds is 1. In float32 at least, because in bfloat16 1 - 1e-4 is 1."""
    probability = probability.to(torch.promote_types(probability.dtype, torch.float32))
    probability = torch.where((probability >= 0) & (probability <= 1), probability, torch.nan)
    probability = probability.clamp(1e-4, 1 - 1e-4)
    return probability.log() - (-probability).log1p()


class CenterNetLoss(nn.Module):
    """(points, objects in pixels) to [B, 3]: heatmap, offset and size loss of each image, already weighted.

    The class channels of the points are probabilities, as the head gives them, or logits with `from_logits`. `r_scale`:
    pixels per cell. Targets are drawn with the options of `obj_to_points`, or with `smooth_kernel_size` and `targets`;
    `hw` and `num_classes` follow from the points, and are checked against them where they are given. Normalization
    "batch": every image's sum is divided by the mean number of objects per image of the batch, so that the mean over B
    equals the authors' three losses (the L1 losses are means over both coordinates); "image": by that image's own
    number of objects + 1. Raises ValueError for points of another grid or number of classes than the options say."""

    def __init__(
        self,
        l_size_lambda: float = 0.1,
        l_offset_lambda: float = 1,
        r_scale: float = 4,
        obj_to_points: ObjectsToPoints | None = None,
        normalization: Normalization = "batch",
        from_logits: bool = False,
        hw: int | tuple[int, int] | None = None,
        num_classes: int | None = None,
        smooth_kernel_size: int = 3,
        targets: Targets = "fixed",
    ):
        super().__init__()
        require_weight("l_size_lambda", l_size_lambda)
        require_weight("l_offset_lambda", l_offset_lambda)
        require_positive("r_scale", r_scale)
        require_choice("normalization", normalization, get_args(Normalization))
        require_flag("from_logits", from_logits)
        check_target_options(targets, smooth_kernel_size)
        self.l_size_lambda, self.l_offset_lambda = l_size_lambda, l_offset_lambda
        self.r_scale, self.obj_to_points = r_scale, obj_to_points
        self.normalization, self.from_logits = normalization, from_logits
        self.hw, self.num_classes = hw, num_classes
        self.smooth_kernel_size = smooth_kernel_size
        self.targets: Targets = targets
        if obj_to_points is not None:
            check_one_source(obj_to_points, ObjectsToPoints, self)
        check_target_form(1 if hw is None else hw, 1 if num_classes is None else num_classes)

    def forward(self, points: Float[Tensor, "b p h w"], objects: Float[Tensor, "b n 6"]) -> Float[Tensor, "b 3"]:
        self._check(points, objects)
        # The wider of the two precisions, and float32 at least, so that bfloat16 points keep float32 targets and sums.
        dtype = torch.promote_types(torch.promote_types(points.dtype, objects.dtype), torch.float32)
        points, objects = points.to(dtype), objects.to(dtype)
        _, channels, height, width = points.shape
        hw, num_classes = (height, width), channels - 4
        options = self._options(hw, num_classes)
        cells = objects_to_cells(scale_objects(objects, 1 / self.r_scale), hw)
        target = draw_heatmap(cells, hw, num_classes, options.smooth_kernel_size, options.targets)
        scores, offsets, sizes = points.split((num_classes, 2, 2), dim=1)
        heatmap = focal_loss(scores if self.from_logits else logit(scores), target)
        offset = self.l_offset_lambda * l1_loss(offsets, cells.offset, cells)
        size = self.l_size_lambda * l1_loss(sizes, cells.size, cells)
        return self._normalize(torch.stack([heatmap, offset, size], dim=1), target, cells)

    def _check(self, points: Float[Tensor, "b p h w"], objects: Float[Tensor, "b n 6"]) -> None:
        check_points(points, NCHW)
        check_objects(objects, host_values, points.shape[1] - 4)
        require_same_batch("points", len(points), len(objects))
        if not self.from_logits:
            check_probabilities(host_values(torch.stack(points[:, :-4].detach().aminmax())))

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
        self, sums: Float[Tensor, "b 3"], target: Float[Tensor, "b c h w"], cells: Cells
    ) -> Float[Tensor, "b 3"]:
        objects = cells.valid.sum(1).to(sums.dtype)
        if self.normalization == "image":
            return sums / (objects[:, None] + 1)
        positives = (target == 1).sum().clamp(min=1).to(sums.dtype)
        coordinates = 2 * objects.sum() + 1e-4  # the authors' code counts both coordinates, and never divides by 0
        return len(sums) * sums / torch.stack([positives, coordinates, coordinates])
