"""The training step and its schedule, in both backends."""

import math
from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.contract.weights_file import read_model_file
from helpers.twins import TWINS

CONFIG = ModelConfig(("a", "b"), (64, 64), depth=18)
# Each recipe costs JAX a compilation, so tests share these.
RECIPE = Recipe(learning_rate=1e-3, total_steps=20, warmup=0.2)
AVERAGING = replace(RECIPE, ema_decay=0.2, backbone_rate=0.25)
# Without any gradient left (clipped away) a step is weight decay alone.
DECAYING = Recipe(learning_rate=0.1, total_steps=10, weight_decay=0.5, clip_norm=1e-30, ema_decay=0)


def batch(seed=0, objects=1):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    rows = np.zeros((2, 4, 6), np.float32)
    rows[:, :objects] = (30, 34, 20, 24, 1, 1)
    return {"image": image, "objects": rows}


def state_of(twin, recipe=RECIPE):
    return twin.package.create_state(CONFIG, recipe, seed=0)


def test_the_loss_falls_and_the_metrics_are_those_of_the_step(twin):
    state, history = state_of(twin), []
    for _ in range(8):
        state, metrics = twin.package.train_step(state, batch())
        history.append({name: float(value) for name, value in metrics.items()})
    assert set(history[0]) == {"heatmap", "offset", "size", "loss", "gradient_norm", "learning_rate"}
    for line in history:
        np.testing.assert_allclose(line["loss"], line["heatmap"] + line["offset"] + line["size"], rtol=1e-6)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert int(state.step) == 8


def test_a_batch_without_objects_trains(twin):
    state, metrics = twin.package.train_step(state_of(twin), batch(objects=0))
    assert all(math.isfinite(float(value)) for value in metrics.values())
    assert float(metrics["offset"]) == float(metrics["size"]) == 0
    heat = twin.package.Detector.of(state, CONFIG).heatmap(batch()["image"])
    assert np.isfinite(heat).all()


