"""Convolution, normalisation, pooling and more in the forms in which XLA is fast: the layers say what, here stands how.

Each equals the plain form that it is tested against, with its gradients; most are for a CPU's sake.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from centernet_jax.cpu.winograd import winograd_conv

BATCH_NORM_EPSILON = 1e-5
FEW_PIXELS = 9  # of a map whose 3x3 convolution is one matrix product


def compiler_options(platform: str, dtype: jnp.dtype) -> dict[str, str] | None:
    """What XLA is told when it compiles training or detection.

    On a CPU jaxlib 0.10.2 hands float32 convolutions and products to kernels (YNNPACK) that are the slower ones: with
    them a training step of ResNet-34 takes 2.1 s instead of 1.6 (8 x 256 x 256), a detection 106 ms instead of 81
    (1 x 256 x 256), on two cores. float64 takes three times as long without them.
    """
    slow = platform == "cpu" and dtype == jnp.float32
    return {"xla_cpu_experimental_ynn_fusion_type": ""} if slow else None


def conv_general_dilated(x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], strides, padding, **kwargs):
    """XLA's convolution, or for 3x3 kernels another form of it."""
    height, width = x.shape[1:3]
    if kernel.shape[0] == 3 and tuple(strides) == (2, 2) and height % 2 == width % 2 == 0:
        return halving_conv(x, kernel)
    if kernel.shape[0] == 3 and tuple(strides) == (1, 1):
        return conv_by_product(x, kernel) if height * width < FEW_PIXELS else conv_of_same_size(x, kernel)
    return lax.conv_general_dilated(x, kernel, strides, padding, **kwargs)


@jax.custom_vjp
def conv_of_same_size(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h w o"]:
    """3x3 convolution of stride 1, padded by 1: on a CPU by Winograd's form, where that is the faster one.

    With it a training step of ResNet-34 (8 x 256 x 256) takes 1.5 s instead of 2.0, a detection 0.44 instead of 0.57,
    on two cores.
    """
    m = winograd_tile(x, kernel)
    if m is None:
        return _plain_conv(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=partial(winograd_conv, m=m), default=_plain_conv)


def _conv_of_same_size_forward(x, kernel):
    return conv_of_same_size(x, kernel), (x, kernel)


def _conv_of_same_size_backward(residuals, gradient):
    def pull_through(form):
        return lambda x, kernel, gradient: jax.vjp(form, x, kernel)[1](gradient)

    m = winograd_tile(*residuals)
    if m is None:
        return pull_through(_plain_conv)(*residuals, gradient)
    on_cpu, elsewhere = pull_through(partial(winograd_conv, m=m)), pull_through(_plain_conv)
    return lax.platform_dependent(*residuals, gradient, cpu=on_cpu, default=elsewhere)


conv_of_same_size.defvjp(_conv_of_same_size_forward, _conv_of_same_size_backward)


def winograd_tile(
    x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], strides: Sequence[int] = (1, 1)
) -> int | None:
    """The side of Winograd's tiles that is fastest for this convolution on a CPU, or None if another form is.

    Few tiles do not pay for kernels of four times the size, or of 1.8 times for tiles of 2 x 2; few channels do not pay
    for the transforms. bfloat16 has no digits to lose.
    """
    (b, h, w, _), (size, _, *channels) = x.shape, kernel.shape
    if size != 3 or tuple(strides) != (1, 1) or h * w < FEW_PIXELS:
        return None
    tiles = b * math.ceil(h / 4) * math.ceil(w / 4)
    if tiles < 24 or min(channels) < 32 or x.dtype.itemsize < 4:
        return None
    return 4 if tiles >= 96 else 2


def _plain_conv(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h w o"]:
    return lax.conv_general_dilated(x, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))


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


def sum_of_channels(x: Float[Array, "b h w c"]) -> Float[Array, "c"]:
    """The sum over batch, height and width.

    On a CPU XLA alone adds up one channel after the other, far apart in memory: for 8 x 64² x 64 that takes 2.1 ms on
    one core, and by eights 0.15 ms.
    """

    def on_cpu(x):
        rows = x.reshape(-1, x.shape[-1])
        by_eights = lax.optimization_barrier(rows.reshape(-1, math.gcd(8, len(rows)), x.shape[-1]).sum(1))
        return by_eights.sum(0)

    return lax.platform_dependent(x, cpu=on_cpu, default=lambda x: x.sum((0, 1, 2)))


def global_norm(arrays: list[Float[Array, "..."]]) -> Float[Array, ""]:
    """The norm of all arrays together.

    On a CPU XLA alone writes down every square and then adds them up one after the other: for the gradients of
    ResNet-18 (13 million numbers) that takes 19 ms on two cores, and by eights 4.
    """

    def on_cpu(arrays):
        by_eights = [jnp.square(array.reshape(math.gcd(8, array.size), -1)).sum(0) for array in arrays]
        return jnp.sqrt(sum(rows.sum() for rows in lax.optimization_barrier(by_eights)))

    return lax.platform_dependent(arrays, cpu=on_cpu, default=optax.tree.norm)


