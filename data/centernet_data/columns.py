"""Columns: a few arrays for a whole data set. Other processes map them instead of copying them."""

import math
import os
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from jaxtyping import Int, UInt8

SHARED_FROM = 2**20  # bytes; smaller columns are simply copied
ALIGNED = 64  # bytes; each column begins at a multiple of it


class Columns(dict[str, np.ndarray]):
    """Arrays by name, not to be changed.

    Pickled for another process, large ones are written once to a temporary file, which the other process maps: all
    processes then share one copy. The file lives as long as these columns.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        super().__init__({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        self._file: Path | None = None

    def __reduce__(self):
        if sum(array.nbytes for array in self.values()) < SHARED_FROM:
            return Columns, (dict(self),)
        return _mapped, (str(self._written()), {name: (a.dtype.str, a.shape) for name, a in self.items()})

    def _written(self) -> Path:
        if self._file is None:
            number, name = tempfile.mkstemp(prefix="centernet-columns-")
            self._file = Path(name)
            weakref.finalize(self, self._file.unlink, missing_ok=True)
            with os.fdopen(number, "wb") as file:
                for array in self.values():
                    file.write(array.reshape(-1).view(np.uint8).data)
                    file.write(bytes(-array.nbytes % ALIGNED))
        return self._file


def _mapped(file: str, layout: Mapping[str, tuple[str, tuple[int, ...]]]) -> Columns:
    content = np.memmap(file, np.uint8, mode="r").view(np.ndarray)
    arrays, offset = {}, 0
    for name, (dtype, shape) in layout.items():
        size = math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = content[offset : offset + size].view(dtype).reshape(shape)
        offset += size + -size % ALIGNED
    return Columns(arrays)


Item = TypeVar("Item")


class MadeWhenAsked(Sequence[Item]):
    """A sequence that makes its items when they are asked for."""

    @abstractmethod
    def made(self, index: int) -> Item:
        """Makes the item at this index, which is at least 0."""

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self.made(place) for place in range(*index.indices(len(self)))]
        return self.made(range(len(self))[index])


class Texts(MadeWhenAsked[str]):
    """Strings in one array of bytes, in UTF-8: string i begins at `first[i]` and ends at `first[i + 1]`."""

    def __init__(self, content: UInt8[np.ndarray, "bytes"], first: Int[np.ndarray, "n_plus_1"]):
        self._content, self._first = content, first

    @staticmethod
    def columns(name: str, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """The two arrays of these strings, to be kept in `Columns` and read by `Texts.of`."""
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        content = np.frombuffer(b"".join(encoded), np.uint8)
        return {name: content, f"{name}_first": first_of([len(part) for part in encoded])}

    @classmethod
    def of(cls, columns: Mapping[str, np.ndarray], name: str) -> "Texts":
        """The strings that `Texts.columns` put into these columns."""
        return cls(columns[name], columns[f"{name}_first"])

    def __len__(self) -> int:
        return len(self._first) - 1

    def made(self, index: int) -> str:
        """The string at this index."""
        return bytes(self._content[self._first[index] : self._first[index + 1]]).decode("utf-8", "surrogateescape")


def first_of(counts: Sequence[int] | Int[np.ndarray, "n"]) -> Int[np.ndarray, "n_plus_1"]:
    """Where each of several groups of these sizes begins in a column; last, where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
