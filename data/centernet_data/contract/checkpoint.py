"""The file of a training state: named arrays, the same in both backends."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from centernet_data.contract.files import written_beside

Arrays = Mapping[str, np.ndarray]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Writes a safetensors file beside `path` and renames it. Raises OSError where there is no room or no
    permission."""
    content = save(dict(arrays))  # safetensors' own writing to files hides the system's error number
    with written_beside(path) as beside:
        beside.write_bytes(content)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of such a file. Nearly any exception if it is damaged."""
    return load_file(path)


def part_of(arrays: Arrays, part: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `part` and a dot, without that."""
    return {name.removeprefix(f"{part}."): value for name, value in arrays.items() if name.startswith(f"{part}.")}


def require_same_arrays(expected: Arrays, found: Arrays) -> None:
    """Raises ValueError, naming the first array that is missing, unknown, misshapen or of another precision."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            raise ValueError(f"the array {name} is {'missing' if name not in found else 'unknown'}")
        for what in ("shape", "dtype"):
            one, other = getattr(expected[name], what), getattr(found[name], what)
            if one != other:
                raise ValueError(f"the array {name} has {what} {other}, this run needs {one}")
