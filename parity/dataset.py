"""Average precision of both backends on one model and one data set, and their boxes one by one."""

import math
from collections.abc import Iterator

from centernet_data.dataset import Dataset
from centernet_data.evaluation import NAMES, average_precision, detect_all
from parity.compare import Pair, compare_boxes, detectors_of, dtype_of
from parity.difference import Difference, difference

AP_BOUND = 1e-6


def compare_dataset(pair: Pair, dataset: Dataset, bound: float) -> Iterator[Difference]:
    """Every box of every picture, then COCO's summary and AP by class."""
    ours, theirs = (list(detect_all(detect, dataset)) for detect in detectors_of(pair))
    yield from compare_boxes(ours, theirs, dtype_of(pair), bound, f"{len(dataset)} pictures")
    samples = [dataset.sample(i) for i in range(len(dataset))]
    results = [_known(average_precision(samples, side, dataset.classes)) for side in (ours, theirs)]
    yield difference("average precision", *results, AP_BOUND)


def _known(results: dict) -> dict[str, float]:
    """AP, AP50, ... and the AP of each class by name, without those that have no truth to be found."""
    by_class = {f"AP of {name}": value for name, value in results["per_class"].items()}
    summary = {name: results[name] for name in NAMES}
    return {name: value for name, value in (summary | by_class).items() if not math.isnan(value)}
