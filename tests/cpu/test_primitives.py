"""The fast forms of convolution, normalisation and pooling: against plain forms and torch, with their gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jaxtyping import TypeCheckError

from centernet_jax.cpu.activation import add_relu
from centernet_jax.cpu.convolution import conv2d, conv_of_same_size, upscale_twice
from centernet_jax.cpu.normalization import EPSILON, normalize_channels
from centernet_jax.cpu.pooling import max_pool
from centernet_jax.cpu.reductions import global_norm, sum_of_channels
from centernet_jax.cpu.winograd import TRANSFORMS, cook_toom, winograd_conv
from helpers.arrays import nchw, nchw_kernel, random


def plain_conv(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))


def with_gradients(function, *arguments, seed=9):
    """A function's result, and its gradients with respect to all arguments for a random gradient of the result."""
    result, pull = jax.vjp(function, *arguments)
    return result, *pull(jnp.asarray(random(*result.shape, seed=seed), result.dtype))


@pytest.mark.parametrize(("kernel_size", "padding", "output_padding"), [(2, 0, 0), (3, 1, 1), (4, 1, 0), (5, 2, 1)])
def test_upscaling_equals_transposed_convolution_with_its_gradients(kernel_size, padding, output_padding):
    with jax.enable_x64(True):
        x, kernel = map(jnp.asarray, (random(2, 3, 5, 4), random(kernel_size, kernel_size, 6, 4, seed=1)))
        pads = [(kernel_size - 1 - padding, kernel_size - 1 - padding + output_padding)] * 2

        def plain(x, kernel):
            numbers = ("NHWC", "HWIO", "NHWC")
            return lax.conv_transpose(x, kernel, (2, 2), pads, dimension_numbers=numbers, transpose_kernel=True)

        def ours(x, kernel):
            return upscale_twice(x, kernel, padding)

        expected = torch.nn.functional.conv_transpose2d(nchw(x), nchw_kernel(kernel), None, 2, padding, output_padding)
        np.testing.assert_allclose(nchw(ours(x, kernel)), expected, rtol=1e-12, atol=1e-12)
        for argument in (0, 1):
            gradients = [jax.grad(lambda *a, f=f: jnp.sin(f(*a)).sum(), argument)(x, kernel) for f in (plain, ours)]
            np.testing.assert_allclose(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hw", [(1, 1), (2, 2), (2, 3), (4, 4), (4, 6), (5, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_equals_xlas_with_its_gradients(hw, stride):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(random(2, *hw, 4)), jnp.asarray(random(3, 3, 4, 5, seed=1))
        pads, numbers = [(1, 1), (1, 1)], ("NHWC", "HWIO", "NHWC")

        def plain(x, kernel):
            return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=numbers)

        forms = [plain, lambda x, kernel: conv2d(x, kernel, stride)]
        np.testing.assert_allclose(*[f(x, kernel) for f in forms], rtol=1e-12, atol=1e-12)
        for argument in (0, 1):
            gradients = [jax.grad(lambda *a, f=f: jnp.sin(f(*a)).sum(), argument)(x, kernel) for f in forms]
            np.testing.assert_allclose(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(2, 2), (3, 1), (3, 5)])
def test_kernels_that_the_forms_do_not_cover_are_refused(size):
    with pytest.raises((ValueError, TypeCheckError), match="kernel"):
        conv2d(jnp.zeros((1, 4, 4, 2)), jnp.zeros((*size, 2, 2)))


@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 1000]), hw=st.sampled_from([(8, 8), (7, 10), (5, 3)]))
@settings(max_examples=15, deadline=None)
def test_max_pool_equals_torch_with_its_gradient_ties_included(seed, levels, hw):
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x = rng.integers(-levels, levels, (2, *hw, 3)).astype(float)
        pooled, pull = jax.vjp(max_pool, jnp.asarray(x))
        weights = rng.normal(size=pooled.shape)
        other = nchw(x).requires_grad_()
        expected = torch.nn.functional.max_pool2d(other, 3, 2, padding=1)
        np.testing.assert_array_equal(nchw(pooled), expected.detach())
        (gradient,) = torch.autograd.grad(expected, other, nchw(weights))
        np.testing.assert_allclose(nchw(pull(jnp.asarray(weights))[0]), gradient, rtol=1e-12)


