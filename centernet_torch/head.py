"""The three branches on top of the features. Paper: section 4 and appendix A."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from centernet_data.contract.inputs import FLOATING, require_array
from centernet_data.contract.options import require_count
from centernet_torch.backbone import conv

CLASS_BIAS = -2.19  # sigmoid(-2.19) = 0.1: at first nearly every cell is background (arXiv:1708.02002, section 3.3)

# The standard deviation of the 1x1 convolution's weights in every branch. The authors' code leaves the class branch as
# torch draws it (measured with that code: 0.072 for the 1x1 convolution, 0.012 for the 3x3) and starts only `wh` and
# `reg` at 0.001. With 0.001 in the class branch too, the classes send hardly any gradient into the features and are
# told apart late: on the shapes, after 400 steps, at 36 % of the centres instead of 72 %.
OUTPUT_STD = 0.1


class Branch(nn.Module):
    """3x3 convolution, ReLU, 1x1 convolution."""

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, bias: float = 0.0):
        super().__init__()
        self.conv1 = conv(in_channels, hidden_channels, 3, bias=True)
        self.conv2 = conv(hidden_channels, out_channels, 1, bias=True)
        nn.init.normal_(self.conv2.weight, std=OUTPUT_STD)
        nn.init.constant_(self.conv2.get_parameter("bias"), bias)

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b o h w"]:
        return self.conv2(F.relu(self.conv1(x)))


class CenterNetHead(nn.Module):
    """Features [B, k_in_channels, H/4, W/4] to points [B, c_classes + 4, H/4, W/4].

    Channels: class probabilities, then offset (dy, dx) and size (height, width) in cells.
    """

    def __init__(self, k_in_channels: int = 64, c_classes: int = 2, hidden_channels: int = 64):
        for name, value in (
            ("k_in_channels", k_in_channels),
            ("c_classes", c_classes),
            ("hidden_channels", hidden_channels),
        ):
            require_count(name, value)
        super().__init__()
        self.k_in_channels, self.c_classes = k_in_channels, c_classes
        self.heatmap = Branch(k_in_channels, hidden_channels, c_classes, CLASS_BIAS)
        self.offset = Branch(k_in_channels, hidden_channels, 2)
        self.size = Branch(k_in_channels, hidden_channels, 2)

    def forward(self, x: Float[Tensor, "b k h w"], return_logits: bool = False) -> Float[Tensor, "b p h w"]:
        """Class channels are probabilities, or with `return_logits` logits, which training works on."""
        require_array("features", x, FLOATING, ("B", "k_in_channels", "H/4", "W/4"))
        if x.shape[1] != self.k_in_channels:
            raise ValueError(f"the head takes {self.k_in_channels} channels, but the features have {x.shape[1]}")
        points = torch.cat([self.heatmap(x), self.offset(x), self.size(x)], dim=1)
        return points if return_logits else class_probabilities(points)


def class_probabilities(points: Float[Tensor, "b p h w"]) -> Float[Tensor, "b p h w"]:
    """Points with class logits to points with class probabilities, in float32 at least.

    In bfloat16 the scores of neighbouring cells would often be the same number, and both would be peaks.
    """
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    return torch.cat([points[:, :-4].sigmoid(), points[:, -4:]], dim=1)
