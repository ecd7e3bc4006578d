"""Detectors as objects of Python: copied, pickled, changed and shared by threads; and what they refuse."""

import copy
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.core import freeze
from safetensors.numpy import save_file

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import read_model_file, write_model_file

pytestmark = pytest.mark.usefixtures("quick_compilation")
CONFIG = ModelConfig(("a", "b"), (32, 32), depth=18, hidden_channels=(8, 8), out_channels=8, head_channels=8)
THREE = replace(CONFIG, classes=("a", "b", "c"))
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)  # enough for JAX to keep transforms


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model.safetensors of fresh weights."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    centernet_torch.Detector(CONFIG, centernet_torch.create_model(CONFIG, device="cpu")).save(path)
    return path


@pytest.fixture(scope="module")
def used(twin, model):
    """A detector that has been used, and the heatmap that it found."""
    detector = twin.package.load(model)
    heat = detector.heatmap(IMAGES)
    assert twin.name == "torch" or detector._transforms
    return detector, heat


def copies_of(detector):
    return [pickle.loads(pickle.dumps(detector)), copy.copy(detector), copy.deepcopy(detector), replace(detector)]


def test_copies_of_a_used_detector_find_the_same(used):
    detector, heat = used
    for again in copies_of(detector):
        np.testing.assert_array_equal(again.heatmap(IMAGES), heat)


def test_detectors_are_hashable_and_equal_to_themselves_only(twin, model, used):
    for detector in (used[0], twin.package.load(model)):
        assert len({detector, *copies_of(detector)}) == 5
        assert detector == detector
        assert detector != copy.copy(detector)


def test_threads_may_share_a_detector(used):
    detector, heat = used
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(detector.heatmap, [IMAGES] * 12):
            np.testing.assert_array_equal(found, heat)


def test_a_model_in_training_mode_is_put_back_into_it_after_its_last_user_only(model):
    detector = centernet_torch.load(model)
    detector.model.train()
    first, second = (centernet_torch.detector._evaluating(detector.model) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not any(module.training for module in detector.model.modules())
    second.__exit__(None, None, None)
    assert all(module.training for module in detector.model.modules())


def test_a_changed_torch_model_is_seen(model):
    detector = centernet_torch.load(model)
    before = detector.heatmap(IMAGES)
    detector.model.head.heatmap.conv2.bias.data += 1
    assert (detector.heatmap(IMAGES) > before).all()


def numpy_variables(model):
    return jax.tree.map(np.array, centernet_jax.load(model).variables)


def test_variables_may_be_arrays_of_numpy_and_change_in_place(model, monkeypatch):
    variables = numpy_variables(model)
    detector = centernet_jax.Detector(CONFIG, centernet_jax.create_model(CONFIG), variables)
    before = detector.heatmap(IMAGES)
    variables["params"]["backbone"]["resnet"]["layer1_0"]["conv1"]["kernel"][:] *= 1.5  # one that is transformed
    after = detector.heatmap(IMAGES)
    assert not np.array_equal(after, before)
    fresh = centernet_jax.Detector(CONFIG, detector.model, jax.tree.map(np.array, variables))
    np.testing.assert_array_equal(after, fresh.heatmap(IMAGES))


def test_variables_may_be_frozen(model):
    variables = numpy_variables(model)
    frozen, plain = (
        centernet_jax.Detector(CONFIG, centernet_jax.create_model(CONFIG), given)
        for given in (freeze(variables), variables)
    )
    np.testing.assert_array_equal(frozen.heatmap(IMAGES), plain.heatmap(IMAGES))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, r"images must be uint8 \[B, H, W, 3\], not float64 \[9, 32, 32, 3\]"),
        (IMAGES[0], r"images must be uint8 \[B, H, W, 3\], not uint8 \[32, 32, 3\]"),
        (IMAGES.transpose(0, 3, 1, 2), r"not uint8 \[9, 3, 32, 32\]"),
        (IMAGES[:, :20], "multiples of 32, not 20 x 32"),
        (IMAGES[:0], "at least one"),
        (None, "not NoneType"),
    ],
)
def test_other_images_are_refused(as_users_call, used, images, message):
    for look in (used[0].detect, used[0].heatmap):
        with pytest.raises(ValueError, match=message):
            look(images)


def test_images_may_be_views_that_cannot_be_written(used):
    detector, heat = used
    view = IMAGES[:, :, ::-1].copy()[:, :, ::-1]
    view.flags.writeable = False
    np.testing.assert_array_equal(detector.heatmap(view), heat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, not 'float16'"),
        ({"precision": None}, "precision must be one of float32, bfloat16, not None"),
        ({"flip_test": "no"}, "flip_test must be True or False, not 'no'"),
        ({"device": "cuda"}, "device must be one of cpu, gpu, not 'cuda'"),
    ],
)
def test_other_options_are_refused(as_users_call, twin, model, options, message):
    with pytest.raises(ValueError, match=message):
        twin.package.load(model, **options)


def test_a_model_of_other_classes_than_the_configuration_names_is_refused(used):
    with pytest.raises(ValueError, match=r"the model has 2 classes, but config\.classes names 3"):
        replace(used[0], config=THREE)


def test_a_state_of_other_classes_than_the_configuration_names_is_refused(as_users_call, twin):
    state = SimpleNamespace(model=SimpleNamespace(num_classes=2))
    with pytest.raises(ValueError, match=r"the model has 2 classes, but config\.classes names 3"):
        twin.package.Detector.of(state, THREE)


def folder(path, model):
    path.mkdir()


def empty(path, model):
    path.touch()


def pipe(path, model):
    os.mkfifo(path)  # which nobody ever writes to


def truncated(path, model):
    path.write_bytes(model.read_bytes()[:-9])


def in_float64(path, model):
    tensors, config = read_model_file(model)
    metadata = {"format": "centernet", "config": json.dumps(asdict(config))}
    save_file({name: tensor.astype(np.float64) for name, tensor in tensors.items()}, path, metadata)


def not_finite(path, model):
    tensors, config = read_model_file(model)
    write_model_file(path, tensors | {"head.size.conv2.bias": np.array([0, np.nan])}, config)


def nothing(path, model):
    pass


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (nothing, "there is no such file; give a model.safetensors that training wrote"),
        (folder, "a folder; give a model.safetensors that training wrote"),
        (empty, "the file is empty"),
        (pipe, "not an ordinary file; give a model.safetensors"),
        (truncated, r"not a model.safetensors that training wrote \("),
        (in_float64, "tensor backbone.* is of float64, not float32"),
        (not_finite, r"tensor head\.size\.conv2\.bias holds values that are not finite"),
    ],
)
def test_files_that_hold_no_model_are_refused(twin, tmp_path, model, write, message):
    path = tmp_path / "m.safetensors"
    write(path, model)
    with pytest.raises(ValueError, match=rf"^{path}: {message}"):
        twin.package.load(path)


@pytest.mark.parametrize("path", [None, 3, True, b"m.safetensors"])
def test_what_is_no_path_is_refused(as_users_call, twin, path):
    with pytest.raises(ValueError, match=r"is not a path: give that of a model\.safetensors"):
        twin.package.load(path)