def test_schedules_agree_and_are_what_they_say():
    ours = [float(centernet_jax.optimizer.learning_rate(step, RECIPE)) for step in range(25)]
    theirs = [centernet_torch.optimizer.learning_rate(step, RECIPE) for step in range(25)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(theirs[:5], [0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    np.testing.assert_allclose(theirs[12], 0.5e-3)  # half-way down
    assert theirs[20:] == [0] * 5
    assert theirs[4:] == sorted(theirs[4:], reverse=True)


def test_the_authors_drops():
    """140 steps, one for each of their epochs."""
    recipe = Recipe(learning_rate=1.0, total_steps=140, warmup=0, schedule="drops")
    expected = [1.0] * 90 + [0.1] * 30 + [0.01] * 25
    np.testing.assert_allclose([centernet_torch.optimizer.learning_rate(s, recipe) for s in range(145)], expected)
    ours = jax.vmap(lambda step: centernet_jax.optimizer.learning_rate(step, recipe))(np.arange(145))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    warmed = replace(recipe, warmup=100 / 140)
    assert centernet_torch.optimizer.learning_rate(95, warmed) == 0.96
    assert centernet_torch.optimizer.learning_rate(100, warmed) == 0.1


@pytest.mark.slow
def test_accumulation_takes_the_mean_of_several_batches(twin):
    """The same pictures twice are one step on them, except that the running statistics move twice."""
    once, twice = batch(), {name: np.repeat(values, 2, axis=0) for name, values in batch().items()}
    (one, metrics), (two, others) = (
        twin.package.train_step(state_of(twin, replace(RECIPE, accumulate=count)), pictures)
        for count, pictures in ((1, once), (2, twice))
    )
    assert int(one.step) == int(two.step) == 1
    for name, value in metrics.items():
        np.testing.assert_allclose(float(others[name]), float(value), rtol=1e-3)
    fresh, one, two = (tensors(twin, state) for state in (state_of(twin), one, two))
    for name, tensor in one.items():
        if name.endswith("running_mean"):  # r + 0.1 (m - r), then the same again
            np.testing.assert_allclose(two[name], tensor + 0.9 * (tensor - fresh[name]), rtol=1e-3, atol=1e-4)


def test_accumulation_counts_each_batch_whichever_comes_first(twin):
    halves = batch(seed=0), batch(seed=1, objects=3)
    pictures = {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}
    backwards = {name: values[::-1].copy() for name, values in pictures.items()}
    found = []
    for one in (pictures, backwards):
        _, metrics = twin.package.train_step(state_of(twin, replace(RECIPE, accumulate=2)), one)
        found.append({name: float(value) for name, value in metrics.items()})
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-3, err_msg=name)


def movement(twin, recipe):
    """What one step changes in each tensor."""
    fresh = tensors(twin, state_of(twin, recipe))
    state, _ = twin.package.train_step(state_of(twin, recipe), batch())
    return {name: tensor - fresh[name] for name, tensor in tensors(twin, state).items()}


@pytest.mark.slow
def test_the_trunk_moves_less(twin):
    whole, quarter = (movement(twin, recipe) for recipe in (RECIPE, AVERAGING))
    for name in (name for name in whole if "running" not in name):
        expected = whole[name] * (0.25 if name.startswith("backbone.resnet.") else 1)
        np.testing.assert_allclose(quarter[name], expected, rtol=1e-3, atol=2e-7, err_msg=name)


@pytest.mark.slow
def test_a_trunk_at_rate_zero_is_frozen_with_its_statistics(twin):
    for name, moved in movement(twin, replace(RECIPE, backbone_rate=0.0)).items():
        assert (moved == 0).all() == name.startswith("backbone.resnet."), name


def test_pictures_that_make_no_equal_batches_are_refused(twin):
    with pytest.raises(ValueError, match="2 pictures a step cannot be split into 3 equal batches"):
        twin.package.train_step(state_of(twin, replace(RECIPE, accumulate=3)), batch())


def test_without_warm_up_the_first_step_has_the_full_rate():
    recipe = Recipe(learning_rate=1e-3, total_steps=10)
    assert centernet_torch.optimizer.learning_rate(0, recipe) == 1e-3
    np.testing.assert_allclose(centernet_jax.optimizer.learning_rate(0, recipe), 1e-3)


def averages(twin, recipe, steps):
    """The weights after each step, the fresh ones first; the average after the last one; and the last state."""
    state = state_of(twin, recipe)
    weights = [tensors(twin, state)]
    for seed in range(steps):
        state, _ = twin.package.train_step(state, batch(seed))
        weights.append(tensors(twin, state))
    ema = centernet_jax.weights.to_torch(state.ema) if twin.name == "jax" else state.ema
    return weights, {name: np.asarray(tensor) for name, tensor in ema.items()}, state


def test_the_average_is_that_of_weights_and_running_statistics(twin):
    weights, ema, _ = averages(twin, AVERAGING, 3)
    assert ema.keys() == weights[0].keys()
    for name, average in ema.items():
        expected = weights[0][name]
        for decay, after in zip((1 / 10, 2 / 11, 0.2), weights[1:], strict=True):
            expected = decay * expected + (1 - decay) * after[name]
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
    assert any((ema[name] != weights[-1][name]).any() for name in ema if "running" in name)


@pytest.mark.parametrize("recipe", [AVERAGING, DECAYING], ids=["average", "no average"])
def test_a_detector_has_the_average_which_without_decay_is_the_last_weights(twin, tmp_path, recipe):
    weights, ema, state = averages(twin, recipe, 2)
    twin.package.Detector.of(state, CONFIG).save(tmp_path / "model.safetensors")
    saved, _ = read_model_file(tmp_path / "model.safetensors")
    for name, tensor in saved.items():
        np.testing.assert_array_equal(tensor, ema[name])
    other = [name for name in saved if (saved[name] != weights[-1][name]).any()]
    assert bool(other) == bool(recipe.ema_decay)


def test_the_average_forgets_its_first_weights_and_no_more_than_the_decay_says():
    recipe = replace(RECIPE, ema_decay=0.99)
    theirs = [centernet_torch.optimizer.ema_decay(step, recipe) for step in (0, 1, 8, 889, 891, 10**6)]
    np.testing.assert_allclose(theirs, [0.1, 2 / 11, 0.5, 890 / 899, 0.99, 0.99])
    ours = [float(centernet_jax.optimizer.ema_decay(step, recipe)) for step in (0, 1, 8, 889, 891, 10**6)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.slow
def test_bfloat16_trains_close_to_float32(twin):
    history = {}
    for precision in ("float32", "bfloat16"):
        state, losses = state_of(twin, replace(RECIPE, precision=precision)), []
        for _ in range(8):
            state, metrics = twin.package.train_step(state, batch())
            losses.append(float(metrics["loss"]))
        history[precision] = np.array(losses)
        assert {str(tensor.dtype) for tensor in tensors(twin, state).values()} == {"float32"}
        assert str(metrics["loss"].dtype).endswith("float32")
    exact, rounded = history.values()
    assert (exact != rounded).all()  # it does compute in another precision
    np.testing.assert_allclose(rounded[0], exact[0], rtol=0.01)
    np.testing.assert_allclose(
        rounded[1:].mean(), exact[1:].mean(), rtol=0.2
    )  # step by step they differ, as any two do
    assert rounded[-1] < 0.3 * rounded[0]


def test_rematerialisation_computes_each_block_again():
    """test_parity_training.py shows that it changes no result."""
    saving = replace(RECIPE, remat=True)
    step = centernet_jax.train.loss_and_gradients
    programs = [str(jax.make_jaxpr(step)(state_of(TWINS["jax"], recipe), batch())) for recipe in (RECIPE, saving)]
    # The loss's own, and one for the gradients of each block of a ResNet-18.
    assert [program.count("remat") for program in programs] == [1, 1 + 8]
    passes = []
    for recipe in (RECIPE, saving):
        state, seen = state_of(TWINS["torch"], recipe), []
        for block in state.model.backbone.resnet.layer2:
            block.conv2.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        centernet_torch.train_step(state, batch())
        passes.append(len(seen))
    assert passes == [2, 4]


def test_the_jax_step_is_pure():
    first, _ = centernet_jax.train_step(state_of(TWINS["jax"]), batch())
    second, _ = centernet_jax.train_step(state_of(TWINS["jax"]), batch())
    jax.tree.map(np.testing.assert_array_equal, first.variables, second.variables)


def test_seeds_decide_the_weights(twin):
    images = batch()["image"]
    heat = [
        twin.package.Detector.of(twin.package.create_state(CONFIG, RECIPE, seed), CONFIG).heatmap(images)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(heat[0], heat[1])
    assert (heat[0] != heat[2]).any()


def test_weight_decay_takes_kernels_only(twin):
    before = tensors(twin, state_of(twin, DECAYING))
    state, _ = twin.package.train_step(state_of(twin, DECAYING), batch())
    for name, value in tensors(twin, state).items():
        if "running" not in name:
            decayed = value.ndim == 4
            np.testing.assert_allclose(value, before[name] * (0.95 if decayed else 1), rtol=1e-4, atol=1e-7)


def tensors(twin, state):
    if twin.name == "jax":
        return centernet_jax.weights.to_torch(state.variables)
    return {name: tensor.copy() for name, tensor in centernet_torch.weights.to_numpy(state.model).items()}


@pytest.mark.parametrize(
    ("bound", "scale"), [(2.5, 0.5), (5.1, 1), (np.inf, 1)], ids=["beyond", "within", "without bound"]
)
def test_clipping_is_by_the_norm_of_all_gradients(twin, bound, scale):
    gradients = [np.array(values, np.float32) for values in ([3, 0], [0, 4, 0, 0, 0, 0, 0, 0], [[0.0]])]
    clipped, norm = clip(twin, gradients, bound)
    assert norm == 5
    for before, after in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(after, before * scale, rtol=1e-6)


def test_one_gradient_that_is_no_number_spoils_all(twin):
    clipped, norm = clip(twin, [np.float32([1, np.nan]), np.float32([2])], 1.0)
    assert np.isnan(norm)
    assert np.isnan(clipped[1]).all()


def clip(twin, gradients, bound):
    if twin.name == "jax":
        arrays = dict(enumerate(map(jax.numpy.asarray, gradients)))
        clipped, norm = centernet_jax.optimizer.clip_by_global_norm(arrays, bound)
        return list(clipped.values()), float(norm)
    parameters = [torch.nn.Parameter(torch.zeros(gradient.shape)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    norm = centernet_torch.optimizer.clip_by_global_norm(parameters, bound)
    return [parameter.grad.numpy() for parameter in parameters], float(norm)


def test_a_model_file_gives_the_same_boxes_through_both_backends(twin, tmp_path):
    state = state_of(twin)
    for _ in range(3):
        state, _ = twin.package.train_step(state, batch())
    twin.package.Detector.of(state, CONFIG).save(tmp_path / "model.safetensors")
    pictures = [np.random.default_rng(1).integers(0, 256, (50, 90, 3), np.uint8), batch()["image"][0]]
    ours, theirs = (one.package.load(tmp_path / "model.safetensors")(pictures, 0.05) for one in TWINS.values())
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-3)
