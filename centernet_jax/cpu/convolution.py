"""Convolutions in the forms in which XLA is fast on a CPU, with their gradients."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from centernet_jax.cpu.winograd import winograd_conv

FEW_PIXELS = 9  # of a map whose 3x3 convolution is one matrix product
LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv2d(x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], stride: int = 1) -> Float[Array, "b h2 w2 o"]:
    """A convolution with a square kernel of odd size k, padded by k // 2 on each side; for 3x3 kernels in a faster
    form. Raises ValueError for another kernel."""
    (size, columns), (height, width) = kernel.shape[:2], x.shape[1:3]
    if size != columns or size % 2 == 0:
        raise ValueError(f"the kernel must be square and its size odd, not {size} x {columns}")
    if size == 3 and stride == 2 and height % 2 == width % 2 == 0:
        return halving_conv(x, kernel)
    if size == 3 and stride == 1:
        return conv_by_product(x, kernel) if height * width < FEW_PIXELS else conv_of_same_size(x, kernel)
    return _plain_conv(x, kernel, stride)


def _plain_conv(x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], stride: int = 1):
    pad = kernel.shape[0] // 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad), (pad, pad)], dimension_numbers=LAYOUT)


@jax.custom_vjp
def conv_of_same_size(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h w o"]:
    """3x3 convolution of stride 1, padded by 1; on a CPU in Winograd's form, where that is faster.

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
    def pull_through(form: Callable) -> Callable:
        return lambda x, kernel, gradient: jax.vjp(form, x, kernel)[1](gradient)

    m = winograd_tile(*residuals)
    if m is None:
        return pull_through(_plain_conv)(*residuals, gradient)
    on_cpu, elsewhere = pull_through(partial(winograd_conv, m=m)), pull_through(_plain_conv)
    return lax.platform_dependent(*residuals, gradient, cpu=on_cpu, default=elsewhere)


conv_of_same_size.defvjp(_conv_of_same_size_forward, _conv_of_same_size_backward)


def winograd_tile(x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], stride: int = 1) -> int | None:
    """The side of the Winograd tiles that make this convolution fastest on a CPU; None if another form is faster.

    With few tiles the larger kernels (four times the size, or 1.8 times for tiles of 2 x 2) do not pay off; with few
    channels the transforms do not. bfloat16 has no digits to spare.
    """
    (b, h, w, _), (size, _, *channels) = x.shape, kernel.shape
    if size != 3 or stride != 1 or h * w < FEW_PIXELS:
        return None
    tiles = b * math.ceil(h / 4) * math.ceil(w / 4)
    if tiles < 24 or min(channels) < 32 or x.dtype.itemsize < 4:
        return None
    return 4 if tiles >= 96 else 2


@jax.custom_vjp
def halving_conv(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h/2 w/2 o"]:
    """3x3 convolution of stride 2, padded by 1, whose gradient by `x` is the transposed convolution `upscale_twice`.

    For 16 x 4 x 4 x 256 to 512 channels (the deepest stage of a 64 x 64 image) XLA's own gradient takes 35 ms on two
    CPU cores, and this one 3 ms; for larger maps both take the same time.
    """
    return _plain_conv(x, kernel, stride=2)


def _halving_conv_forward(x, kernel):
    return halving_conv(x, kernel), (x, kernel)


def _halving_conv_backward(residuals, gradient):
    x, kernel = residuals
    by_kernel = jax.linear_transpose(lambda kernel: _plain_conv(x, kernel, stride=2), kernel)
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
    gradients of the three layers of ResNet-34 at 8 x 256² take 0.12 s this way and 2.1 s that way, on two cores.
    """
    rows = []
    for row_phase in (0, 1):
        row_taps, row_pads = _taps(kernel.shape[0], padding, row_phase)
        columns = []
        for column_phase in (0, 1):
            column_taps, column_pads = _taps(kernel.shape[1], padding, column_phase)
            phase_kernel = kernel[row_taps][:, column_taps].swapaxes(2, 3)
            pads = (row_pads, column_pads)
            columns.append(lax.conv_general_dilated(x, phase_kernel, (1, 1), pads, dimension_numbers=LAYOUT))
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
