"""The whole detector: normalised images to points, and points to objects. Paper: section 4."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from jax import lax
from jaxtyping import Array, Float, UInt8

from centernet_data.contract.inputs import (
    FLOATING,
    IMAGES,
    NHWC,
    OBJECTS,
    UINT8,
    check_network_images,
    check_points,
    require_array,
)
from centernet_data.contract.options import require_odd, require_own_pretrained, require_positive
from centernet_jax.backbone import ResnetBackbone
from centernet_jax.convert import PointsToObjects
from centernet_jax.head import CenterNetHead
from centernet_jax.weights import load_resnet

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of values in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize_images(images: UInt8[Array, "b h w 3"], dtype: jnp.dtype = jnp.float32) -> Float[Array, "b h w 3"]:
    """uint8 RGB to zero mean and unit variance by ImageNet's statistics, which a pretrained trunk expects."""
    require_array("images", images, UINT8, IMAGES)
    wide = jnp.promote_types(dtype, jnp.float32)
    mean, std = jnp.array(IMAGENET_MEAN, wide), jnp.array(IMAGENET_STD, wide)
    return ((images.astype(wide) / 255 - mean) / std).astype(dtype)


def average_flipped(points: Float[Array, "b h w p"], flipped: Float[Array, "b h w p"]) -> Float[Array, "b h w p"]:
    """The points of images, with class probabilities and sizes averaged with those of `flipped`, the points of the same
    images mirrored from left to right. Offsets stay: in the mirror image they are measured from the other side.

    As in the authors' code (`--flip_test`) and section 5 of the paper.
    """
    mean = (points + flipped[:, :, ::-1]) / 2
    return jnp.concatenate([mean[..., :-4], points[..., -4:-2], mean[..., -2:]], axis=-1)


def points_non_max_suppression(points: Float[Array, "b h w p"], kernel_size: int = 3) -> Float[Array, "b h w p"]:
    """Sets the class channels to 0 wherever a cell is not the maximum of its k x k neighbourhood in its class."""
    require_odd("kernel_size", kernel_size)
    check_points(points, NHWC)
    scores, pad = points[..., :-4], kernel_size // 2
    padded = jnp.pad(scores, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-jnp.inf)
    height, width = scores.shape[1:3]
    shifts = product(range(kernel_size), repeat=2)
    # For 128 x 128 x 80 on two CPU cores this takes 1.1 ms, and XLA's own windows (lax.reduce_window) 3.5 ms.
    highest = reduce(jnp.maximum, [padded[:, y : y + height, x : x + width] for y, x in shifts])
    return jnp.concatenate([jnp.where(scores == highest, scores, 0), points[..., -4:]], axis=-1)


@dataclass(frozen=True)
class PointsNonMaxSuppression:
    """`points_non_max_suppression` with its option as a field."""

    kernel_size: int = 3

    def __post_init__(self):
        require_odd("kernel_size", self.kernel_size)

    def __call__(self, points: Float[Array, "b h w p"]) -> Float[Array, "b h w p"]:
        return points_non_max_suppression(points, self.kernel_size)


def scale_objects(objects: Float[Array, "b n 6"], scale: float = 4) -> Float[Array, "b n 6"]:
    """Multiplies centre and size by `scale`: cells to pixels for 4."""
    return objects * jnp.array([scale] * 4 + [1, 1], objects.dtype)


@dataclass(frozen=True)
class ScaleObjects:
    """`scale_objects` with its option as a field."""

    scale: float = 4

    def __post_init__(self):
        require_positive("scale", self.scale)

    def __call__(self, objects: Float[Array, "b n 6"]) -> Float[Array, "b n 6"]:
        require_array("objects", objects, FLOATING, OBJECTS)
        return scale_objects(objects, self.scale)


class CenterNet(nn.Module):
    """Normalised images [B, H, W, 3] to points [B, H/4, W/4, C+4], or with `return_objects` to objects in pixels.

    `backbone_kwargs`, `head_kwargs`, `nms_kwargs` and `points_to_objects_kwargs` are the fields of `ResnetBackbone`,
    `CenterNetHead`, `PointsNonMaxSuppression` and `PointsToObjects`. `pretrained` names a torchvision-format ResNet
    file from which `init` reads the trunk."""

    pretrained: str | Path | None = None
    head_kwargs: Mapping = FrozenDict()
    nms_kwargs: Mapping = FrozenDict()
    points_to_objects_kwargs: Mapping = FrozenDict()
    backbone_kwargs: Mapping = FrozenDict()

    def __post_init__(self):
        require_own_pretrained(self.backbone_kwargs)
        for name in ("head_kwargs", "nms_kwargs", "points_to_objects_kwargs", "backbone_kwargs"):
            object.__setattr__(self, name, _hashable(getattr(self, name)))
        PointsNonMaxSuppression(**self.nms_kwargs)  # checked here, though made where they are used
        PointsToObjects(**self.points_to_objects_kwargs)
        super().__post_init__()

    @property
    def num_classes(self) -> int:
        """The number of class channels of the points."""
        return self.head_kwargs.get("c_classes", CenterNetHead.c_classes)

    def setup(self):
        self.backbone = ResnetBackbone(**self.backbone_kwargs)
        self.head = CenterNetHead(**{"k_in_channels": self.backbone.out_channels, **self.head_kwargs})

    @nn.nowrap
    def init(self, *args, **kwargs) -> dict:
        """Flax's `init`, with the trunk read from `pretrained` if that is given."""
        variables = dict(super().init(*args, **kwargs))
        return load_resnet(variables, self.pretrained, "backbone.resnet.") if self.pretrained is not None else variables

    def __call__(
        self,
        images: Float[Array, "b h w 3"],
        return_objects: bool = False,
        return_logits: bool = False,
        train: bool = False,
        freeze_trunk: bool = False,
    ) -> Float[Array, "b h4 w4 p"] | Float[Array, "b n 6"]:
        """Class channels are probabilities, or with `return_logits` logits, which training works on."""
        check_network_images(images, NHWC)
        points = self.head(self.backbone(images, train, freeze_trunk), return_logits)
        return self.decode(points) if return_objects else points

    def decode(self, points: Float[Array, "b h w p"]) -> Float[Array, "b n 6"]:
        """Points with probabilities to objects in pixels of the network's input, best first.

        On a CPU it works image by image, because one image's maps stay in the cache between passes: for 8 of 512 x 512
        with 80 classes that takes 8 ms on two cores instead of 41.
        """

        def of_all(points):
            peaks = PointsNonMaxSuppression(**self.nms_kwargs)(points)
            return ScaleObjects()(PointsToObjects(**self.points_to_objects_kwargs)(peaks))

        def one_by_one(points):
            return lax.map(lambda image: of_all(image[None])[0], points)

        return lax.platform_dependent(points, cpu=one_by_one, default=of_all)


def _hashable(kwargs: Mapping) -> FrozenDict:
    """So that a module is a constant of compiled programs, whatever its arguments were written as."""
    return FrozenDict({name: tuple(value) if isinstance(value, list) else value for name, value in {**kwargs}.items()})


def apply(model: CenterNet, variables: Mapping, *args, **kwargs) -> Float[Array, "..."]:
    """Flax's `apply` where nothing is mutable, so that it returns one array."""
    result = model.apply(variables, *args, **kwargs)
    assert isinstance(result, Array)
    return result
