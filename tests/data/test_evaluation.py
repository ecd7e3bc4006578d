"""Average precision against pycocotools, the authors' own evaluation, and against cases computed by hand."""

import contextlib
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet_data import evaluation
from centernet_data.dataset import Sample
from centernet_data.evaluation import NAMES, average_precision, evaluate, report, without_nan
from centernet_data.synthetic.shapes import ShapesDataset

CLASSES = ("dog", "cat", "hen")
NOTHING = np.zeros((0, 6))


def rows(*values):
    """Objects from (y_min, x_min, height, width, class[, confidence])."""
    values = [(*value, 1.0)[:6] for value in values]
    return np.array([(y + h / 2, x + w / 2, h, w, k, c) for y, x, h, w, k, c in values], float).reshape(-1, 6)


def sample(objects=NOTHING, ignored=NOTHING, areas=None):
    return Sample("a.png", 400, 400, objects, objects[:, 2] * objects[:, 3] if areas is None else areas, ignored)


def records(image, objects):
    for y, x, height, width, label, confidence in objects.tolist():
        box = [x - width / 2, y - height / 2, width, height]
        yield {"image_id": image, "category_id": int(label), "bbox": box, "score": confidence}


def oracle(samples, detections, classes):
    """The same from pycocotools."""
    annotations = []
    for i, s in enumerate(samples):
        for record, area in zip(records(i, s.objects), s.areas, strict=True):
            annotations.append({**record, "area": float(area), "iscrowd": 0})
        for record in records(i, s.ignored):
            annotations.append({**record, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 1})
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i, "height": s.height, "width": s.width} for i, s in enumerate(samples)],
            "annotations": annotations,
            "categories": [{"id": k, "name": name} for k, name in enumerate(classes)],
        }
        truth.createIndex()
        found = [record for i, objects in enumerate(detections) for record in records(i, objects)]
        evaluation = COCOeval(truth, _load(found, truth), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    values = [*evaluation.stats[:6], *(precision[:, :, k].mean() for k in range(len(classes)))]
    return [math.nan if value == -1 else value for value in values]


def _load(found, truth):
    if found:
        return truth.loadRes(found)
    empty = COCO()  # pycocotools cannot load an empty list
    empty.dataset = {**truth.dataset, "annotations": []}
    empty.createIndex()
    return empty


def flat(results):
    assert tuple(results) == (*NAMES, "per_class")
    return [*(results[name] for name in NAMES), *results["per_class"].values()]


def assert_as_pycocotools(samples, detections, classes=CLASSES):
    results = average_precision(samples, detections, classes)
    assert tuple(results["per_class"]) == tuple(classes)
    np.testing.assert_allclose(flat(results), oracle(samples, detections, classes), rtol=0, atol=1e-9)
    return results


def random_rows(rng, count, labels, longest=150):
    size = np.exp(rng.uniform(np.log(4), np.log(longest), (count, 2)))
    centre = rng.uniform(0, 1, (count, 2)) * (400 - size) + size / 2
    return np.column_stack([centre, size, rng.choice(labels, count), np.ones(count)])


def detect_roughly(rng, truth, labels, extra):
    """Most of the true objects, displaced, some twice, a few with a wrong class, and some false ones."""
    kept = truth[rng.random(len(truth)) < 0.8]
    kept = np.concatenate([kept, kept[rng.random(len(kept)) < 0.3]])
    found = np.concatenate([kept, random_rows(rng, extra, labels)])
    found[:, :2] += rng.normal(0, 0.08, (len(found), 2)) * found[:, 2:4]
    found[:, 2:4] *= np.exp(rng.normal(0, 0.1, (len(found), 2)))
    found[:, 4] = np.where(rng.random(len(found)) < 0.1, rng.choice(labels, len(found)), found[:, 4])
    found[:, 5] = rng.permutation(len(found) + 1)[1:] / (len(found) + 2) + 0.001  # no two are equal
    return found


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    pictures=st.integers(1, 4),
    most=st.integers(0, 12),
    crowds=st.integers(0, 2),
    labels=st.sampled_from([(0,), (1, 2), (0, 1, 2)]),  # so some classes have no truth
    extra=st.integers(0, 15),
    at_once=st.sampled_from([evaluation.AT_ONCE, 5, 1]),  # all classes together, some, and each by itself
)
def test_random_cases_against_pycocotools(seed, pictures, most, crowds, labels, extra, at_once):
    rng = np.random.default_rng(seed)
    samples, detections = [], []
    for _ in range(pictures):
        objects = random_rows(rng, rng.integers(0, most + 1), labels)
        # An annotated area is that of the outline: smaller than the box's, and perhaps in another size class.
        areas = objects[:, 2] * objects[:, 3] * rng.uniform(0.3, 1, len(objects))
        samples.append(sample(objects, random_rows(rng, rng.integers(0, crowds + 1), labels), areas))
        seen = np.concatenate([objects, samples[-1].ignored])
        detections.append(detect_roughly(rng, seen, (0, 1, 2), extra))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "AT_ONCE", at_once)
        assert_as_pycocotools(samples, detections)


