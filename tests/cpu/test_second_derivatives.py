"""The second derivatives of the forms with gradients of their own, against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from centernet_jax.cpu.activation import add_relu
from centernet_jax.cpu.convolution import conv_by_product, conv_of_same_size, halving_conv, upscale_twice
from centernet_jax.cpu.normalization import normalize_channels
from centernet_jax.cpu.pooling import max_pool
from helpers.arrays import random

FORMS = {
    "add_relu": (add_relu, [(2, 3, 3, 4), (2, 3, 3, 4)]),
    "convolution by tiles of 4": (conv_of_same_size, [(6, 16, 16, 32), (3, 3, 32, 32)]),
    "convolution by tiles of 2": (conv_of_same_size, [(4, 9, 11, 32), (3, 3, 32, 32)]),
    "plain convolution": (conv_of_same_size, [(2, 8, 8, 4), (3, 3, 4, 3)]),
    "convolution by a product": (conv_by_product, [(2, 2, 2, 4), (3, 3, 4, 3)]),
    "halving convolution": (halving_conv, [(2, 4, 6, 4), (3, 3, 4, 3)]),
    "transposed convolution": (upscale_twice, [(2, 2, 3, 4), (3, 3, 3, 4)]),
    "normalisation": (lambda *arguments: normalize_channels(*arguments)[0], [(2, 3, 3, 4), (4,), (4,)]),
    "max_pool": (max_pool, [(2, 5, 6, 4)]),
}


@pytest.mark.parametrize("name", FORMS)
def test_second_derivatives_are_those_of_finite_differences(name):
    form, shapes = FORMS[name]
    with jax.enable_x64(True):
        arguments, direction, other = (
            [jnp.asarray(random(*shape, seed=seed + 3 * i)) for i, shape in enumerate(shapes)] for seed in (0, 1, 2)
        )
        weights = jnp.asarray(random(*jax.eval_shape(form, *arguments).shape, seed=20))
        every = tuple(range(len(arguments)))
        gradient = jax.grad(lambda *a: (jnp.sin(form(*a)) * weights).sum(), every)

        @jax.jit
        def along(*a):  # the derivative along `direction`
            return sum(jnp.vdot(one, d) for one, d in zip(gradient(*a), direction, strict=True))

        step = 1e-6
        after, before = (along(*[a + s * o for a, o in zip(arguments, other, strict=True)]) for s in (step, -step))
        second = sum(jnp.vdot(one, o) for one, o in zip(jax.grad(along, every)(*arguments), other, strict=True))
        np.testing.assert_allclose(second, (after - before) / (2 * step), rtol=1e-7)
