"""Kernel transforms that a detector keeps on a CPU: same results, computed once, not part of the model."""

import gc
import pickle
import weakref
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import centernet_jax
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.backbone import Conv
from centernet_jax.detector import kernel_transforms
from centernet_jax.train import create_model, create_state
from helpers.arrays import random

CONFIG = ModelConfig(("a", "b"), (96, 96), depth=18)
SHAPE = (1, 96, 96, 3)  # of 36 tiles at a quarter of the size: enough for layer1 and the head
MODEL = create_model(CONFIG)


@pytest.fixture(scope="module")
def state():
    return create_state(CONFIG, Recipe(learning_rate=1e-3, total_steps=1))


@pytest.fixture(scope="module")
def transforms(state):
    return kernel_transforms(MODEL, state.variables, SHAPE)


def test_they_belong_to_the_layers_for_which_winograds_form_is_faster(transforms):
    assert set(transforms) == {"transforms"}
    network = transforms["transforms"]
    assert set(network["backbone"]["resnet"]) == {"layer1_0", "layer1_1"}
    assert set(network["head"]) == {"heatmap", "offset", "size"}
    assert {array.shape for array in jax.tree.leaves(transforms)} == {(16, 64, 64)}


@pytest.mark.parametrize("shape", [SHAPE, (2, 32, 64, 3)], ids=str)
def test_with_them_the_network_gives_the_same_for_images_of_any_shape(state, transforms, shape):
    images = jnp.asarray(random(*shape).astype(np.float32))
    plain, kept = (
        jax.jit(MODEL.apply)(variables, images) for variables in (state.variables, state.variables | transforms)
    )
    np.testing.assert_allclose(plain, kept, rtol=1e-5, atol=1e-5)


def test_a_kept_transform_is_what_the_convolution_computes_with():
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(random(4, 16, 16, 32)), jnp.asarray(random(3, 3, 32, 32, seed=1))
        layer = Conv(features=32, kernel_size=3)
        expected, kept = layer.apply({"params": {"kernel": kernel}}, x, mutable="transforms")
        found = layer.apply({"params": {"kernel": jnp.full_like(kernel, jnp.nan)}, **kept}, x)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_kernels_are_not_transformed_again(state, transforms):
    images = jnp.zeros(SHAPE)
    plain, kept = (
        jax.jit(MODEL.apply).lower(variables, images).as_text()
        for variables in (state.variables, state.variables | transforms)
    )
    transformed = "(tensor<16x9xf32>, tensor<9x4096xf32>)"
    assert transformed in plain
    assert transformed not in kept


def test_a_detector_makes_them_once_for_full_batches_and_once_for_a_last_smaller_one(state):
    detector = centernet_jax.Detector.of(state, CONFIG)
    full, last = ((batch, *SHAPE[1:]) for batch in (3, 1))
    variables = detector.variables_for(full)
    assert {array.shape for array in jax.tree.leaves(variables["transforms"])} == {(36, 64, 64), (16, 128, 128)}
    assert detector.variables_for(last)["transforms"] is not variables["transforms"]
    assert detector.variables_for(full)["transforms"] is variables["transforms"]


def test_a_detector_computes_with_them(state, monkeypatch):
    def spoilt(*arguments):
        return jax.tree.map(lambda array: array * jnp.nan, kernel_transforms(*arguments))

    monkeypatch.setattr("centernet_jax.detector.kernel_transforms", spoilt)
    assert np.isnan(centernet_jax.Detector.of(state, CONFIG).heatmap(np.zeros(SHAPE, np.uint8))).all()


def test_only_a_cpu_in_float32_has_any(state, monkeypatch):
    in_bfloat16 = centernet_jax.Detector.of(state, CONFIG, precision="bfloat16")
    assert in_bfloat16.variables_for(SHAPE) is in_bfloat16.variables
    monkeypatch.setattr("centernet_jax.detector.local_devices_of", lambda _: [SimpleNamespace(platform="gpu")])
    elsewhere = centernet_jax.Detector(CONFIG, MODEL, state.variables)
    assert elsewhere.variables_for(SHAPE) is elsewhere.variables


def test_they_are_freed_with_their_detector(state):
    """Training makes a detector at each evaluation, and Python's cycle collector does not see device memory."""
    gc.disable()
    try:
        detector = centernet_jax.Detector.of(state, CONFIG)
        detector.variables_for(SHAPE)
        gone = weakref.ref(detector)
        del detector
        assert gone() is None
    finally:
        gc.enable()


def test_they_are_not_part_of_the_model(state, tmp_path):
    assert set(jax.eval_shape(MODEL.init, jax.random.key(0), jnp.zeros((8, 96, 96, 3)))) == {"params", "batch_stats"}
    detector = centernet_jax.Detector.of(state, CONFIG)
    images = random(1, 96, 96, 3, seed=3).astype(np.uint8)
    before = detector.detect(images)
    detector.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(centernet_jax.load(tmp_path / "model.safetensors").detect(images), before)


def test_a_detector_whose_weights_are_replaced_computes_with_the_new_ones(state):
    detector, images = centernet_jax.Detector.of(state, CONFIG), random(1, 96, 96, 3, seed=3).astype(np.uint8)
    before = detector.heatmap(images)
    detector.variables["params"] = jax.tree.map(lambda array: array * 1.1, detector.variables["params"])
    fresh = centernet_jax.Detector(CONFIG, detector.model, dict(detector.variables))
    after = detector.heatmap(images)
    np.testing.assert_array_equal(after, fresh.heatmap(images))
    assert not np.array_equal(before, after)


def test_a_used_detector_can_be_pickled_hashed_and_compared(state):
    detector, images = centernet_jax.Detector.of(state, CONFIG), random(1, 96, 96, 3, seed=3).astype(np.uint8)
    before = detector.heatmap(images)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.heatmap(images), before)
    assert detector == detector
    assert len({detector, again}) == 2
