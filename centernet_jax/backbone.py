"""ResNet trunk and upscaling neck: an image becomes features at a quarter of its size.

Paper: "Objects as Points" (arXiv:1904.07850), section 5 and appendix A; ResNet (arXiv:1512.03385), table 1.
"""

from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from centernet_jax.weights import load_resnet

STAGE_SIZES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv(features: int, kernel_size: int, stride: int = 1, use_bias: bool = False, **kwargs) -> nn.Conv:
    """A square convolution padded by kernel_size // 2 on each side, as torch pads it ("SAME" differs at stride 2)."""
    pad = kernel_size // 2
    hooks = {"conv_general_dilated": conv_general_dilated, "promote_dtype": to_dtype_of_input}
    kwargs = {"kernel_init": he_normal, **hooks, **kwargs}
    return nn.Conv(features, (kernel_size,) * 2, stride, padding=[(pad, pad)] * 2, use_bias=use_bias, **kwargs)


def to_dtype_of_input(x: Float[Array, "b h w i"], *weights: Float[Array, "..."] | None, **_) -> list:
    """A layer computes in the precision of its input, whatever that of its weights: the images' is the network's."""
    return [x] + [None if weight is None else weight.astype(x.dtype) for weight in weights]


def conv_general_dilated(x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], strides, padding, **kwargs):
    """XLA's convolution, or another form of it where XLA is slow on a CPU, which is for 3x3 kernels on tiny maps."""
    height, width = x.shape[1:3]
    if kernel.shape[0] == 3 and tuple(strides) == (2, 2) and height % 2 == width % 2 == 0:
        return halving_conv(x, kernel)
    if kernel.shape[0] == 3 and tuple(strides) == (1, 1) and height * width < 9:
        return conv_by_product(x, kernel)
    return lax.conv_general_dilated(x, kernel, strides, padding, **kwargs)


