"""The three branches on top of the features. Paper: section 4 and appendix A."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from centernet_data.contract.inputs import FLOATING, require_array
from centernet_data.contract.options import require_count
from centernet_jax.backbone import Conv

CLASS_BIAS = -2.19  # sigmoid(-2.19) = 0.1: at first nearly every cell is background (arXiv:1708.02002, section 3.3)

# The standard deviation of the 1x1 convolution's weights in every branch. The authors' code leaves the class branch as
# torch draws it (measured with that code: 0.072 for the 1x1 convolution, 0.012 for the 3x3) and starts only `wh` and
# `reg` at 0.001. With 0.001 in the class branch too, the classes send hardly any gradient into the features and are
# told apart late: on the shapes, after 400 steps, at 36 % of the centres instead of 72 %.
OUTPUT_STD = 0.1


class Branch(nn.Module):
    """3x3 convolution, ReLU, 1x1 convolution."""

    hidden_channels: int
    out_channels: int
    bias: float = 0.0

    def setup(self):
        self.conv1 = Conv(self.hidden_channels, 3, bias=True)
        self.conv2 = Conv(
            self.out_channels,
            1,
            bias=True,
            kernel_init=nn.initializers.normal(OUTPUT_STD),
            bias_init=nn.initializers.constant(self.bias),
        )

    def __call__(self, x: Float[Array, "b h w k"]) -> Float[Array, "b h w o"]:
        return self.conv2(nn.relu(self.conv1(x)))


class CenterNetHead(nn.Module):
    """Features [B, H/4, W/4, k_in_channels] to points [B, H/4, W/4, c_classes + 4].

    Channels: class probabilities, then offset (dy, dx) and size (height, width) in cells.
    """

    k_in_channels: int = 64
    c_classes: int = 2
    hidden_channels: int = 64

    def __post_init__(self):
        for name in ("k_in_channels", "c_classes", "hidden_channels"):
            require_count(name, getattr(self, name))
        super().__post_init__()

    def setup(self):
        self.heatmap = Branch(self.hidden_channels, self.c_classes, CLASS_BIAS)
        self.offset = Branch(self.hidden_channels, 2)
        self.size = Branch(self.hidden_channels, 2)

    def __call__(self, x: Float[Array, "b h w k"], return_logits: bool = False) -> Float[Array, "b h w p"]:
        """Class channels are probabilities, or with `return_logits` logits, which training works on."""
        require_array("features", x, FLOATING, ("B", "H/4", "W/4", "k_in_channels"))
        if x.shape[-1] != self.k_in_channels:
            raise ValueError(f"the head takes {self.k_in_channels} channels, but the features have {x.shape[-1]}")
        points = jnp.concatenate([self.heatmap(x), self.offset(x), self.size(x)], axis=-1)
        return points if return_logits else class_probabilities(points)


def class_probabilities(points: Float[Array, "b h w p"]) -> Float[Array, "b h w p"]:
    """Points with class logits to points with class probabilities, in float32 at least.

    In bfloat16 the scores of neighbouring cells would often be the same number, and both would be peaks.
    """
    points = points.astype(jnp.promote_types(points.dtype, jnp.float32))
    return jnp.concatenate([jax.nn.sigmoid(points[..., :-4]), points[..., -4:]], axis=-1)
