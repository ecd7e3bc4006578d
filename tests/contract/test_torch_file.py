"""Weights files: torch's formats read without torch, and this project's model file. Neither executes any code."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import asdict

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch import nn

from centernet_data.contract import weights_file
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.torch_file import read_tensors
from centernet_data.contract.weights_file import check_tensors, read_model_file, write_model_file

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
DTYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool]


def save(path, content, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_read_as_torch_does(path):
    tensors, expected = read_tensors(path), torch.load(path, weights_only=True)
    assert type(tensors) is dict
    assert list(tensors) == list(expected)
    for name, tensor in expected.items():
        numbers = tensor.detach().numpy()
        assert tensors[name].dtype == numbers.dtype
        assert tensors[name].flags.writeable
        np.testing.assert_array_equal(tensors[name], numbers, strict=True)


@FORMATS
def test_dtypes_and_shapes(tmp_path, zipped):
    tensors = {f"{dtype}": (torch.arange(24) % 7).reshape(2, 3, 4).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4), "one": torch.ones(1, 1), "": torch.ones(2)}
    assert_read_as_torch_does(save(tmp_path / "a.pth", tensors, zipped))


@FORMATS
def test_strides_and_shared_storages(tmp_path, zipped):
    base = torch.arange(60.0).reshape(3, 4, 5)
    tensors = {
        "transposed": base.permute(2, 0, 1),
        "strided": base[1:, ::2, 1::3],
        "offset": base[2, 3],
        "last": base[2, 3, 4],
        "expanded": base[1, 1].expand(3, 5),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "again": base,
    }
    assert_read_as_torch_does(save(tmp_path / "a.pth", tensors, zipped))


@FORMATS
def test_tensors_that_shared_memory_are_copies(tmp_path, zipped):
    base = torch.zeros(4)
    tensors = read_tensors(save(tmp_path / "a.pth", {"a": base, "b": base}, zipped))
    tensors["a"][:] = 1
    np.testing.assert_array_equal(tensors["b"], 0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight


@FORMATS
def test_state_dicts_of_modules(tmp_path, zipped):
    module = nn.Sequential(Tied(), nn.ConvTranspose2d(4, 2, 3), nn.LSTM(2, 3))
    assert_read_as_torch_does(save(tmp_path / "a.pth", module.state_dict(), zipped))
    assert_read_as_torch_does(save(tmp_path / "b.pth", dict(module.named_parameters()), zipped))
    assert_read_as_torch_does(save(tmp_path / "c.pth", OrderedDict(a=nn.Parameter(torch.ones(2), False)), zipped))


@FORMATS
def test_an_empty_state_dict(tmp_path, zipped):
    assert read_tensors(save(tmp_path / "a.pth", {}, zipped)) == {}


def test_safetensors(tmp_path):
    tensors = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1, 2], np.int64)}
    save_file(tensors, tmp_path / "a.safetensors")
    read = read_tensors(tmp_path / "a.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor, strict=True)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch i_was_run",)


def zip_of(pickled, storages=None, folder="archive/"):
    """A file in torch's zip format around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(folder + "data.pkl", pickled)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"{folder}data/{key}", numbers)
    return buffer.getvalue()


def foreign(module, name):
    """A pickle that calls a function of another module, by its name, without arguments."""
    return f"c{module}\n{name}\n)R.".encode()


