"""ResNet trunk and upscaling neck: an image becomes features at a quarter of its size.

Paper: "Objects as Points" (arXiv:1904.07850), section 5 and appendix A; ResNet (arXiv:1512.03385), table 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from centernet_torch.weights import load_resnet

STAGE_SIZES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def he_normal(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def conv(in_channels: int, features: int, kernel_size: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A square convolution padded by kernel_size // 2 on each side."""
    layer = nn.Conv2d(in_channels, features, kernel_size, stride, padding=kernel_size // 2, bias=bias)
    he_normal(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first convolution may halve the size."""

    def __init__(self, in_channels: int, features: int, stride: int = 1, project: bool = False):
        super().__init__()
        self.conv1 = conv(in_channels, features, 3, stride)
        self.bn1 = nn.BatchNorm2d(features)
        self.conv2 = conv(features, features, 3)
        self.bn2 = nn.BatchNorm2d(features)
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(conv(in_channels, features, 1, stride), nn.BatchNorm2d(features))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            x = self.downsample(x)
        return F.relu(x + y)


class HeadlessResnet34(nn.Module):
    """torchvision's ResNet without average pool and classifier: [B, 3, H, W] to [B, 512, H/32, W/32].

    With `remat` only each block's input is kept for the gradient; the block is computed again in the backward pass.
    """

    def __init__(self, depth: int = 34, remat: bool = False):
        super().__init__()
        if depth not in STAGE_SIZES:
            raise ValueError(f"depth must be one of {sorted(STAGE_SIZES)}, not {depth}")
        self.remat = remat
        self.conv1 = conv(3, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        sizes = STAGE_SIZES[depth]
        self.layer1 = self._stage(64, 64, sizes[0], stride=1)
        self.layer2 = self._stage(64, 128, sizes[1], stride=2)
        self.layer3 = self._stage(128, 256, sizes[2], stride=2)
        self.layer4 = self._stage(256, 512, sizes[3], stride=2)

    def _stage(self, in_channels: int, features: int, size: int, stride: int) -> nn.Sequential:
        first = BasicBlock(in_channels, features, stride, project=stride != 1)
        return nn.Sequential(first, *[BasicBlock(features, features) for _ in range(size - 1)])

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 512 h32 w32"]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, padding=1)
        for block in (*self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = _checkpointed(block, x) if self.remat else block(x)
        return x


def _checkpointed(block: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
    return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _without_statistics(block)))


@contextmanager
def _without_statistics(block: nn.Module) -> Iterator[None]:
    """For the second pass: it normalises as the first did, but does not move the running statistics again."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [(norm, norm.momentum, {name: buffer.clone() for name, buffer in norm.named_buffers()}) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, buffers in kept:
            norm.momentum = momentum
            norm.load_state_dict(buffers, strict=False)


def check_upscaling(kernel_size: int, padding: int, output_padding: int) -> None:
    """Raises ValueError unless a transposed convolution of stride 2 exactly doubles the size."""
    if kernel_size < 2 or kernel_size - 2 * padding + output_padding != 2:
        raise ValueError(
            "the size doubles only if kernel_size - 2 * padding + output_padding is 2 and kernel_size at least 2, not "
            f"with kernel_size {kernel_size}, padding {padding} and output_padding {output_padding}"
        )


class UpscaleTwiceLayer(nn.Module):
    """Transposed convolution of stride 2, batch normalisation, ReLU: [B, I, H, W] to [B, O, 2H, 2W]."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1, output_padding: int = 1
    ):
        super().__init__()
        check_upscaling(kernel_size, padding, output_padding)
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, 2, padding, output_padding, bias=False)
        he_normal(self.conv.weight)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o 2*h 2*w"]:
        return F.relu(self.bn(self.conv(x)))


class ResnetBackbone(nn.Module):
    """ResNet, then three upscalings: [B, 3, H, W] to [B, out_channels, H/4, W/4]. H and W are multiples of 32.

    `hidden_channels` are the widths after the first two upscalings; kernel size 4 with 256, 256 and 256 channels is the
    authors' plain `res_34`. `pretrained` names a torchvision-format ResNet file (.pth or .safetensors) from which the
    trunk is read. `remat` is the trunk's.
    """

    def __init__(
        self,
        pretrained: str | Path | None = None,
        out_channels: int = 64,
        depth: int = 34,
        hidden_channels: tuple[int, int] = (256, 128),
        kernel_size: int = 3,
        remat: bool = False,
    ):
        super().__init__()
        self.out_channels = out_channels
        self.resnet = HeadlessResnet34(depth, remat)
        widths = (512, *hidden_channels, out_channels)
        self.upscale = nn.ModuleList(
            UpscaleTwiceLayer(i, o, kernel_size, output_padding=4 - kernel_size) for i, o in pairwise(widths)
        )
        if pretrained is not None:
            load_resnet(self.resnet, pretrained)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b o h4 w4"]:
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise ValueError(f"height and width must be multiples of 32, not {x.shape[2]} x {x.shape[3]}")
        x = self.resnet(x)
        for layer in self.upscale:
            x = layer(x)
        return x
