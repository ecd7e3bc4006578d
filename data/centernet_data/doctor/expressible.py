"""How much of the truth the network can express at all: encodes objects into cells and decodes them without error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from centernet_data.contract.boxes import MOST_DETECTIONS, STRIDE
from centernet_data.contract.model_config import Resize
from centernet_data.dataset import Sample
from centernet_data.imaging.geometry import fit, move_objects

LEAST_SIDE = 1.0  # pixels of the input; an object with a shorter side has vanished


@dataclass(frozen=True)
class Expressible:
    """The effect on one picture's objects, in order, of fitting the picture into the network's input."""

    vanished: Bool[np.ndarray, "n"]
    """Less than a pixel high or wide in the input."""
    under_a_cell: Bool[np.ndarray, "n"]
    """Less than a cell high or wide in the input."""
    shared: Bool[np.ndarray, "n"]
    """Centred in the same cell as an object listed earlier, whose size and offset the cell holds."""
    beyond_the_best: Bool[np.ndarray, "n"]
    """Has its own cell, but is not among the best 100."""
    decoded: Float[np.ndarray, "m 6"]
    """The objects decoded from the perfect output map, in the picture's own pixels."""


def express(sample: Sample, input_hw: tuple[int, int], resize: Resize) -> Expressible:
    """Encodes a picture's objects as training targets and decodes them as the network's output, without error.

    For each class a cell says whether an object's centre is in it. All classes of a cell share one offset and one size,
    those of the object listed first. All scores are 1; ties are broken by class, then y, then x.
    """
    objects = sample.objects
    moved = move_objects(objects, fit((sample.height, sample.width), input_hw, resize))
    cells = _cells(moved, input_hw)
    first = _first_in_cell(cells)
    peaks = _peaks(cells, objects[:, 4])
    best, rest = peaks[:MOST_DETECTIONS], peaks[MOST_DETECTIONS:]
    decoded = np.column_stack([objects[first[best], :4], objects[best, 4:]])
    shared = first != np.arange(len(objects))
    beyond = np.isin(np.arange(len(objects)), rest) & ~shared
    least = moved[:, 2:4].min(axis=1)
    return Expressible(least < LEAST_SIDE, least < STRIDE, shared, beyond, decoded)


def _cells(moved: Float[np.ndarray, "n 6"], input_hw: tuple[int, int]) -> Int[np.ndarray, "n 2"]:
    grid = np.array(input_hw) // STRIDE
    return np.clip(np.floor(moved[:, :2] / STRIDE), 0, grid - 1).astype(int)


def _first_in_cell(cells: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "n"]:
    """The index, for each object, of the first object in its cell."""
    _, first, cell = np.unique(_as_numbers(cells), return_index=True, return_inverse=True)
    return first[cell]


def _peaks(cells: Int[np.ndarray, "n 2"], labels: Float[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """One object per class and cell, in the order in which decoding breaks ties: class, y, x."""
    _, index = np.unique(_as_numbers(np.column_stack([labels.astype(int), cells])), return_index=True)
    return index


def _as_numbers(rows: Int[np.ndarray, "n k"]) -> Int[np.ndarray, "n"]:
    """A number for each row of up to three numbers from 0 to 2²⁰ − 1, in the order of the rows; sorts ten times as
    fast as these."""
    return rows @ (1 << 20 * np.arange(rows.shape[1])[::-1])


def summary(parts: Sequence[Expressible]) -> dict[str, int]:
    """The number of objects in a data set affected in each way."""
    names = ("vanished", "under_a_cell", "shared", "beyond_the_best")
    return {name: int(sum(getattr(part, name).sum() for part in parts)) for name in names}