@pytest.mark.parametrize("wrap", [zip_of, bytes], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("pickled", "name"),
    [
        (pickle.dumps({"a": Malicious()}), r"(posix|nt)\.system"),
        (pickle.dumps([Malicious()], 0), r"(posix|nt)\.system"),
        (foreign("os", "getcwd"), r"os\.getcwd"),
        (foreign("builtins", "exit"), r"builtins\.exit"),
        (foreign("torch", "load"), r"torch\.load"),
        (foreign("torch.nn.modules.conv", "Conv2d"), r"torch\.nn\.modules\.conv\.Conv2d"),
        (foreign("collections", "Counter"), r"collections\.Counter"),
        (foreign("numpy", "zeros"), r"numpy\.zeros"),
    ],
)
def test_foreign_names_are_refused_and_not_run(tmp_path, monkeypatch, wrap, pickled, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(wrap(pickled))
    with pytest.raises(ValueError, match=rf"evil\.pth: not a file of named tensors \(it contains {name}\)$"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "i_was_run").exists()


@FORMATS
@pytest.mark.parametrize(
    "content",
    [
        nn.Linear(2, 2),
        {"state_dict": {"a": torch.ones(2)}, "epoch": 3},
        {"a": torch.ones(2), "epoch": 3},
        {"a": None},
        [torch.ones(2)],
        torch.ones(2),
        3,
        "text",
        {"a": torch.ones(2, dtype=torch.bfloat16)},
        {"a": torch.ones(2, dtype=torch.complex64)},
    ],
    ids=["module", "checkpoint", "counter", "none", "list", "tensor", "number", "text", "bfloat16", "complex"],
)
def test_files_without_a_state_dict_are_refused(tmp_path, zipped, content):
    assert_refused(save(tmp_path / "bad.pth", content, zipped))


def assert_refused(path, read=read_tensors):
    """Asserts a ValueError of one line that starts with the file."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is looked at here)
        read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert not message.endswith("()")


def assert_refused_or_read(path, read=read_tensors):
    try:
        read(path)
    except ValueError:
        assert_refused(path, read)


@FORMATS
@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 0.999])
def test_truncated_files(tmp_path, zipped, share):
    path = save(tmp_path / "short.pth", nn.Linear(30, 30).state_dict(), zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(path)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_truncated_safetensors(tmp_path, share):
    path = tmp_path / "short.safetensors"
    save_file({"a": np.ones(1000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(path)
    assert_refused(path, read_model_file)


@pytest.mark.parametrize("read", [read_tensors, read_model_file])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_missing_files_and_folders(tmp_path, read, suffix):
    assert_refused(tmp_path / f"none.{suffix}", read)
    (tmp_path / f"folder.{suffix}").mkdir()
    assert_refused(tmp_path / f"folder.{suffix}", read)


def tensor_pickle(offset, shape, strides, storage="FloatStorage", count=4):
    """The state dict {"a": tensor} as torch pickles it, with any numbers in it."""
    text = (
        "}Va\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n"
        + storage
        + f"\nV0\nVcpu\nI{count}\ntQI{offset}\n"
    )
    text += "(" + "".join(f"I{n}\n" for n in shape) + "t(" + "".join(f"I{n}\n" for n in strides) + "tI00\n)tRs."
    return text.encode()


def test_the_handmade_pickle_is_right(tmp_path):
    path = tmp_path / "good.pth"
    path.write_bytes(zip_of(tensor_pickle(1, (3,), (1,)), {"0": np.arange(4, dtype="<f4").tobytes()}))
    np.testing.assert_array_equal(read_tensors(path)["a"], [1, 2, 3])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (2, 2), (3, 1)),
        (-1, (1,), (1,)),
        (-3, (4,), (1,)),
        (3, (2,), (-4,)),
        (1, (2, 2), (3, -2)),
        (1, (3, 4), (-1, 1)),
        (0, (-2,), (1,)),
        (0, (2,), (1, 1)),
        (4, (), ()),
        (0, (10**7, 10**7), (0, 0)),  # more than any memory
        (0, (10**30,), (0,)),
    ],
)
def test_tensors_beyond_their_storage(tmp_path, offset, shape, strides):
    path = tmp_path / "bad.pth"
    path.write_bytes(zip_of(tensor_pickle(offset, shape, strides), {"0": np.zeros(4, "<f4").tobytes()}))
    assert_refused(path)


@pytest.mark.parametrize(
    "content",
    [
        zip_of(tensor_pickle(0, (4,), (1,))),  # no storage
        zip_of(tensor_pickle(0, (4,), (1,)), {"0": b"123"}),  # no whole number of floats
        zip_of(tensor_pickle(0, (4,), (1,), "StringStorage"), {"0": bytes(16)}),
        zip_of(b""),
        zip_of(b"(" * 100),
        zip_of(b"\x80\xff."),
        zip_of(b"]" + b"\x94" * 3 + b"h\x07."),
        zip_of(b"\x8e" + struct.pack("<Q", 2**62)),  # more bytes than any memory
        zip_of(b"VQ\nQ."),  # a storage that is a string
        zip_of(b"X\x02\x00\x00\x00\xff\xff."),  # not UTF-8
        zip_of(b"(I1\nI2\ntQ."),
        zip_of(b"}", folder=""),
        zip_of(b"N.", folder="").replace(b"data.pkl", b"atad.pkl"),  # a zip, but not torch's
        b"PK\x05\x06" + bytes(18),  # an empty zip
        b"\x00" * 100,
        b"<html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    ],
)
def test_damaged_files(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    assert_refused(tmp_path / "bad.pth")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module", params=[True, False], ids=["zip", "legacy"])
def good_bytes(scratch, request):
    tensors = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": nn.Parameter(torch.ones(3))}
    return save(scratch / f"good{request.param}.pth", tensors, request.param).read_bytes()


FUZZ = settings(deadline=None, max_examples=150)


@FUZZ
@given(content=st.binary(max_size=200), suffix=st.sampled_from(["pth", "safetensors"]))
def test_random_bytes(scratch, content, suffix):
    path = scratch / f"random.{suffix}"
    path.write_bytes(content)
    assert_refused_or_read(path)
    assert_refused_or_read(path, read_model_file)


@FUZZ
@given(pickled=st.binary(max_size=60))
def test_random_pickles_in_a_zip(scratch, pickled):
    path = scratch / "random.pth"
    path.write_bytes(zip_of(pickled))
    assert_refused_or_read(path)


@FUZZ
@given(data=st.data())
def test_changed_bytes(scratch, good_bytes, data):
    content = bytearray(good_bytes)
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    path = scratch / "changed.pth"
    path.write_bytes(content)
    assert_refused_or_read(path)


# This project's model file

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
