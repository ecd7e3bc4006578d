"""The whole detector: normalised images to points, and points to objects. Paper: section 4."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from centernet_data.contract.inputs import (
    FLOATING,
    IMAGES,
    NCHW,
    OBJECTS,
    UINT8,
    check_network_images,
    check_points,
    require_array,
)
from centernet_data.contract.options import require_odd, require_own_pretrained, require_positive
from centernet_torch.backbone import ResnetBackbone
from centernet_torch.convert import PointsToObjects
from centernet_torch.head import CenterNetHead

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of values in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize_images(images: UInt8[Tensor, "b h w 3"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "b 3 h w"]:
    """uint8 RGB to zero mean and unit variance by ImageNet's statistics, which a pretrained trunk expects; NHWC to
    NCHW."""
    require_array("images", images, UINT8, IMAGES)
    wide = torch.promote_types(dtype, torch.float32)
    mean, std = (torch.tensor(c, dtype=wide, device=images.device) for c in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images.to(wide) / 255 - mean) / std).to(dtype).permute(0, 3, 1, 2)


def average_flipped(points: Float[Tensor, "b p h w"], flipped: Float[Tensor, "b p h w"]) -> Float[Tensor, "b p h w"]:
    """The points of images, with class probabilities and sizes averaged with those of `flipped`, the points of the same
    images mirrored from left to right. Offsets stay: in the mirror image they are measured from the other side.

    As in the authors' code (`--flip_test`) and section 5 of the paper.
    """
    mean = (points + flipped.flip(-1)) / 2
    return torch.cat([mean[:, :-4], points[:, -4:-2], mean[:, -2:]], dim=1)


def points_non_max_suppression(points: Float[Tensor, "b p h w"], kernel_size: int = 3) -> Float[Tensor, "b p h w"]:
    """Sets the class channels to 0 wherever a cell is not the maximum of its k x k neighbourhood in its class."""
    require_odd("kernel_size", kernel_size)
    check_points(points, NCHW)
    scores = points[:, :-4]
    highest = F.max_pool2d(scores, kernel_size, stride=1, padding=kernel_size // 2)
    return torch.cat([torch.where(scores == highest, scores, 0), points[:, -4:]], dim=1)


class PointsNonMaxSuppression(nn.Module):
    """`points_non_max_suppression` with its option as a field."""

    def __init__(self, kernel_size: int = 3):
        super().__init__()
        require_odd("kernel_size", kernel_size)
        self.kernel_size = kernel_size

    def forward(self, points: Float[Tensor, "b p h w"]) -> Float[Tensor, "b p h w"]:
        return points_non_max_suppression(points, self.kernel_size)


def scale_objects(objects: Float[Tensor, "b n 6"], scale: float = 4) -> Float[Tensor, "b n 6"]:
    """Multiplies centre and size by `scale`: cells to pixels for 4."""
    return objects * objects.new_tensor([scale] * 4 + [1, 1])


class ScaleObjects(nn.Module):
    """`scale_objects` with its option as a field."""

    def __init__(self, scale: float = 4):
        super().__init__()
        require_positive("scale", scale)
        self.scale = scale

    def forward(self, objects: Float[Tensor, "b n 6"]) -> Float[Tensor, "b n 6"]:
        require_array("objects", objects, FLOATING, OBJECTS)
        return scale_objects(objects, self.scale)


class CenterNet(nn.Module):
    """Normalised images [B, 3, H, W] to points [B, C+4, H/4, W/4], or with `return_objects` to objects in pixels.

    `backbone_kwargs`, `head_kwargs`, `nms_kwargs` and `points_to_objects_kwargs` are the arguments of `ResnetBackbone`,
    `CenterNetHead`, `PointsNonMaxSuppression` and `PointsToObjects`. `pretrained` names a torchvision-format ResNet
    file from which the trunk is read."""

    def __init__(
        self,
        pretrained: str | Path | None = None,
        head_kwargs: Mapping = {},
        nms_kwargs: Mapping = {},
        points_to_objects_kwargs: Mapping = {},
        backbone_kwargs: Mapping = {},
    ):
        super().__init__()
        require_own_pretrained(backbone_kwargs)
        self.backbone = ResnetBackbone(pretrained, **backbone_kwargs)
        self.head = CenterNetHead(**{"k_in_channels": self.backbone.out_channels, **head_kwargs})
        self.nms = PointsNonMaxSuppression(**nms_kwargs)
        self.points_to_objects = PointsToObjects(**points_to_objects_kwargs)
        self.scale_objects = ScaleObjects()

    @property
    def num_classes(self) -> int:
        """The number of class channels of the points."""
        return self.head.c_classes

    def forward(
        self, images: Float[Tensor, "b 3 h w"], return_objects: bool = False, return_logits: bool = False
    ) -> Float[Tensor, "b p h4 w4"] | Float[Tensor, "b n 6"]:
        """Class channels are probabilities, or with `return_logits` logits, which training works on."""
        check_network_images(images, NCHW)
        points = self.head(self.backbone(images), return_logits)
        return self.decode(points) if return_objects else points

    def decode(self, points: Float[Tensor, "b p h w"]) -> Float[Tensor, "b n 6"]:
        """Points with probabilities to objects in pixels of the network's input, best first."""
        return self.scale_objects(self.points_to_objects(self.nms(points)))
