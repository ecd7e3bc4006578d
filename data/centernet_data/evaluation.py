"""Average precision as COCO defines it."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Float, Int, UInt8

from centernet_data.contract.boxes import MOST_DETECTIONS, cyxhw_to_xywh
from centernet_data.dataset import Dataset, Sample

# COCO's names: AP is the mean over IoU 0.50 to 0.95; 32² and 96² pixels separate small, medium and large.
NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")

BATCH_SIZE = 16
AT_ONCE = 10_000  # boxes evaluated together: the 1.7 million of COCO's training pictures would take tens of gigabytes

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
    truth, found = _truth(samples), _found(detections)
    groups = _groups_of_classes(np.concatenate([truth[:, 1], found[:, 1]]), len(classes))
    precision = np.concatenate([_precision(truth, found, group) for group in groups], axis=2)
    whole, per_class = precision[..., 0], [_mean(precision[:, :, k, 0]) for k in range(len(classes))]
    shown = (whole, whole[0], whole[5], precision[..., 1], precision[..., 2], precision[..., 3])
    results = {name: _mean(values) for name, values in zip(NAMES, shown, strict=True)}
    return results | {"per_class": dict(zip(classes, per_class, strict=True))}


def _truth(samples: Sequence[Sample]) -> Float[np.ndarray, "n 8"]:
    """Rows of (image, class, x, y, width, height, area, whether it is ignored)."""
    boxes = [rows for sample in samples for rows in (sample.objects, sample.ignored)]
    areas = [rows for s in samples for rows in (s.areas, s.ignored[:, 2] * s.ignored[:, 3])]
    rows, numbers = _in_one(boxes)
    return np.column_stack([numbers // 2, rows, np.concatenate([*areas, np.zeros(0)]), numbers % 2])


def _found(detections: Sequence[Float[np.ndarray, "_ 6"]]) -> Float[np.ndarray, "n 7"]:
    """Rows of (image, class, x, y, width, height, confidence)."""
    rows, numbers = _in_one(detections)
    return np.column_stack([numbers, rows, np.concatenate([*(found[:, 5] for found in detections), np.zeros(0)])])


def _in_one(parts: Sequence[Float[np.ndarray, "_ 6"]]) -> tuple[Float[np.ndarray, "n 5"], Int[np.ndarray, "n"]]:
    """Rows of (class, x, y, width, height), and the index of the part that each is from."""
    objects = np.concatenate([*parts, np.zeros((0, 6))])
    rows = np.column_stack([objects[:, 4].astype(int), cyxhw_to_xywh(objects[:, :4])])
    return rows, np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _groups_of_classes(labels: Float[np.ndarray, "n"], classes: int) -> list[range]:
    """Neighbouring classes, which do not depend on each other, with about `AT_ONCE` boxes in each group."""
    counts = np.bincount(labels.astype(int), minlength=classes)
    group = (np.cumsum(counts) - counts) // AT_ONCE
    firsts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), classes]
    return [range(first, last) for first, last in pairwise(firsts)]


def _precision(
    truth: Float[np.ndarray, "n 8"], found: Float[np.ndarray, "m 7"], classes: range
) -> Float[np.ndarray, "iou recall class size"]:
    """The precision at each IoU from 0.5 to 0.95 and each recall from 0 to 1, for some of the classes, at all sizes,
    small, medium and large; -1 if there are no true objects."""
    truth, found = (rows[(rows[:, 1] >= classes.start) & (rows[:, 1] < classes.stop)] for rows in (truth, found))
    images = np.unique(np.concatenate([truth[:, 0], found[:, 0]])).astype(int).tolist()
    annotated = COCO(
        {
            "images": [{"id": image} for image in images or [0]],
            "annotations": _annotations(truth),
            "categories": [{"id": label, "name": str(label)} for label in classes],
        }
    )
    evaluation = COCOeval_faster(annotated, annotated.loadRes(_detected(found)), "bbox", print_function=lambda *_: None)
    evaluation.run()
    return evaluation.eval["precision"][..., -1]  # at 100 detections


def _annotations(truth: Float[np.ndarray, "n 8"]) -> list[dict]:
    where, bboxes, areas = truth[:, :2].astype(int).tolist(), truth[:, 2:6].tolist(), truth[:, 6].tolist()
    return [
        {"id": number, "image_id": image, "category_id": label, "bbox": bbox, "area": area, "iscrowd": crowd}
        for number, ((image, label), bbox, area, crowd) in enumerate(
            zip(where, bboxes, areas, truth[:, 7].astype(int).tolist(), strict=True), start=1
        )
    ]


def _detected(found: Float[np.ndarray, "n 7"]) -> list[dict]:
    where, bboxes, scores = found[:, :2].astype(int).tolist(), found[:, 2:6].tolist(), found[:, 6].tolist()
    return [
        {"image_id": image, "category_id": label, "bbox": bbox, "score": score}
        for (image, label), bbox, score in zip(where, bboxes, scores, strict=True)
    ]


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan


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
