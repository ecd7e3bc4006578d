"""JAX's transformations around what is public and pure give what the functions give by themselves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import centernet_jax
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.loss import focal_loss
from centernet_jax.network import average_flipped
from helpers.arrays import random

pytestmark = pytest.mark.slow
OBJECTS = np.array([[[10, 12, 8, 9, 1, 1], [20, 7, 5, 14, 0, 1]], [[3, 30, 6, 4, 1, 1], [0, 0, 0, 0, 0, 0]]], float)
POINTS = 1 / (1 + np.exp(-random(2, 8, 8, 6)))
# Each of whole batches, with the arrays that it takes.
FUNCTIONS = {
    "objects_to_points": (centernet_jax.ObjectsToPoints(8, targets="adaptive"), [OBJECTS / [4, 4, 4, 4, 1, 1]]),
    "points_to_objects": (centernet_jax.PointsToObjects(5), [POINTS]),
    "suppression": (centernet_jax.PointsNonMaxSuppression(), [POINTS]),
    "scale_objects": (centernet_jax.ScaleObjects(), [OBJECTS]),
    "average_flipped": (average_flipped, [POINTS, POINTS[::-1]]),
    "focal_loss": (focal_loss, [random(2, 8, 8, 2), np.round(POINTS[..., :2], 1)]),
    "loss": (centernet_jax.CenterNetLoss(normalization="image"), [POINTS, OBJECTS]),
    "decode": (partial(centernet_jax.CenterNet().apply, {}, method="decode"), [POINTS]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transformations_of_pure_functions(name):
    function, arrays = FUNCTIONS[name]
    with jax.enable_x64(True):
        arrays = [jnp.asarray(array) for array in arrays]
        expected = jax.jit(function)(*arrays)
        same = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
        one_by_one = jax.vmap(lambda *one: function(*[array[None] for array in one])[0])
        same(jax.jit(one_by_one)(*arrays), expected)
        same(lax.scan(lambda carry, _: (carry, function(*arrays)), 0, None, length=1)[1][0], expected)
        gradients = [
            jax.jit(jax.grad(lambda first, f=f: f(first, *arrays[1:]).sum()))(arrays[0])
            for f in (function, jax.checkpoint(function))
        ]
        same(*gradients)
        assert np.isfinite(gradients[0]).all()


CONFIG = ModelConfig(("a", "b"), (32, 32), depth=18, hidden_channels=(8, 8), out_channels=8, head_channels=8)


def batch(seed):
    image = np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), np.uint8)
    return {"image": image, "objects": np.concatenate([OBJECTS, OBJECTS[::-1]])}


def assert_same_states(state, expected):
    assert state.step == expected.step
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def trained():
    """In float64: a state, the two batches of its next steps, and the states after each."""
    with jax.enable_x64(True):
        state = centernet_jax.create_state(CONFIG, Recipe(total_steps=10))
        copy = partial(jax.tree.map, jnp.copy)
        batches = [batch(1), batch(2)]
        first, _ = centernet_jax.train_step(copy(state), batches[0])
        second, _ = centernet_jax.train_step(copy(first), batches[1])
        yield state, batches, first, second


def test_x64_mode_is_float64_from_the_first_weights_with_one_program(trained):
    state, _, first, second = trained
    drawn = centernet_jax.create_state
    with jax.enable_x64(False):
        single = drawn(CONFIG, Recipe(total_steps=10))
    for wide, narrow in zip(jax.tree.leaves(state.variables), jax.tree.leaves(single.variables), strict=True):
        assert wide.dtype == np.float64
        np.testing.assert_array_equal(wide.astype(np.float32), narrow)
    for one in (first, second):
        assert {leaf.dtype.name for leaf in jax.tree.leaves(one)} == {"float64", "int64", "int32"}
    compiled = centernet_jax.train._compiled(tuple(centernet_jax.devices.devices_of(state.params)), np.dtype(float))
    assert compiled._cache_size() == 1


def test_the_training_step_composes(trained):
    state, batches, first, second = trained
    with jax.enable_x64(True):
        stepped, metrics = jax.jit(centernet_jax.train_step)(state, batches[0])
        assert_same_states(stepped, first)
        both = {name: np.stack([one[name] for one in batches]) for name in batches[0]}
        scanned, history = lax.scan(centernet_jax.train_step, state, both)
        assert_same_states(scanned, second)
        assert history["loss"].shape == (2,)
        np.testing.assert_allclose(history["loss"][0], metrics["loss"], rtol=1e-9)


def test_an_ensemble_trains_by_vmap(trained):
    state, batches, first, _ = trained
    with jax.enable_x64(True):
        other = centernet_jax.create_state(CONFIG, state.recipe, seed=1)
        # As lists of arrays: the tests' annotation checks know states without a further axis only.
        leaves, kind = jax.tree.flatten(state)
        ensemble = [jnp.stack(both) for both in zip(leaves, jax.tree.leaves(other), strict=True)]

        def step(leaves):
            return jax.tree.leaves(centernet_jax.train_step(jax.tree.unflatten(kind, leaves), batches[0])[0])

        stepped = jax.jit(jax.vmap(step))(ensemble)
        assert_same_states(jax.tree.unflatten(kind, [leaf[0] for leaf in stepped]), first)
        assert any(not np.array_equal(*leaf) for leaf in stepped)
