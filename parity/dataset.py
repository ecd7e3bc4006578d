"""Average precision of both backends on one model and one data set, and their boxes one by one."""

from collections.abc import Iterator

import numpy as np

import centernet_jax
import centernet_torch
from centernet_data.dataset import Dataset
from centernet_data.evaluation import NAMES, average_precision
from parity.compare import Pair, dtype_of
from parity.difference import Difference, difference
from parity.match import in_the_same_order

AP_BOUND = 1e-6  # absolute: AP lies between 0 and 1
BATCH_SIZE = 16


def compare_dataset(pair: Pair, dataset: Dataset, bound: float) -> Iterator[Difference]:
    """Every box of every picture, best first (in float32 matched by class and place), then COCO's summary and AP by
    class."""
    detectors = centernet_jax.Detector.of(pair.jax, pair.config), centernet_torch.Detector.of(pair.torch, pair.config)
    ours, theirs = ([], [])
    for first in range(0, len(dataset), BATCH_SIZE):
        pictures = [dataset.image(i) for i in range(first, min(first + BATCH_SIZE, len(dataset)))]
        for side, detector in zip((ours, theirs), detectors, strict=True):
            side += detector(pictures, 0.0)
    samples = [dataset.sample(i) for i in range(len(dataset))]
    results = [_flat(average_precision(samples, side, dataset.classes)) for side in (ours, theirs)]
    if dtype_of(pair) == "float32":
        ours = [in_the_same_order(own, other) for own, other in zip(ours, theirs, strict=True)]
    boxes = [{sample.name: b for sample, b in zip(samples, side, strict=True)} for side in (ours, theirs)]
    yield difference(f"boxes of {len(dataset)} pictures", *boxes, bound)
    yield difference("average precision", {"AP": results[0]}, {"AP": results[1]}, AP_BOUND)


def _flat(results: dict) -> np.ndarray:
    """[AP, AP50, ..., AP of each class]. What has no truth to be found has no AP either; it is set to 0 in both."""
    values = [results[name] for name in NAMES] + list(results["per_class"].values())
    return np.nan_to_num(np.array(values, float))
