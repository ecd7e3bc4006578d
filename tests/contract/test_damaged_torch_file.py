"""Damaged and hostile weights files: each is refused in one line, and none is executed."""

import os
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn

from centernet_data.contract import torch_file
from centernet_data.contract.torch_file import read_tensors
from centernet_data.contract.weights_file import read_model_file
from helpers.torch_files import FORMATS, assert_refused, assert_refused_or_read, save, zip_of


class Malicious:
    def __reduce__(self):
        return os.system, ("touch i_was_run",)


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
        (0, (10**4, 10**4), (0, 0)),
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


@pytest.mark.parametrize("wrap", [zip_of, bytes], ids=["zip", "legacy"])
@pytest.mark.parametrize("put", [b"r" + struct.pack("<I", 2**31), b"p2147483648\n", b"q\xf0"])
def test_numbered_objects_beyond_the_pickle(tmp_path, monkeypatch, wrap, put):
    """Python's own unpickler would fill 32 GB for the first two: here it must not even begin."""
    monkeypatch.setattr(torch_file._Unpickler, "load", None)
    (tmp_path / "bad.pth").write_bytes(wrap(b"}" + put + b"."))
    with pytest.raises(ValueError, match=r"it numbers an object \d+, in a pickle of \d+ bytes"):
        read_tensors(tmp_path / "bad.pth")


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
