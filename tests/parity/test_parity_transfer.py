"""Weights and optimizer state there and back: the same bits, and errors that name the tensor."""

import jax
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict, unflatten_dict

import centernet_jax
import centernet_torch
from centernet_data.contract.checkpoint import part_of
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import read_model_file
from centernet_torch.weights import to_numpy
from helpers.parity_cases import CLASSES, RECIPE, SMALL, batch
from parity.numerics import numerics
from parity.transfer import cast, load_variables, to_jax_state, to_torch_state, variables_of

DEEP = ModelConfig(CLASSES, (64, 64), depth=34, kernel_size=4)
configs = pytest.mark.parametrize("config", [SMALL, pytest.param(DEEP, marks=pytest.mark.slow)], ids=["18", "34"])
dtypes = pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])


def full_batch(seed):
    """Of the size that test_parity_faults.py trains on: the compiled step is the same."""
    return batch("full", SMALL.image_size, images=4, seed=seed)


def jax_state(config, dtype="float32"):
    return cast(centernet_jax.create_state(config, RECIPE, 0), dtype)


def assert_same_bits(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for own, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert own.dtype == other.dtype
        np.testing.assert_array_equal(own, other)


@configs
@dtypes
def test_from_jax_to_torch_and_back(config, dtype):
    with numerics(dtype):
        state = jax_state(config, dtype)
        back = to_jax_state(to_torch_state(state, config), config)
        assert_same_bits(state, back)


@dtypes
def test_from_torch_to_jax_and_back(dtype):
    with numerics(dtype):
        model = centernet_torch.create_state(SMALL, RECIPE, 3).model.to(getattr(torch, dtype))
        before = {name: tensor.copy() for name, tensor in to_numpy(model).items()}
        variables = variables_of(model)
        other = centernet_torch.create_state(SMALL, RECIPE, 4).model.to(getattr(torch, dtype))
        load_variables(other, variables)
        after = to_numpy(other)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert tensor.dtype == after[name].dtype
            np.testing.assert_array_equal(tensor, after[name])


@pytest.mark.parametrize("source", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_a_state_moves_with_its_optimizer_in_the_middle_of_training(source):
    with numerics("float64"):
        state = jax_state(SMALL, "float64")
        if source == "torch":
            state = to_torch_state(state, SMALL)
        step = {"jax": centernet_jax, "torch": centernet_torch}[source].train_step
        for seed in range(3):
            state, _ = step(state, full_batch(seed))
        ours = state if source == "jax" else to_jax_state(state, SMALL)
        there_and_back = to_jax_state(to_torch_state(ours, SMALL), SMALL)
        assert int(there_and_back.step) == 3
        assert_same_bits(ours, there_and_back)
        arrays = centernet_jax.to_arrays(there_and_back)
        for moment in ("exp_avg", "exp_avg_sq"):
            assert all(np.any(value != 0) for value in part_of(arrays, moment).values())


def take(package, state, batches):
    for one in batches:
        state, _ = package.train_step(state, one)
    return state


def test_training_continues_in_the_other_backend():
    """Two steps in each backend, in either order, are four steps in one."""
    batches = [full_batch(seed) for seed in range(4)]
    with numerics("float64"):
        fresh = lambda: jax_state(SMALL, "float64")  # noqa: E731 (a step consumes its state)
        expected = take(centernet_torch, to_torch_state(fresh(), SMALL), batches)
        there = to_torch_state(take(centernet_jax, fresh(), batches[:2]), SMALL)
        back = to_jax_state(take(centernet_torch, to_torch_state(fresh(), SMALL), batches[:2]), SMALL)
        there = take(centernet_torch, there, batches[2:])
        back = to_torch_state(take(centernet_jax, back, batches[2:]), SMALL)
        for found in (there, back):
            tensors = to_numpy(found.model)
            for name, tensor in to_numpy(expected.model).items():
                np.testing.assert_allclose(tensors[name], tensor, rtol=1e-8, atol=1e-8)
                np.testing.assert_allclose(found.ema[name], expected.ema[name], rtol=1e-8, atol=1e-8)


@pytest.fixture(scope="module")
def flax_variables():
    return jax_state(SMALL).variables


@pytest.fixture
def torch_model():
    return centernet_torch.create_state(SMALL, RECIPE).model


PATH = ("params", "backbone", "resnet", "layer3_1", "conv2", "kernel")


def without(variables, path):
    return unflatten_dict({key: value for key, value in flatten_dict(variables).items() if key != path})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda v: without(v, PATH), r"missing tensor backbone\.resnet\.layer3\.1\.conv2\.weight"),
        (
            lambda v: unflatten_dict(
                flatten_dict(v) | {(*PATH[:4], "conv3", "kernel"): np.zeros((1, 1, 2, 2), np.float32)}
            ),
            r"unknown tensor backbone\.resnet\.layer3\.1\.conv3\.weight",
        ),
        (
            lambda v: unflatten_dict(flatten_dict(v) | {PATH: np.zeros((3, 3, 8, 8), np.float32)}),
            r"tensor backbone\.resnet\.layer3\.1\.conv2\.weight has shape \(8, 8, 3, 3\)",
        ),
        (
            lambda v: unflatten_dict(flatten_dict(v) | {PATH: np.asarray(flatten_dict(v)[PATH], np.float64)}),
            r"tensor backbone\.resnet\.layer3\.1\.conv2\.weight is float64, the module's float32",
        ),
    ],
    ids=["missing", "extra", "misshapen", "other precision"],
)
def test_an_error_names_the_tensor_and_changes_nothing(damage, message, flax_variables, torch_model):
    before = {name: tensor.copy() for name, tensor in to_numpy(torch_model).items()}
    with pytest.raises(ValueError, match=message):
        load_variables(torch_model, damage(flax_variables))
    for name, tensor in to_numpy(torch_model).items():
        np.testing.assert_array_equal(tensor, before[name])


def test_float64_is_refused_where_jax_would_round_it(torch_model):
    with pytest.raises(ValueError, match="x64 mode"):
        variables_of(torch_model.double())


def test_the_model_file_is_the_same_from_both(tmp_path):
    state = jax_state(SMALL)
    centernet_jax.Detector.of(state, SMALL).save(tmp_path / "jax.safetensors")
    centernet_torch.Detector.of(to_torch_state(state, SMALL), SMALL).save(tmp_path / "torch.safetensors")
    ours, theirs = (read_model_file(tmp_path / f"{name}.safetensors") for name in ("jax", "torch"))
    assert ours[1] == theirs[1] == SMALL
    assert ours[0].keys() == theirs[0].keys()
    for name, tensor in ours[0].items():
        np.testing.assert_array_equal(tensor, theirs[0][name])


@pytest.mark.parametrize(
    "to", [pytest.param(to_jax_state, id="to jax", marks=pytest.mark.slow), pytest.param(to_torch_state, id="to torch")]
)
def test_a_state_of_another_model_is_refused(to, torch_model):
    state = jax_state(SMALL)
    if to is to_jax_state:
        state = to_torch_state(state, SMALL)
    with pytest.raises(ValueError, match=r"the array ema\.backbone\.resnet\.layer1\.2\.bn1\.bias is missing"):
        to(state, ModelConfig(CLASSES, (64, 64), depth=34))
