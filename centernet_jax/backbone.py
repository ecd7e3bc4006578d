"""ResNet trunk and upscaling neck: an image becomes features at a quarter of its size.

Paper: "Objects as Points" (arXiv:1904.07850), section 5 and appendix A; ResNet (arXiv:1512.03385), table 1.
"""

from itertools import pairwise
from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from centernet_jax.cpu.activation import add_relu
from centernet_jax.cpu.convolution import conv2d, upscale_twice, winograd_tile
from centernet_jax.cpu.normalization import EPSILON, normalize_channels
from centernet_jax.cpu.pooling import max_pool
from centernet_jax.cpu.winograd import conv_with_transform, transform_kernel
from centernet_jax.weights import load_resnet

STAGE_SIZES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Conv(nn.Module):
    """A square convolution padded by kernel_size // 2 on each side, as torch pads it ("SAME" differs at stride 2).

    It computes in the precision of its input. On a CPU a 3x3 kernel's Winograd transform is read from the collection
    "transforms" where that is given, and stored in it where it is mutable. During detection the weights stay the same,
    so one transform serves all images; in training, without the collection, each step transforms its kernels.
    """

    features: int
    kernel_size: int
    stride: int = 1
    bias: bool = False
    kernel_init: nn.initializers.Initializer = he_normal
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(x.dtype)
        m = winograd_tile(x, kernel, self.stride)
        stores = self.is_mutable_collection("transforms") and not self.is_initializing()
        if m and (stores or self.has_variable("transforms", "kernel")):
            x = conv_with_transform(x, self.variable("transforms", "kernel", transform_kernel, kernel, m).value)
        else:
            x = conv2d(x, kernel, self.stride)
        if self.bias:
            x = x + self.param("bias", self.bias_init, (self.features,), jnp.float32).astype(x.dtype)
        return x


class BatchNorm(nn.Module):
    """torch's BatchNorm2d: unlike Flax's own, it keeps the unbiased running variance.

    Normalises over batch, height and width; epsilon 1e-5; running statistics move by a tenth each training step. It
    computes in the statistics' precision where that is wider than the input's, and returns the input's.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w c"]:
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        var = self.variable("batch_stats", "var", jnp.ones, channels)
        dtype, x = x.dtype, x.astype(jnp.promote_types(x.dtype, mean.value.dtype))
        if not train:
            return ((x - mean.value) * (lax.rsqrt(var.value + EPSILON) * scale) + bias).astype(dtype)

        if (count := x.size // x.shape[-1]) == 1:
            raise ValueError(f"batch normalisation trains on more than one value per channel, not on {x.shape}")
        y, batch_mean, batch_var = normalize_channels(x, scale, bias)
        if not self.is_initializing():
            mean.value = 0.9 * mean.value + 0.1 * batch_mean
            var.value = 0.9 * var.value + 0.1 * batch_var * (count / (count - 1))
        return y.astype(dtype)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first convolution may halve the size."""

    features: int
    stride: int = 1
    project: bool = False

    def setup(self):
        self.conv1 = Conv(self.features, 3, self.stride)
        self.bn1 = BatchNorm()
        self.conv2 = Conv(self.features, 3)
        self.bn2 = BatchNorm()
        if self.project:
            self.downsample = [Conv(self.features, 1, self.stride), BatchNorm()]

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h2 w2 c2"]:
        y = nn.relu(self.bn1(self.conv1(x), train))
        y = self.bn2(self.conv2(y), train)
        if self.project:
            conv, norm = self.downsample
            x = norm(conv(x), train)
        return add_relu(x, y)


