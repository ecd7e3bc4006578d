"""3x3 convolutions by Winograd's minimal filtering, which needs 4 or 2.25 multiplications per output, not 9.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), section 4. The output is
cut into tiles of m x m, m = 2 or 4. Each needs the (m+2) x (m+2) inputs d around it, and with the kernel g it is

    A^T [ (G g G^T) * (B^T d B) ] A

The elementwise product *, summed over input channels, is one matrix product for each of the (m+2)² positions. All
three transforms are linear, so both gradients are the same steps transposed, with equally few multiplications.

In float32, m = 2 is as exact as the plain form, and m = 4 loses about one of seven digits.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy.polynomial.polynomial import polyfromroots


class Transforms(NamedTuple):
    """B^T [m+2, m+2], G [m+2, 3] and A^T [m, m+2] of the formula above."""

    input: Float[np.ndarray, "k k"]
    kernel: Float[np.ndarray, "k 3"]
    output: Float[np.ndarray, "m k"]


def cook_toom(points: Sequence[float]) -> Transforms:
    """The transforms for tiles of m = len(points) - 1.

    Polynomials are multiplied by multiplying their values at these points and at infinity (their leading
    coefficients). `kernel` and `output` take those values of polynomials with 3 and m coefficients; `input` is the
    interpolation, transposed as a layer's convolution is a transposed product, and its denominators are in `kernel`.
    """
    m, infinity = len(points) - 1, len(points)
    kernel, output, interpolation = np.zeros((m + 2, 3)), np.zeros((m, m + 2)), np.zeros((m + 2, m + 2))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        kernel[i] = point ** np.arange(3) / np.prod(point - others)
        output[:, i] = point ** np.arange(m)
        interpolation[i, :infinity] = polyfromroots(others)
    kernel[infinity, 2] = output[m - 1, infinity] = 1
    interpolation[infinity] = polyfromroots(points)
    return Transforms(interpolation, kernel, output)


# For m = 4 the paper takes 0, 1, -1, 2 and -2, whose errors in float32 are four times as large (tests/cpu).
TRANSFORMS = {2: cook_toom([0, 1, -1]), 4: cook_toom([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)])}


@partial(jax.jit, static_argnames="m")
def winograd_conv(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"], m: int) -> Float[Array, "b h w o"]:
    """3x3 convolution of stride 1, padded by 1, by tiles of m x m outputs."""
    return conv_with_transform(x, transform_kernel(kernel, m))


def transform_kernel(kernel: Float[Array, "3 3 i o"], m: int) -> Float[Array, "p i o"]:
    """G g G^T of each pair of channels, for each of a tile's p = (m+2)² positions."""
    return _transform(TRANSFORMS[m].kernel, kernel.reshape(9, -1)).reshape(-1, *kernel.shape[2:])


def conv_with_transform(x: Float[Array, "b h w i"], transform: Float[Array, "p i o"]) -> Float[Array, "b h w o"]:
    """`winograd_conv` with a kernel from `transform_kernel`."""
    (b, h, w, _), (positions, _, o) = x.shape, transform.shape
    m = math.isqrt(positions) - 2
    rows, columns = -(-h // m), -(-w // m)
    products = lax.dot_general(_input_transform(x, m), transform, (([2], [1]), ([0], [0])))
    tiles = _transform(TRANSFORMS[m].output, products.reshape(positions, -1)).reshape(m, m, b, rows, columns, o)
    return tiles.transpose(2, 3, 0, 4, 1, 5).reshape(b, rows * m, columns * m, o)[:, :h, :w]


def _transform(matrix: Float[np.ndarray, "n k"], parts: Float[Array, "kk rest"]) -> Float[Array, "nn rest"]:
    """matrix X matrix^T of many X, whose elements lie row by row along the first axis."""
    return jnp.asarray(np.kron(matrix, matrix), parts.dtype) @ parts


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _input_transform(x: Float[Array, "b h w i"], m: int) -> Float[Array, "p t i"]:
    """B^T d B of each tile t, its columns first and then its rows, each in one pass over memory.

    Its gradient is that of `_input_transform_by_product`, which is faster backward and slower forward: a detection by
    ResNet-34 of 8 x 256 x 256 takes 0.44 s with this form and 0.50 s with that, on two cores.
    """
    _, h, w, channels = x.shape
    height, width = -(-h // m) * m, -(-w // m) * m
    padded = jnp.pad(x, ((0, 0), (1, height - h + m + 1), (1, width - w + m + 1), (0, 0)))
    columns = _mix(TRANSFORMS[m].input, [padded[:, :, j : j + width : m] for j in range(m + 2)])
    rows = _mix(TRANSFORMS[m].input, [columns[:, :, i : i + height : m] for i in range(m + 2)])
    return rows.reshape((m + 2) ** 2, -1, channels)


def _mix(matrix: Float[np.ndarray, "n k"], parts: list[Float[Array, "..."]]) -> Float[Array, "n ..."]:
    """The sum over k of matrix[:, k] parts[k]."""
    weights = jnp.asarray(matrix, parts[0].dtype).reshape(*matrix.shape, *[1] * parts[0].ndim)
    # Without the barrier XLA recomputes it for each of its uses.
    return lax.optimization_barrier(sum(weights[:, k] * part for k, part in enumerate(parts)))


def _input_transform_by_product(x: Float[Array, "b h w i"], m: int) -> Float[Array, "p t i"]:
    """The same from each tile's m+2 by m+2 inputs: its own, and two from the next tile."""
    b, h, w, channels = x.shape
    rows, columns = -(-h // m), -(-w // m)
    padded = jnp.pad(x, ((0, 0), (1, (rows + 1) * m - h - 1), (1, (columns + 1) * m - w - 1), (0, 0)))
    tiles = padded.reshape(b, rows + 1, m, columns + 1, m, channels)
    tiles = jnp.concatenate([tiles[:, :-1], tiles[:, 1:, :2]], axis=2)
    tiles = jnp.concatenate([tiles[:, :, :, :-1], tiles[:, :, :, 1:, :2]], axis=4)
    patches = tiles.transpose(2, 4, 0, 1, 3, 5).reshape((m + 2) ** 2, -1)
    return _transform(TRANSFORMS[m].input, patches).reshape(len(patches), -1, channels)


def _input_transform_forward(x, m):
    return _input_transform(x, m), jax.vjp(partial(_input_transform_by_product, m=m), x)[1]


def _input_transform_backward(m, pull, gradient):
    return pull(gradient)


_input_transform.defvjp(_input_transform_forward, _input_transform_backward)
