"""How much two results of one stage differ, and where."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """One stage in both backends: the largest difference `max_abs`, `where` it is (tensor and index), and its ratio
    `max_rel` to the stage's largest value in torch. NaN equals nothing."""

    stage: str
    where: str
    max_abs: float
    max_rel: float
    bound: float

    @property
    def agrees(self) -> bool:
        return self.max_rel <= self.bound  # False for NaN


def difference(stage: str, ours: Mapping, theirs: Mapping, bound: float) -> Difference:
    """Compares tensors by name: JAX's (`ours`) and torch's (`theirs`). The bound is relative; 0 means bit-identical.

    Raises ValueError if there are none.
    """
    if not ours and not theirs:
        raise ValueError(f"{stage}: nothing to compare")
    ours, theirs = ({name: np.asarray(t) for name, t in side.items()} for side in (ours, theirs))
    if unlike := _unlike(ours, theirs):
        return Difference(stage, unlike, math.inf, math.inf, bound)
    max_abs, where = max((_largest(name, ours[name], theirs[name]) for name in theirs), key=lambda f: _badness(f[0]))
    largest = max((float(np.abs(t).max()) for t in theirs.values() if t.size), default=0.0)
    if largest:
        return Difference(stage, where, max_abs, max_abs / largest, bound)
    return Difference(stage, where, max_abs, max_abs * math.inf if max_abs else 0.0, bound)


def worst(differences: Iterable[Difference]) -> Difference:
    """The one with the largest ratio; NaN counts as larger than any number."""
    return max(differences, key=lambda one: _badness(one.max_rel))


def _unlike(ours: Mapping, theirs: Mapping) -> str:
    """Why two sets of tensors cannot be compared: a name, shape or dtype that only one of them has; "" if they can."""
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            return f"{name}: only in {'JAX' if name in ours else 'torch'}"
        for what in ("shape", "dtype"):
            own, other = getattr(ours[name], what), getattr(theirs[name], what)
            if own != other:
                return f"{name}: {what} {own} in JAX, {other} in torch"
    return ""


def _largest(name: str, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    if ours.size == 0:
        return 0.0, name
    differences = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    index = np.unravel_index(np.argmax(differences), differences.shape)  # the first NaN if there is one
    return float(differences[index]), name + (f"[{', '.join(map(str, index))}]" if index else "")


def _badness(value: float) -> float:
    return math.inf if math.isnan(value) else value


def verdict(found: Sequence[Difference]) -> str:
    """One line: all stages agree, or which is the first that differs, and by how much."""
    differing = [one for one in found if not one.agrees]
    if not differing:
        return f"one detector: all {len(found)} stages agree"
    first = differing[0]
    return (
        f"NOT one detector: {len(differing)} of {len(found)} stages differ, the first of them {first.stage!r}, by "
        f"{number(first.max_rel)} (bound {number(first.bound)}) at {first.where}"
    )


def number(value: float) -> str:
    """A difference with two significant digits."""
    return f"{value:.1e}" if value else "0"
