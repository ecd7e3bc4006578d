"""This project's model file: what is written comes back, and what is damaged is refused."""

import json
from dataclasses import asdict

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from safetensors.numpy import load_file, save_file

from centernet_data.contract import weights_file
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.torch_file import read_tensors
from centernet_data.contract.weights_file import check_tensors, read_model_file, write_model_file
from helpers.torch_files import assert_refused, assert_refused_or_read

CONFIG = ModelConfig(("dog", "Kätzchen"), (64, 96), "stretch", 18, (256, 256), 256, 4, 32)
TENSORS = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.array([1.5], np.float32)}


def test_round_trip(tmp_path):
    write_model_file(tmp_path / "model.safetensors", TENSORS, CONFIG)
    tensors, config = read_model_file(tmp_path / "model.safetensors")
    assert config == CONFIG
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert load_file(tmp_path / "model.safetensors").keys() == TENSORS.keys()  # readable without this project


def test_everything_is_written_as_contiguous_float32(tmp_path):
    tensors = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.float64(2), "c": np.arange(4)[::2]}
    write_model_file(str(tmp_path / "model.safetensors"), tensors, CONFIG)
    read, _ = read_model_file(str(tmp_path / "model.safetensors"))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name].squeeze(), tensor)
        assert read[name].dtype == np.float32


def test_what_the_kwargs_are():
    assert CONFIG.backbone_kwargs == {"depth": 18, "hidden_channels": (256, 256), "out_channels": 256, "kernel_size": 4}
    assert CONFIG.head_kwargs == {"k_in_channels": 256, "c_classes": 2, "hidden_channels": 32}


@pytest.mark.parametrize("written", [b"", b"half"])
def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, written):
    path = tmp_path / "model.safetensors"
    write_model_file(path, TENSORS, CONFIG)

    def fail(tensors, beside, metadata):
        beside.write_bytes(written)
        raise OSError("no space left on device")

    monkeypatch.setattr(weights_file, "save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        write_model_file(path, {"a": np.zeros(1)}, CONFIG)
    tensors, config = read_model_file(path)
    assert (tensors.keys(), config) == (TENSORS.keys(), CONFIG)


METADATA = {"format": "centernet", "config": json.dumps(asdict(CONFIG))}


def config_with(**changes):
    values = asdict(CONFIG) | changes
    return METADATA | {"config": json.dumps({key: value for key, value in values.items() if value is not ...})}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "a safetensors file, but not a model that this project wrote"),
        ({"format": "pt"}, "a safetensors file, but not a model that this project wrote"),
        ({"config": METADATA["config"]}, "a safetensors file, but not a model that this project wrote"),
        ({"format": "centernet"}, "its configuration cannot be read"),
        (METADATA | {"config": ""}, "its configuration cannot be read"),
        (METADATA | {"config": METADATA["config"][:-9]}, "its configuration cannot be read"),
        (METADATA | {"config": "[]"}, "its configuration cannot be read"),
        (METADATA | {"config": "null"}, "its configuration cannot be read"),
        (METADATA | {"config": "{}"}, "its configuration cannot be read .*classes"),
        (config_with(classes=...), "its configuration cannot be read .*classes"),
        (config_with(colour="red"), r"its configuration cannot be read \(unknown settings \['colour'\]\)"),
        (config_with(classes=3), "its configuration cannot be read .*classes"),
        (config_with(classes="dog"), "its configuration cannot be read .*classes"),
        (config_with(classes=[1, 2]), "its configuration cannot be read .*classes"),
        (config_with(classes=[]), "its configuration cannot be read .*classes"),
        (config_with(image_size=64), "its configuration cannot be read .*image_size"),
        (config_with(image_size=[64]), "its configuration cannot be read .*image_size"),
        (config_with(image_size=[64, "96"]), "its configuration cannot be read .*image_size"),
        (config_with(image_size=[64, 90]), "its configuration cannot be read .*image_size"),
        (config_with(image_size=[0, 64]), "its configuration cannot be read .*image_size"),
        (config_with(resize="crop"), "its configuration cannot be read .*resize"),
        (config_with(depth="18"), "its configuration cannot be read .*depth"),
        (config_with(depth=50), "its configuration cannot be read .*depth"),
        (config_with(hidden_channels=[256]), "its configuration cannot be read .*hidden_channels"),
        (config_with(out_channels=-1), "its configuration cannot be read .*out_channels"),
        (config_with(kernel_size=5), "its configuration cannot be read .*kernel_size"),
        (config_with(head_channels=None), "its configuration cannot be read .*head_channels"),
    ],
)
def test_foreign_and_garbled_model_files(tmp_path, metadata, message):
    save_file(TENSORS, tmp_path / "bad.safetensors", metadata)
    assert_refused(tmp_path / "bad.safetensors", read_model_file)
    with pytest.raises(ValueError, match=rf"bad\.safetensors: {message}"):
        read_model_file(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("read", [read_tensors, read_model_file])
def test_bfloat16_is_read_or_refused(tmp_path, read):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.ones(2, ml_dtypes.bfloat16)}, METADATA))
    assert_refused_or_read(path, read)


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        ({"a": (1,), "b": (2,)}, {"a": (1,)}, r"missing tensor b$"),
        ({"a": (1,), "c": (2,), "b": (2,)}, {}, r"missing tensor a and 2 more$"),
        ({"a": (1,)}, {"a": (1,), "d": (2,), "c": ()}, r"unknown tensor c and 1 more$"),
        ({"a": (1,)}, {"b": (1,)}, r"missing tensor a$"),
        ({"a": (1, 2)}, {"a": (2, 1)}, r"tensor a has shape \(2, 1\), the model needs \(1, 2\)$"),
        ({"a": (1,), "b": ()}, {"a": (1,), "b": (1,)}, r"tensor b has shape \(1,\), the model needs \(\)$"),
    ],
)
def test_check_tensors(expected, found, message):
    with pytest.raises(ValueError, match=rf"^m\.safetensors: {message}"):
        check_tensors(expected, found, "m.safetensors")


def test_check_tensors_agrees():
    check_tensors({"a": (1, 2), "b": ()}, {"b": (), "a": (1, 2)}, "m.safetensors")
