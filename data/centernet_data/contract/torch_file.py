"""Reads tensors from a .pth or .safetensors file without torch and without executing code from the pickle."""

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from centernet_data.contract.messages import one_line
from centernet_data.contract.options import require_file

DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")  # the pickle's commands that number an object
LARGEST_EXPANDED = 2**24  # numbers in a tensor that repeats those of a smaller storage


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a state dict, tensors by name, from a file that torch (`torch.save`, both formats) or safetensors wrote.

    Raises ValueError, naming the file, if it is missing, damaged, or holds anything other than named tensors.
    """
    path = require_file(path, "a file of weights, .pth or .safetensors")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with path.open("rb") as file:
            tensors = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
    except Exception as error:  # a damaged pickle may raise anything, even MemoryError
        raise ValueError(f"{path}: not a file of named tensors ({one_line(error)})") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, np.ndarray) for t in tensors.values()):
        raise ValueError(f"{path}: not a state dict: it holds something that is not a tensor")
    return dict(tensors)


class _StorageType(NamedTuple):
    name: str


class _View(NamedTuple):
    """A tensor whose storage has not been read yet: the legacy format puts the numbers after the pickle."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _View(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(view, *_):
    return view


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors, parameters and ordered dicts, and rejects every other name."""

    NAMES = {  # noqa: RUF012 (a constant)
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    }

    def __init__(self, file):
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module, name):
        if module == "torch" and name in DTYPES:
            return _StorageType(name)
        if (module, name) not in self.NAMES:
            raise pickle.UnpicklingError(f"it contains {module}.{name}")
        return self.NAMES[module, name]

    def persistent_load(self, pid):
        _, storage_type, key, *_ = pid
        self.dtypes[key] = np.dtype(DTYPES[storage_type.name])
        return key


def _unpickle(file) -> tuple[Any, dict[str, np.dtype]]:
    """The object of the next pickle in a file, and the dtypes of the storages it names, by key.

    Refuses a pickle that numbers an object beyond its own bytes: for object 2^31 Python would fill 32 GB with its table
    of objects, and the system would end the process.
    """
    start = file.tell()
    numbers = [number for opcode, number, _ in pickletools.genops(file) if opcode.name in _PUT]
    size = file.tell() - start
    for number in numbers:
        if not (isinstance(number, int) and 0 <= number < size):
            raise pickle.UnpicklingError(f"it numbers an object {number}, in a pickle of {size} bytes")
    file.seek(start)
    unpickler = _Unpickler(io.BytesIO(file.read(size)))
    return unpickler.load(), unpickler.dtypes


def _read_zip(file) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        folder = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
        if folder is None:
            raise ValueError("a zip archive, but not one that torch wrote")
        folder = folder.removesuffix("data.pkl")
        views, dtypes = _unpickle(io.BytesIO(archive.read(folder + "data.pkl")))
        storages = {
            key: np.frombuffer(archive.read(f"{folder}data/{key}"), dtype.newbyteorder("<"))
            for key, dtype in dtypes.items()
        }
    return _resolve(views, storages)


def _read_legacy(file) -> dict[str, np.ndarray]:
    """Reads five pickles (magic number, protocol, system, state dict, storage keys), then each storage's count and
    numbers."""
    file.seek(0)
    for _ in range(3):
        _unpickle(file)
    views, dtypes = _unpickle(file)
    keys, _ = _unpickle(file)
    storages = {}
    for key in keys:
        dtype = dtypes[key].newbyteorder("<")
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return _resolve(views, storages)


def _resolve(views, storages) -> dict[str, np.ndarray]:
    return {name: _strided(view, storages[view.storage]) for name, view in views.items()}


def _strided(view: _View, storage: np.ndarray) -> np.ndarray:
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    negative = any(number < 0 for number in (view.offset, *view.shape, *view.strides))
    if negative or (0 not in view.shape and last >= len(storage)):
        raise ValueError("a tensor reaches beyond its storage")
    if math.prod(view.shape) > max(len(storage), LARGEST_EXPANDED):
        raise ValueError(f"a tensor of {math.prod(view.shape):,} numbers, expanded from {len(storage):,}")
    strides = [s * storage.itemsize for s in view.strides]
    window = np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides)
    return window.astype(storage.dtype.newbyteorder("="))  # a copy, independent of the file's buffer
