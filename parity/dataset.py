"""Both backends' boxes and average precision, for one model on one data set."""

import math
from collections.abc import Iterator

from centernet_data.dataset import Dataset
from centernet_data.evaluation import NAMES, average_precision, detect_all
from parity.detections import compare_boxes, detectors_of
from parity.difference import Difference, difference
from parity.pair import Pair

AP_BOUND = 1e-6


def compare_dataset(pair: Pair, dataset: Dataset, bound: float) -> Iterator[Difference]:
    """All boxes of all pictures, then COCO's summary and AP by class."""
    ours, theirs = (list(detect_all(detect, dataset)) for detect in detectors_of(pair))
    yield from compare_boxes(ours, theirs, pair.dtype, bound, f"{len(dataset)} pictures")
    samples = [dataset.sample(i) for i in range(len(dataset))]
    own, other = (_known(average_precision(samples, side, dataset.classes)) for side in (ours, theirs))
    yield difference("average precision", own, other, AP_BOUND)


def _known(results: dict) -> dict[str, float]:
    """AP, AP50, ... and the AP of each class by name, except those without any true object."""
    by_class = {f"AP of {name}": value for name, value in results["per_class"].items()}
    summary = {name: results[name] for name in NAMES}
    return {name: value for name, value in (summary | by_class).items() if not math.isnan(value)}
