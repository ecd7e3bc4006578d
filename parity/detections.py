"""Both backends' whole detectors: from uint8 pictures to boxes, and to heatmaps, in the pictures' own pixels."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import centernet_jax
import centernet_torch
from centernet_data.contract.precision import Precision
from centernet_data.evaluation import Detect
from parity.difference import Difference, difference
from parity.match import in_the_same_order
from parity.pair import Pair


def detectors_of(pair: Pair, flip_test: bool = False) -> tuple[Detect, Detect]:
    """Both detectors, with no threshold on the score."""
    ours, theirs = detectors(pair, flip_test)
    return partial(ours, min_confidence=0.0), partial(theirs, min_confidence=0.0)


def detectors(
    pair: Pair, flip_test: bool = False, precision: Precision = "float32"
) -> tuple[centernet_jax.Detector, centernet_torch.Detector]:
    """Both detectors, of the average of their weights."""
    return (
        centernet_jax.Detector.of(pair.jax, pair.config, flip_test, precision),
        centernet_torch.Detector.of(pair.torch, pair.config, flip_test, precision),
    )


def compare_detections(
    pair: Pair, pictures: Sequence[np.ndarray], bound: float, name: str = "detections", flip_test: bool = False
) -> Iterator[Difference]:
    """All boxes that whole detectors find. `name` starts the names of the stages."""
    ours, theirs = (detect(pictures) for detect in detectors_of(pair, flip_test))
    yield from compare_boxes(ours, theirs, pair.dtype, bound, name)


def compare_boxes(ours: Sequence, theirs: Sequence, dtype: str, bound: float, name: str) -> Iterator[Difference]:
    """All boxes of all pictures, best first (in float32 matched by class and position): pixels, classes and scores."""
    if dtype == "float32":  # scores that differ in the last bit may change the order
        ours, theirs = zip(*map(in_the_same_order, ours, theirs), strict=True)
    columns = {"boxes": (slice(0, 4), bound), "classes": (4, 0), "scores": (5, bound)}
    nothing = not any(len(rows) for rows in theirs)
    for what, (column, limit) in columns.items():
        own, other = (by_picture([rows[:, column] for rows in side]) for side in (ours, theirs))
        found = difference(f"{name}: {what}", own, other, limit)
        yield replace(found, where="nothing was detected", max_rel=math.inf) if nothing else found


def by_picture(arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """One array for each picture, by the picture's name in a report."""
    return {f"picture {i}": array for i, array in enumerate(arrays)}