class HeadlessResnet34(nn.Module):
    """torchvision's ResNet without average pool and classifier: [B, H, W, 3] to [B, H/32, W/32, 512].

    With `remat` only each block's input is kept for the gradient; the block is computed again in the backward pass.
    """

    depth: int = 34
    remat: bool = False

    def setup(self):
        if self.depth not in STAGE_SIZES:
            raise ValueError(f"depth must be one of {sorted(STAGE_SIZES)}, not {self.depth}")
        self.conv1 = Conv(64, 7, stride=2)
        self.bn1 = BatchNorm()
        sizes = STAGE_SIZES[self.depth]
        self.layer1 = self._stage(64, sizes[0], stride=1)
        self.layer2 = self._stage(128, sizes[1], stride=2)
        self.layer3 = self._stage(256, sizes[2], stride=2)
        self.layer4 = self._stage(512, sizes[3], stride=2)

    @nn.nowrap
    def _stage(self, features: int, size: int, stride: int) -> list[BasicBlock]:
        train = 2  # its place among the arguments of __call__, after self and x
        block = nn.remat(BasicBlock, static_argnums=train) if self.remat else BasicBlock
        first = block(features, stride, project=stride != 1)
        return [first] + [block(features) for _ in range(size - 1)]

    def __call__(self, x: Float[Array, "b h w 3"], train: bool = False) -> Float[Array, "b h32 w32 512"]:
        x = nn.relu(self.bn1(self.conv1(x), train))
        x = max_pool(x)
        for block in self.layer1 + self.layer2 + self.layer3 + self.layer4:
            x = block(x, train)
        return x


def check_upscaling(kernel_size: int, padding: int, output_padding: int) -> None:
    """Raises ValueError unless a transposed convolution of stride 2 exactly doubles the size."""
    if kernel_size < 2 or kernel_size - 2 * padding + output_padding != 2:
        raise ValueError(
            "the size doubles only if kernel_size - 2 * padding + output_padding is 2 and kernel_size at least 2, not "
            f"with kernel_size {kernel_size}, padding {padding} and output_padding {output_padding}"
        )


class UpscaleTwiceLayer(nn.Module):
    """Transposed convolution of stride 2, batch normalisation, ReLU: [B, H, W, I] to [B, 2H, 2W, O]."""

    in_channels: int
    out_channels: int
    kernel_size: int = 3
    padding: int = 1
    output_padding: int = 1

    def setup(self):
        check_upscaling(self.kernel_size, self.padding, self.output_padding)
        shape = (self.kernel_size, self.kernel_size, self.out_channels, self.in_channels)
        self.conv = ConvTransposeKernel(shape)
        self.bn = BatchNorm()

    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b 2*h 2*w o"]:
        return nn.relu(self.bn(upscale_twice(x, self.conv().astype(x.dtype), self.padding), train))


class ConvTransposeKernel(nn.Module):
    """Holds the kernel [k, k, O, I] of a transposed convolution, under the name that torch's module has."""

    shape: tuple[int, int, int, int]

    @nn.compact
    def __call__(self) -> Float[Array, "k k o i"]:
        return self.param("kernel", he_normal, self.shape, jnp.float32)


class ResnetBackbone(nn.Module):
    """ResNet, then three upscalings: [B, H, W, 3] to [B, H/4, W/4, out_channels]. H and W are multiples of 32.

    `hidden_channels` are the widths after the first two upscalings; kernel size 4 with 256, 256 and 256 channels is the
    authors' plain `res_34`. `pretrained` names a torchvision-format ResNet file (.pth or .safetensors) from which
    `init` reads the trunk. `remat` is the trunk's."""

    pretrained: str | Path | None = None
    out_channels: int = 64
    depth: int = 34
    hidden_channels: tuple[int, int] = (256, 128)
    kernel_size: int = 3
    remat: bool = False

    def setup(self):
        self.resnet = HeadlessResnet34(self.depth, self.remat)
        widths = (512, *self.hidden_channels, self.out_channels)
        self.upscale = [
            UpscaleTwiceLayer(i, o, self.kernel_size, output_padding=4 - self.kernel_size) for i, o in pairwise(widths)
        ]

    @nn.nowrap
    def init(self, *args, **kwargs) -> dict:
        """Flax's `init`, with the trunk read from `pretrained` if that is given."""
        variables = dict(super().init(*args, **kwargs))
        return load_resnet(variables, self.pretrained, "resnet.") if self.pretrained is not None else variables

    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False, freeze_trunk: bool = False
    ) -> Float[Array, "b h4 w4 o"]:
        """A frozen trunk normalises by its running statistics, in training too, and gets no gradient."""
        if x.shape[1] % 32 or x.shape[2] % 32:
            raise ValueError(f"height and width must be multiples of 32, not {x.shape[1]} x {x.shape[2]}")
        x = self.resnet(x, train and not freeze_trunk)
        x = lax.stop_gradient(x) if freeze_trunk else x
        for layer in self.upscale:
            x = layer(x, train)
        return x