@pytest.mark.parametrize("seed", range(3))
def test_more_than_a_hundred_detections(seed):
    rng = np.random.default_rng(seed)
    samples = [sample(random_rows(rng, 130, (0, 1), longest=40)) for _ in range(2)]
    detections = [detect_roughly(rng, s.objects, (0, 1), 60) for s in samples]
    assert min(len(found) for found in detections) > 150
    assert_as_pycocotools(samples, detections)


def test_only_the_best_hundred_of_a_class_count():
    truth = rows(*((8 * (i // 12), 8 * (i % 12), 6, 6, 0) for i in range(110)))
    found = truth.copy()
    found[:, 5] = np.linspace(0.9, 0.1, 110)
    results = assert_as_pycocotools([sample(truth)], [found], ("dog",))
    assert results["AP"] == pytest.approx(91 / 101)  # a recall of 100 / 110 reaches 91 of the 101 points


@pytest.mark.parametrize("side", [31, 32, 33, 95, 96, 97])
def test_size_classes_meet_at_32_and_96_pixels(side):
    truth = rows((0, 0, side, side, 0))
    results = assert_as_pycocotools([sample(truth)], [truth], ("dog",))
    small, medium, large = (results[f"AP_{size}"] for size in ("small", "medium", "large"))
    assert (small == 1, medium == 1, large == 1) == (side <= 32, 32 <= side <= 96, side >= 96)


@pytest.mark.parametrize("detections", [[NOTHING], [rows((0, 0, 9, 9, 0, 0.5))]])
def test_no_truth_at_all_is_nan(detections):
    results = average_precision([sample()], detections, CLASSES)
    assert all(math.isnan(value) for value in flat(results))


def test_no_detections_at_all():
    results = assert_as_pycocotools([sample(rows((0, 0, 40, 40, 1)))], [NOTHING])
    assert (results["AP"], results["AP_medium"], results["per_class"]["cat"]) == (0, 0, 0)
    assert math.isnan(results["AP_small"])
    assert math.isnan(results["per_class"]["dog"])


def test_only_crowds_are_no_truth():
    crowd = rows((0, 0, 40, 40, 1))
    assert all(map(math.isnan, flat(assert_as_pycocotools([sample(ignored=crowd)], [crowd]))))


def test_no_pictures_at_all():
    assert all(map(math.isnan, flat(average_precision([], [], CLASSES))))


@pytest.mark.parametrize("seed", range(4))
def test_perfect_detections_give_one(seed):
    rng = np.random.default_rng(seed)
    samples = [sample(random_rows(rng, count, (0, 1, 2))) for count in (0, 5, 9)]
    results = average_precision(samples, [s.objects for s in samples], CLASSES)
    assert all(value == pytest.approx(1) for value in flat(results) if not math.isnan(value))
    assert results["AP"] == pytest.approx(1)


# One object of 100 x 100 pixels. A detection that is cut to the height h has an IoU of h / 100.
WHOLE = (0, 0, 100, 100, 0)


@pytest.mark.parametrize(
    ("truth", "ignored", "found", "expected"),
    [
        ([WHOLE], [], [(0, 0, 76, 100, 0, 0.9)], 0.6),  # good for 0.50, 0.55, ... 0.75
        ([WHOLE], [], [(0, 0, 50, 100, 0, 0.9)], 0.1),  # good for 0.50 only: the bound counts
        ([WHOLE], [], [(0, 0, 49, 100, 0, 0.9)], 0),
        ([WHOLE], [], [(*WHOLE, 0.9), (200, 200, 50, 50, 0, 0.5)], 1),  # a wrong one after the right one costs nothing
        ([WHOLE], [], [(*WHOLE, 0.5), (200, 200, 50, 50, 0, 0.9)], 0.5),  # before it, it halves the precision
        ([WHOLE], [], [(*WHOLE, 0.9), (*WHOLE, 0.8)], 1),  # nor does a duplicate
        ([WHOLE], [], [(0, 0, 100, 100, 1, 0.9)], 0),  # another class
        ([WHOLE, (200, 0, 100, 100, 0)], [], [(*WHOLE, 0.9)], 51 / 101),  # recall points 0, 0.01, ... 0.50
        ([WHOLE], [(200, 200, 90, 90, 0)], [(200, 200, 50, 50, 0, 0.9), (*WHOLE, 0.5)], 1),  # inside a crowd
        ([WHOLE], [(200, 200, 90, 90, 1)], [(200, 200, 50, 50, 0, 0.9), (*WHOLE, 0.5)], 0.5),  # of another class
    ],
)
def test_by_hand(truth, ignored, found, expected):
    results = assert_as_pycocotools([sample(rows(*truth), rows(*ignored))], [rows(*found)])
    assert results["per_class"]["dog"] == pytest.approx(expected)
    assert results["AP"] == pytest.approx(expected)


def test_the_mean_over_classes_leaves_out_those_without_truth():
    truth = rows(WHOLE, (0, 200, 100, 100, 1))
    results = assert_as_pycocotools([sample(truth)], [truth[:1]])
    assert results["AP"] == pytest.approx(0.5)
    assert results["per_class"] == pytest.approx({"dog": 1, "cat": 0, "hen": math.nan}, nan_ok=True)


def test_evaluate_shows_each_picture_once_in_order(monkeypatch):
    monkeypatch.setattr("centernet_data.evaluation.BATCH_SIZE", 3)
    dataset, seen = ShapesDataset("val", count=7, size=(64, 80)), []

    def detect(pictures):
        first = sum(seen)
        seen.append(len(pictures))
        for offset, picture in enumerate(pictures):
            np.testing.assert_array_equal(picture, dataset.picture(first + offset))
        return [dataset.sample(first + offset).objects.astype(float) for offset in range(len(pictures))]

    results = evaluate(detect, dataset)
    assert seen == [3, 3, 1]
    assert results["AP"] == pytest.approx(1)
    assert tuple(results["per_class"]) == dataset.classes


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_detections_of_several_processes_are_gathered(count):
    """Process k of `count` sees every count-th picture; each then knows what all of them found."""
    dataset, found = ShapesDataset("val", count=7, size=(64, 80)), {}
    rng = np.random.default_rng(0)
    noisy = [dataset.sample(i).objects + rng.normal(0, 2, (1, 6)) * (1, 1, 1, 1, 0, 0) for i in range(7)]

    def process(index, gather):
        order = iter(range(index, 7, count))
        return evaluate(lambda pictures: [noisy[next(order)] for _ in pictures], dataset, (index, count), gather)

    for index in range(count):
        process(index, lambda values, index=index: found.setdefault(index, values)[None].repeat(count, 0))
    everyone = np.stack([found[index] for index in range(count)])
    expected = average_precision([dataset.sample(i) for i in range(7)], noisy, dataset.classes)
    for index in range(count):
        assert process(index, lambda values: everyone) == expected


RESULTS = {
    **dict.fromkeys(NAMES, 0.25),
    "AP_small": math.nan,
    "AP50": 1.0,
    "per_class": {"a very long name": 0.12345, "b": math.nan},
}


def test_report():
    assert report(RESULTS).splitlines() == [
        "AP                0.250",
        "AP50              1.000",
        "AP75              0.250",
        "AP_small              -",
        "AP_medium         0.250",
        "AP_large          0.250",
        "",
        "AP by class",
        "a very long name  0.123",
        "b                     -",
    ]


def test_without_nan():
    plain = without_nan(RESULTS)
    assert plain["AP_small"] is None
    assert plain["AP50"] == 1
    assert plain["per_class"] == {"a very long name": 0.12345, "b": None}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert math.isnan(RESULTS["AP_small"])  # the argument is not changed
