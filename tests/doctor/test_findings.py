"""Checks of all boxes at once find what checks of each box find."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from centernet_data.dataset import AnnotatedBox, AnnotatedPicture
from centernet_data.doctor.findings import (
    TOLERANCE,
    Split,
    _corners_and_sizes,
    _fit_as_corners,
    _reach_beyond,
    _wrong_place,
    box_findings,
)
from centernet_data.stored import AnnotatedPictures
from helpers.datasets import Plain

sides = st.sampled_from([-9, -1.5, -1, -0.5, 0, 0.5, 3, 29, 30, 31, 31.5, 39, 40, 41, 41.5, 60])
pictures = st.lists(st.lists(st.tuples(sides, sides, sides, sides), max_size=4), max_size=3)


@settings(deadline=None, max_examples=60)
@given(pictures)
def test_boxes_in_the_wrong_place(corners):
    annotated = [
        AnnotatedPicture(
            f"{i}", Path(f"{i}"), 30, 40, [AnnotatedBox(box, f"{n}", where=f"{i} {n}") for n, box in boxes]
        )
        for i, boxes in enumerate(map(enumerate, corners))
    ]
    split = Split("train", Plain(), [], AnnotatedPictures.of(annotated))
    expected = [
        (index, wrong[0], f"{box.where}: {wrong[1]}")
        for index, picture in enumerate(annotated)
        for box in picture.boxes
        if (wrong := _wrong_place(box, picture))
    ]
    found = [(f.picture, f.kind, f.message) for f in box_findings(split) if f.kind != "duplicate box"]
    assert found == expected
    table = _corners_and_sizes(split)
    boxes = [box for boxes in corners for box in boxes]
    assert (_reach_beyond(*table) > TOLERANCE).tolist() == [
        x < -1 or y < -1 or right > 41 or low > 31 for x, y, right, low in boxes
    ]
    assert _fit_as_corners(*table).tolist() == [
        x >= 0 and y >= 0 and x < right - x <= 41 and y < low - y <= 31 for x, y, right, low in boxes
    ]
