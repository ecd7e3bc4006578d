"""Sums over many numbers, in the order in which a CPU adds them up fast."""

import math

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float


def sum_of_channels(x: Float[Array, "b h w c"]) -> Float[Array, "c"]:
    """The sum over batch, height and width.

    On a CPU XLA alone sums one channel after the other, with strides between its elements: for 8 x 64² x 64 that takes
    2.1 ms on one core, and in groups of eight rows 0.15 ms.
    """

    def on_cpu(x):
        rows = x.reshape(-1, x.shape[-1])
        by_eights = lax.optimization_barrier(rows.reshape(-1, math.gcd(8, len(rows)), x.shape[-1]).sum(1))
        return by_eights.sum(0)

    return lax.platform_dependent(x, cpu=on_cpu, default=lambda x: x.sum((0, 1, 2)))


def global_norm(arrays: list[Float[Array, "..."]]) -> Float[Array, ""]:
    """The Euclidean norm of all arrays together.

    On a CPU XLA alone stores every square and then sums them one by one: for the gradients of ResNet-18 (13 million
    numbers) that takes 19 ms on two cores, and in groups of eight 4 ms.
    """

    def on_cpu(arrays):
        by_eights = [jnp.square(array.reshape(math.gcd(8, array.size), -1)).sum(0) for array in arrays]
        return jnp.sqrt(sum(rows.sum() for rows in lax.optimization_barrier(by_eights)))

    return lax.platform_dependent(arrays, cpu=on_cpu, default=optax.tree.norm)
