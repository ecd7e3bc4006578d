"""Average precision as COCO defines it."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Float, UInt8

from centernet_data.contract.boxes import MOST_DETECTIONS, cyxhw_to_xywh
from centernet_data.dataset import Dataset, Sample, coco_annotations

# COCO's names: AP is the mean over IoU 0.50 to 0.95; 32² and 96² pixels separate small, medium and large.
NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")

BATCH_SIZE = 16

Gather = Callable[[np.ndarray], np.ndarray]
Detect = Callable[[Sequence[UInt8[np.ndarray, "_ _ 3"]]], list[Float[np.ndarray, "_ 6"]]]


def evaluate(
    detect: Detect, dataset: Dataset, shard: tuple[int, int] = (0, 1), all_gather: Gather = lambda values: values[None]
) -> dict:
    """Runs a detector over a whole data set, a few pictures at a time, and returns its `average_precision`.

    With a `shard` (index, count), this process handles every count-th picture from `index` on; `all_gather` then stacks
    the detections of all `count` processes, so that each returns the same result.
    """
    samples = [dataset.sample(i) for i in range(len(dataset))]
    index, count = shard
    found = np.zeros((-(-len(dataset) // count), MOST_DETECTIONS, 6))
    for row, objects in zip(found, detect_all(detect, dataset, range(index, len(dataset), count)), strict=False):
        row[: len(objects)] = objects[:MOST_DETECTIONS]
    found = all_gather(found)
    detections = [found[i % count, i // count] for i in range(len(dataset))]
    return average_precision(samples, [rows[rows[:, 5] > 0] for rows in detections], dataset.classes)


def detect_all(
    detect: Detect, dataset: Dataset, indices: Sequence[int] | None = None
) -> Iterator[Float[np.ndarray, "_ 6"]]:
    """Yields the objects detected in each picture of a data set, or of `indices`, reading a few pictures at a time."""
    indices = range(len(dataset)) if indices is None else indices
    for first in range(0, len(indices), BATCH_SIZE):
        yield from detect([dataset.picture(i) for i in indices[first : first + BATCH_SIZE]])


def average_precision(
    samples: Sequence[Sample], detections: Sequence[Float[np.ndarray, "_ 6"]], classes: Sequence[str]
) -> dict:
    """COCO's summary with at most 100 detections per picture, as {"AP": ..., ..., "per_class": {name: AP}}.

    Samples and detections are in the same order and in the same pixels. A value is NaN if there are no true objects.
    """
    truth = COCO(_truth(samples, classes))
    found = truth.loadRes([box for i, objects in enumerate(detections) for box in _detection_boxes(i, objects)])
    evaluation = COCOeval_faster(truth, found, "bbox", print_function=lambda *_: None)
    evaluation.run()
    results = {name: _or_nan(value) for name, value in zip(NAMES, evaluation.stats, strict=False)}
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class], all sizes, 100 detections
    per_class = [_or_nan(precision[:, :, k].mean()) for k in range(len(classes))]
    return results | {"per_class": dict(zip(classes, per_class, strict=True))}


def _truth(samples: Sequence[Sample], classes: Sequence[str]) -> dict:
    boxes = [box for i, sample in enumerate(samples) for box in coco_annotations(sample, i)]
    return {
        "images": [{"id": i, "height": s.height, "width": s.width} for i, s in enumerate(samples)],
        "annotations": [box | {"id": number} for number, box in enumerate(boxes, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
    }


def _detection_boxes(image: int, objects: Float[np.ndarray, "n 6"]) -> list[dict]:
    rows = zip(cyxhw_to_xywh(objects[:, :4]).tolist(), objects[:, 4:].tolist(), strict=True)
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": bbox, "score": score}
        for bbox, (label, score) in rows
    ]


def _or_nan(value: float) -> float:
    return float(value) if value > -1 else math.nan


def report(results: dict) -> str:
    """The summary and the AP of each class, as lines to print."""
    width = max(map(len, (*NAMES, *results["per_class"])))
    lines = [f"{name:<{width}}  {_three_digits(results[name])}" for name in NAMES]
    lines += ["", "AP by class"] + [
        f"{name:<{width}}  {_three_digits(ap)}" for name, ap in results["per_class"].items()
    ]
    return "\n".join(lines)


def _three_digits(value: float) -> str:
    return "    -" if math.isnan(value) else f"{value:.3f}"


@overload
def without_nan(results: dict) -> dict: ...
@overload
def without_nan(results: float | None) -> float | None: ...
def without_nan(results: dict | float | None) -> dict | float | None:
    """The same results with None for NaN, which JSON cannot express."""
    if isinstance(results, dict):
        return {name: without_nan(value) for name, value in results.items()}
    return None if isinstance(results, float) and math.isnan(results) else results