@jax.custom_vjp
def normalize_channels(
    x: Float[Array, "b h w c"], scale: Float[Array, "c"], bias: Float[Array, "c"]
) -> tuple[Float[Array, "b h w c"], Float[Array, "c"], Float[Array, "c"]]:
    """Batch normalisation (arXiv:1502.03167, algorithm 1), with the batch's means and (biased) variances.

    The gradient is that of the first; whatever is made of the statistics has none.
    """
    count = x.size // x.shape[-1]
    mean = sum_of_channels(x) / count
    var = sum_of_channels(jnp.square(x - mean)) / count
    return (x - mean) * (lax.rsqrt(var + BATCH_NORM_EPSILON) * scale) + bias, mean, var


def _normalize_channels_forward(x, scale, bias):
    y, mean, var = normalize_channels(x, scale, bias)
    return (y, mean, var), (x, scale, mean, var)


def _normalize_channels_backward(residuals, gradients):
    x, scale, mean, var = residuals
    gradient, _, _ = gradients
    count, inverse_std = x.size // x.shape[-1], lax.rsqrt(var + BATCH_NORM_EPSILON)
    normalized = (x - mean) * inverse_std
    of_bias, of_scale = sum_of_channels(gradient), sum_of_channels(gradient * normalized)
    of_x = (gradient - of_bias / count - normalized * (of_scale / count)) * (inverse_std * scale)
    return of_x, of_scale, of_bias


normalize_channels.defvjp(_normalize_channels_forward, _normalize_channels_backward)


@jax.custom_vjp
def add_relu(x: Float[Array, "b h w c"], y: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """ReLU of a sum. Its gradient goes on where the result is positive.

    On a CPU as max(x, -y) + y, which is x + y or -y + y: the same bits. Its last operation has two maps to read, so
    XLA writes down what it gives; a plain ReLU has one, and is computed anew for each of its uses, along a stage's
    shortcuts with all sums before it. A training step of ResNet-34 (8 x 256 x 256) takes 0.94 of the time like this.
    """
    on_cpu, elsewhere = lambda x, y: jnp.maximum(x, -y) + y, lambda x, y: jnp.maximum(x + y, 0)
    return lax.platform_dependent(x, y, cpu=on_cpu, default=elsewhere)


def _add_relu_forward(x, y):
    result = add_relu(x, y)
    return result, result


def _add_relu_backward(result, gradient):
    gradient = jnp.where(result > 0, gradient, 0)
    return gradient, gradient


add_relu.defvjp(_add_relu_forward, _add_relu_backward)


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """3x3 maximum at stride 2, padded by 1. The gradient goes to the first maximum of each window, as in torch.

    On two CPU cores XLA's own takes 21 ms for what the stem leaves of 8 x 256 x 256, normalisation and ReLU included,
    and this one, into which they are fused, 5 ms. Its gradient, scattered one window at a time, takes 140 ms, and this
    one's 40.
    """
    return halving_max(halving_max(x, 2), 1)  # in this order the first maximum is that of the first row


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def halving_max(x: Float[Array, "b h w c"], axis: int) -> Float[Array, "b h2 w2 c"]:
    """The maximum of every three neighbours along one axis, at stride 2, padded by 1."""
    before, middle, after = _split_taps(x, axis)
    return jnp.maximum(jnp.maximum(before, middle), after)


def _halving_max_forward(x, axis):
    """Keeps which of the three each maximum is. Found by comparing them with each other: XLA may compute `x` anew for
    the maximum and for a comparison with it, the two a bit apart, and then none would equal the maximum."""
    before, middle, after = _split_taps(x, axis)
    first = jnp.where(middle > before, jnp.int8(1), jnp.int8(0))
    winner = jnp.where(after > jnp.maximum(before, middle), jnp.int8(2), first)
    return halving_max(x, axis), (winner, x)


def _halving_max_backward(axis, residuals, gradient):
    winner, x = residuals
    taps = [jnp.where(winner == number, gradient, 0) for number in range(3)]
    return (lax.slice_in_dim(_merge_taps(taps, axis), 0, x.shape[axis], axis=axis),)


halving_max.defvjp(_halving_max_forward, _halving_max_backward)


def _split_taps(x: Float[Array, "b h w c"], axis: int) -> list[Float[Array, "b h2 w2 c"]]:
    """The three taps of each window along one axis: window o covers inputs 2o - 1, 2o and 2o + 1."""
    odd = [(0, x.shape[axis] % 2 if i == axis else 0) for i in range(4)]
    x = jnp.pad(x, odd, constant_values=-jnp.inf)
    pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
    middle, after = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    shifted = [(1, -1, 0) if i == axis else (0, 0, 0) for i in range(4)]
    return [lax.pad(after, jnp.array(-jnp.inf, x.dtype), shifted), middle, after]


def _merge_taps(taps: list[Float[Array, "b h w c"]], axis: int) -> Float[Array, "..."]:
    """Adds up what the windows' three taps send back: `_split_taps`, transposed."""
    before, middle, after = taps
    shifted = [(-1, 1, 0) if i == axis else (0, 0, 0) for i in range(4)]
    shape = [n * (2 if i == axis else 1) for i, n in enumerate(middle.shape)]
    from_next = lax.pad(before, jnp.array(0, before.dtype), shifted)
    return jnp.stack([middle, after + from_next], axis + 1).reshape(shape)
