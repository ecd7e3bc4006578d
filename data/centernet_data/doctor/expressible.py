"""How much of the truth the network could say at all: objects encoded into cells and decoded again, without error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from centernet_data.contract.boxes import MOST_DETECTIONS, STRIDE
from centernet_data.contract.model_config import Resize
from centernet_data.dataset import Sample
from centernet_data.imaging.geometry import fit, move_objects

LEAST_SIDE = 1.0  # pixels: what is less high or wide in the input has vanished from it


@dataclass(frozen=True)
class Expressible:
    """What becomes of one picture's objects, in their order, when the picture is fitted into the network's input."""

    vanished: Bool[np.ndarray, "n"]
    """Less than a pixel high or wide there."""
    under_a_cell: Bool[np.ndarray, "n"]
    """Less than a cell high or wide there."""
    shared: Bool[np.ndarray, "n"]
    """Centred in the cell of another that is listed before, whose size and offset stand there."""
    beyond_the_best: Bool[np.ndarray, "n"]
    """With a cell of its own, but past the best 100."""
    decoded: Float[np.ndarray, "m 6"]
    """What decoding the perfect map gives, in the picture's own pixels."""


def express(sample: Sample, input_hw: tuple[int, int], resize: Resize) -> Expressible:
    """Encodes a picture's objects as targets are, and decodes them as points are, both without an error.

    A cell says for each class whether an object is centred there, and for all classes together one offset and one
    size: those of the first listed. All scores are 1, and ties go by class, then y, then x.
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
    """For each object the first listed one of its cell."""
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first[cell.reshape(-1)]


def _peaks(cells: Int[np.ndarray, "n 2"], labels: Float[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """One object for each class of each cell, in the order in which decoding breaks ties: class, y, x."""
    _, index = np.unique(np.column_stack([labels.astype(int), cells]), axis=0, return_index=True)
    return index


def summary(parts: Sequence[Expressible]) -> dict[str, int]:
    """How many objects of a data set each of these befalls."""
    names = ("vanished", "under_a_cell", "shared", "beyond_the_best")
    return {name: int(sum(getattr(part, name).sum() for part in parts)) for name in names}
