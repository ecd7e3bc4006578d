"""Torch's formats read without torch, as torch reads them."""

from collections import OrderedDict

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from centernet_data.contract.torch_file import read_tensors
from helpers.torch_files import FORMATS, save

DTYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool]


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