def test_max_pool_sends_its_gradient_back_through_what_xla_computes_twice():
    """XLA computes the cheap producers of a pool's input again for each use, with different rounding."""

    def loss(pool, conv, x, scale):
        y = x @ conv
        y = (y - y.mean((0, 1, 2))) * (lax.rsqrt(y.var((0, 1, 2)) + 1e-5) * scale) + 0.1
        return jnp.square(pool(nn.relu(y))).sum()

    def plain(x):
        return nn.max_pool(x, (3, 3), (2, 2), padding=[(1, 1), (1, 1)])

    with jax.enable_x64(True):
        arguments = [jnp.asarray(a) for a in (random(8, 8), random(3, 32, 32, 8, seed=1), random(8, seed=2))]
        gradients = [jax.jit(jax.grad(lambda *a, p=p: loss(p, *a), (0, 2)))(*arguments) for p in (max_pool, plain)]
        for ours, expected in zip(*gradients, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def assert_winograd_equals_the_plain_form(batch, h, w, channels, m):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(random(batch, h, w, channels[0])), jnp.asarray(random(3, 3, *channels, seed=1))
        forms = partial(winograd_conv, m=m), plain_conv
        for ours, theirs in zip(*(with_gradients(f, x, kernel) for f in forms), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hw", [(1, 1), (4, 3), (5, 11), (8, 8)])
@pytest.mark.parametrize("m", [2, 4])
def test_winograds_form_equals_the_plain_one_with_its_gradients(hw, m):
    assert_winograd_equals_the_plain_form(2, *hw, (3, 5), m)


SIDES = st.integers(1, 11)


@pytest.mark.slow
@given(st.integers(1, 3), SIDES, SIDES, st.sampled_from([(1, 1), (3, 5), (4, 2)]), st.sampled_from([2, 4]))
@settings(max_examples=40, deadline=None)
def test_winograds_form_equals_the_plain_one_for_any_size(batch, h, w, channels, m):
    assert_winograd_equals_the_plain_form(batch, h, w, channels, m)


# A convolution of each kind that the network has at some size: by 4 x 4 tiles, by 2 x 2, and plain.
KINDS = {4: (6, 16, 16), 2: (4, 9, 11), None: (2, 8, 8)}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_chosen_form_equals_the_plain_one_with_its_gradients(kind):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(random(*KINDS[kind], 32)), jnp.asarray(random(3, 3, 32, 33, seed=1))
        for ours, theirs in zip(*(with_gradients(f, x, kernel) for f in (conv_of_same_size, plain_conv)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    ("platform", "shape", "dtype", "form"),
    [
        ("cpu", KINDS[4], np.float32, (36, 96)),  # positions of a tile, tiles
        ("cpu", KINDS[2], np.float32, (16, 120)),
        ("cpu", KINDS[None], np.float32, None),
        ("cpu", KINDS[4], jnp.bfloat16, None),
        ("cuda", KINDS[4], np.float32, None),
        ("tpu", KINDS[4], np.float32, None),
    ],
)
def test_which_form_is_chosen(platform, shape, dtype, form):
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in ((*shape, 32), (3, 3, 32, 32), (*shape, 32))]

    def gradients(x, kernel, gradient):
        return jax.vjp(conv_of_same_size, x, kernel)[1](gradient)

    for function in (conv_of_same_size, gradients):
        given = arguments[: 2 if function is conv_of_same_size else 3]
        program = jax.export.export(jax.jit(function), platforms=[platform])(*given).mlir_module()
        assert ("stablehlo.convolution" in program) == (form is None)
        assert ("stablehlo.dot_general" in program) == (form is not None)
        assert form is None or f"tensor<{form[0]}x{form[1]}x32xf32>" in program


def test_few_channels_keep_the_plain_form():
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((*KINDS[4], 8), (3, 3, 8, 64))]
    assert "stablehlo.convolution" in jax.jit(conv_of_same_size).lower(*arguments).as_text()


def test_the_transforms_of_two_are_the_papers():
    """Except for signs, which cancel."""
    kernel = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    np.testing.assert_array_equal(TRANSFORMS[2].kernel * [[-1], [1], [1], [1]], kernel)
    np.testing.assert_array_equal(TRANSFORMS[2].output * [1, 1, 1, -1], [[1, 1, 1, 0], [0, 1, -1, -1]])


def test_our_points_are_more_accurate_in_float32_than_the_papers_and_nearly_as_the_plain_form(monkeypatch):
    wide = np.maximum(random(4, 16, 16, 256), 0), random(3, 3, 256, 32, seed=1) / 48
    with jax.enable_x64(True):
        exact = np.asarray(plain_conv(*map(jnp.asarray, wide)))
    x, kernel = (jnp.asarray(array.astype(np.float32)) for array in wide)

    def greatest_error(result):
        return np.abs(np.asarray(result).astype(float) - exact).max() / np.abs(exact).max()

    plain, two, four = map(greatest_error, (plain_conv(x, kernel), *(winograd_conv(x, kernel, m) for m in (2, 4))))
    monkeypatch.setitem(TRANSFORMS, 4, cook_toom([0, 1, -1, 2, -2]))
    papers = greatest_error(winograd_conv.__wrapped__(x, kernel, 4))
    assert two < 3 * plain
    assert four < 10 * plain
    assert papers > 2 * four


@pytest.mark.parametrize("shape", [(8, 4, 4, 3), (1, 1, 1, 3), (2, 3, 5, 4), (1, 7, 1, 1), (4, 6, 6, 5)])
def test_sum_of_channels(shape):
    with jax.enable_x64(True):
        x = random(*shape)
        np.testing.assert_allclose(sum_of_channels(jnp.asarray(x)), x.sum((0, 1, 2)), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("exponent", [-30, 0, 30])  # of one magnitude, and of very different ones
def test_relu_of_a_sum_is_the_plain_one_bit_for_bit_with_its_gradients(dtype, exponent):
    """Compiled together with a normalisation, as in the network: rounding must not differ between two uses of it."""
    x = jnp.asarray(random(4, 8, 8, 16), dtype) * 2.0**exponent
    y, scale, bias = (jnp.asarray(random(*shape, seed=1), np.float32) for shape in ((4, 8, 8, 16), (16,), (16,)))

    @partial(jax.jit, static_argnums=0)
    def after_a_normalisation(form, x, y):
        return with_gradients(lambda x, y: form(x, (y * scale + bias).astype(dtype)), x, y)

    expected = after_a_normalisation(lambda x, y: nn.relu(x + y), x, y)
    assert 0.1 < (np.asarray(expected[0]) == 0).mean() < 0.9
    for ours, theirs in zip(after_a_normalisation(add_relu, x, y), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_on_accelerators_it_is_the_plain_one(platform):
    arguments = [jax.ShapeDtypeStruct((1, 8, 8, 16), np.float32)] * 2
    program = jax.export.export(jax.jit(add_relu), platforms=[platform])(*arguments).mlir_module()
    assert ("stablehlo.negate" in program) == (platform == "cpu")


def test_the_global_norm():
    arrays = [random(*shape, seed=seed) for seed, shape in enumerate([(3,), (3, 3, 4, 8), (16,), (1, 1)])]
    expected = np.sqrt(sum(np.square(array).sum() for array in arrays))
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(global_norm)(arrays), expected, rtol=1e-13)
        np.testing.assert_allclose(optax.tree.norm(arrays), expected, rtol=1e-13)  # the form on other platforms


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_only_a_cpu_adds_up_by_eights(platform):
    arrays = [jax.ShapeDtypeStruct((3, 3, 4, 8), np.float32)]
    program = jax.export.export(jax.jit(global_norm), platforms=[platform])(arrays).mlir_module()
    assert ("tensor<8x36xf32>" in program) == (platform == "cpu")


def test_normalisation_has_the_gradients_of_the_plain_form():
    def plain(x, scale, bias):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) / jnp.sqrt(var + EPSILON) * scale + bias

    with jax.enable_x64(True):
        arguments = [jnp.asarray(a) for a in (random(3, 5, 4, 6) * 2 + 1, random(6, seed=1), random(6, seed=2))]
        forms = lambda *a: normalize_channels(*a)[0], plain
        for ours, theirs in zip(*(with_gradients(f, *arguments) for f in forms), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)
        _, mean, var = normalize_channels(*arguments)
        np.testing.assert_allclose(mean, arguments[0].mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(var, arguments[0].var((0, 1, 2)), rtol=1e-12)