@jax.custom_vjp
def halving_conv(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h/2 w/2 o"]:
    """3x3 convolution of stride 2, padded by 1, whose gradient by `x` is the transposed convolution `upscale_twice`.

    For 16 x 4 x 4 x 256 to 512 channels (the deepest stage of a 64 x 64 image) XLA's own gradient takes 35 ms on two
    CPU cores, and this one 3 ms; for larger maps the two take the same.
    """
    return lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _halving_conv_forward(x, kernel):
    return halving_conv(x, kernel), (x, kernel)


def _halving_conv_backward(residuals, gradient):
    x, kernel = residuals
    by_kernel = jax.linear_transpose(lambda kernel: halving_conv.fun(x, kernel), kernel)
    return upscale_twice(gradient, kernel), by_kernel(gradient)[0]


halving_conv.defvjp(_halving_conv_forward, _halving_conv_backward)


def conv_by_product(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h w o"]:
    """3x3 convolution of stride 1, padded by 1, as one matrix product with each pixel's nine neighbours.

    For 16 x 2 x 2 x 512 (the deepest stage of a 64 x 64 image) XLA takes 135 ms on two CPU cores, and this 3 ms; for
    the gradient by `x` 145 and 5 ms. From maps of 3 x 3 on XLA is as fast or faster.
    """
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.concatenate(neighbours, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


class BatchNorm(nn.Module):
    """torch's BatchNorm2d: the running variance is the unbiased one, which Flax's own BatchNorm does not keep.

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
            return ((x - mean.value) * (lax.rsqrt(var.value + 1e-5) * scale) + bias).astype(dtype)

        batch_mean = x.mean((0, 1, 2))
        batch_var = jnp.square(x - batch_mean).mean((0, 1, 2))
        if not self.is_initializing():
            count = x.size // x.shape[-1]
            mean.value = 0.9 * mean.value + 0.1 * batch_mean
            var.value = 0.9 * var.value + 0.1 * batch_var * (count / (count - 1))
        return ((x - batch_mean) * (lax.rsqrt(batch_var + 1e-5) * scale) + bias).astype(dtype)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first convolution may halve the size."""

    features: int
    stride: int = 1
    project: bool = False

    def setup(self):
        self.conv1 = conv(self.features, 3, self.stride)
        self.bn1 = BatchNorm()
        self.conv2 = conv(self.features, 3)
        self.bn2 = BatchNorm()
        if self.project:
            self.downsample = [conv(self.features, 1, self.stride), BatchNorm()]

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h2 w2 c2"]:
        y = nn.relu(self.bn1(self.conv1(x), train))
        y = self.bn2(self.conv2(y), train)
        if self.project:
            convolution, norm = self.downsample
            x = norm(convolution(x), train)
        return nn.relu(x + y)


@jax.custom_vjp
def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """3x3 maximum at stride 2, padded by 1. The gradient goes to the first maximum of each window, as in torch.

    XLA scatters that gradient one window at a time on a CPU: 0.14 s for 8 x 128² x 64, against 0.03 s like below.
    """
    return nn.max_pool(x, (3, 3), (2, 2), padding=[(1, 1), (1, 1)])


def _max_pool_forward(x):
    """Keeps which of the nine taps each maximum is. Found by comparing taps with each other: XLA may compute `x` anew
    for the maximum and for a comparison with it, the two a bit apart, and then no tap would equal the maximum."""
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    taps = [padded[:, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)]
    highest, winner = taps[0], jnp.zeros(taps[0].shape, jnp.int8)
    for number, tap in enumerate(taps[1:], 1):
        winner = jnp.where(tap > highest, jnp.int8(number), winner)
        highest = jnp.maximum(tap, highest)
    return max_pool(x), (winner, x)


def _max_pool_backward(residuals, gradient):
    winner, x = residuals
    taps = [jnp.where(winner == number, gradient, 0) for number in range(9)]
    columns = [_gather_taps(taps[i : i + 3], axis=2) for i in (0, 3, 6)]
    return (_gather_taps(columns, axis=1)[:, : x.shape[1], : x.shape[2]],)


def _gather_taps(taps: list[Float[Array, "b h w c"]], axis: int) -> Float[Array, "..."]:
    """Adds up along one axis what the windows' three taps send back: window o covers inputs 2o - 1, 2o and 2o + 1."""
    before, middle, after = taps
    pads = [(0, int(i == axis)) for i in range(4)]
    from_next = lax.slice_in_dim(jnp.pad(before, pads), 1, None, axis=axis)
    shape = [n * (2 if i == axis else 1) for i, n in enumerate(middle.shape)]
    return jnp.stack([middle, after + from_next], axis + 1).reshape(shape)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


class HeadlessResnet34(nn.Module):
    """torchvision's ResNet without average pool and classifier: [B, H, W, 3] to [B, H/32, W/32, 512].

    With `remat` each block keeps only its input for the gradient, and is computed anew there.
    """

    depth: int = 34
    remat: bool = False

    def setup(self):
        if self.depth not in STAGE_SIZES:
            raise ValueError(f"depth must be one of {sorted(STAGE_SIZES)}, not {self.depth}")
        self.conv1 = conv(64, 7, stride=2)
        self.bn1 = BatchNorm()
        sizes = STAGE_SIZES[self.depth]
        self.layer1 = self._stage(64, sizes[0], stride=1)
        self.layer2 = self._stage(128, sizes[1], stride=2)
        self.layer3 = self._stage(256, sizes[2], stride=2)
        self.layer4 = self._stage(512, sizes[3], stride=2)

    @nn.nowrap
    def _stage(self, features: int, size: int, stride: int) -> list[BasicBlock]:
        block = (
            nn.remat(BasicBlock, static_argnums=2) if self.remat else BasicBlock
        )  # the 2nd, behind self and x: train
        first = block(features, stride, project=stride != 1)
        return [first] + [block(features) for _ in range(size - 1)]

    def __call__(self, x: Float[Array, "b h w 3"], train: bool = False) -> Float[Array, "b h32 w32 512"]:
        x = nn.relu(self.bn1(self.conv1(x), train))
        x = max_pool(x)
        for block in self.layer1 + self.layer2 + self.layer3 + self.layer4:
            x = block(x, train)
        return x


def upscale_twice(
    x: Float[Array, "b h w i"], kernel: Float[Array, "k k o i"], padding: int = 1
) -> Float[Array, "b 2*h 2*w o"]:
    """Transposed convolution of stride 2 that exactly doubles height and width, by its four output phases.

    Output row 2j + phase is reached only by the kernel rows of one parity, so each of the four phases (row parity,
    column parity) is a small convolution of stride 1, and the four interleave. It equals
    `lax.conv_transpose(..., transpose_kernel=True)`, whose weight gradient XLA computes slowly on a CPU: forward and
    gradients of the three layers of ResNet-34 at 8 x 256² take 0.12 s like this and 2.1 s like that, on two cores.
    """
    rows = []
    for row_phase in (0, 1):
        row_taps, row_pads = _taps(kernel.shape[0], padding, row_phase)
        columns = []
        for column_phase in (0, 1):
            column_taps, column_pads = _taps(kernel.shape[1], padding, column_phase)
            phase_kernel = kernel[row_taps][:, column_taps].swapaxes(2, 3)
            columns.append(
                lax.conv_general_dilated(
                    x, phase_kernel, (1, 1), (row_pads, column_pads), dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
            )
        rows.append(jnp.stack(columns, axis=3))
    phases = jnp.stack(rows, axis=2)  # [B, H, row phase, W, column phase, O]
    b, h, _, w, _, o = phases.shape
    return phases.reshape(b, 2 * h, 2 * w, o)


def _taps(kernel_size: int, padding: int, phase: int) -> tuple[slice, tuple[int, int]]:
    """The kernel rows that reach outputs 2j + phase, in order of their input row, and the padding they need.

    Kernel row k adds input row i to output row 2i - padding + k, so i - j = (phase + padding - k) / 2.
    """
    first = (phase + padding) % 2
    last = first + (kernel_size - 1 - first) // 2 * 2
    nearest, farthest = (phase + padding - last) // 2, (phase + padding - first) // 2
    return slice(last, None, -2), (-nearest, farthest)


def check_upscaling(kernel_size: int, padding: int, output_padding: int) -> None:
    """ValueError unless a transposed convolution of stride 2 exactly doubles the size."""
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
        return self.param("kernel", he_normal, self.shape)


class ResnetBackbone(nn.Module):
    """ResNet, then three upscalings: [B, H, W, 3] to [B, H/4, W/4, out_channels]. H and W are multiples of 32.

    `hidden_channels` are those after the first two upscalings; kernel size 4 with 256, 256 and 256 channels is the
    authors' plain `res_34`. `pretrained` names a torchvision-format ResNet file (.pth or .safetensors) that `init`
    reads the trunk from. `remat` is that of the trunk.
    """

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
        """Flax's `init`, with the trunk read from `pretrained` where that is given."""
        variables = super().init(*args, **kwargs)
        return load_resnet(variables, self.pretrained, "resnet.") if self.pretrained else variables

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
