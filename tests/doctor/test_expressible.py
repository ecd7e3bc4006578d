"""What the network can express, compared with the network's own encoding and decoding."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet_data.dataset import Sample
from centernet_data.doctor.expressible import express
from centernet_torch.convert import objects_to_points, points_to_objects
from centernet_torch.network import points_non_max_suppression


def numbers_between(low, high):
    return st.floats(low, high, allow_nan=False, width=32)


rows = st.lists(
    st.tuples(numbers_between(0, 64), numbers_between(0, 64), numbers_between(0.5, 40), numbers_between(0.5, 40),
              st.integers(0, 2)),
    max_size=12,
)  # fmt: skip


def sample_of(objects, height=64, width=64):
    """A sample with these (y, x, height, width, class), clipped to the picture as the readers do."""
    objects = np.array(objects, float).reshape(-1, 5)
    low = np.maximum(objects[:, :2] - objects[:, 2:4] / 2, 0)
    high = np.minimum(objects[:, :2] + objects[:, 2:4] / 2, (height, width))
    clipped = np.column_stack([(low + high) / 2, high - low, objects[:, 4], np.ones(len(objects))])
    clipped = clipped[(high > low).all(axis=1)]
    return Sample("a", height, width, clipped, clipped[:, 2] * clipped[:, 3], np.zeros((0, 6)))


@settings(deadline=None, max_examples=60)
@given(rows)
def test_expressed_as_the_network_itself_would(objects):
    sample = sample_of(objects)
    expected = np.zeros((0, 6))
    if len(sample.objects):
        cells = torch.from_numpy(sample.objects / [4, 4, 4, 4, 1, 1])[None]
        points = points_non_max_suppression(objects_to_points(cells, (16, 16), 3, targets="adaptive"))
        expected = points_to_objects(points, 100, 1.0)[0].numpy() * [4, 4, 4, 4, 1, 1]
        expected = expected[expected[:, 5] > 0]
    np.testing.assert_allclose(express(sample, (64, 64), "stretch").decoded, expected, atol=1e-9)


def test_in_the_pictures_own_pixels_and_the_numbers_add_up():
    sample = sample_of([(10, 20, 8, 8, 0), (10, 21, 6, 6, 0), (100, 200, 50, 60, 1)], 128, 256)
    part = express(sample, (32, 32), "letterbox")  # scaled to an eighth: cells of 32 pixels, boxes of 1 pixel and less
    np.testing.assert_array_equal(part.vanished, [False, True, False])
    np.testing.assert_array_equal(part.under_a_cell, [True, True, False])
    np.testing.assert_array_equal(part.shared, [False, True, False])
    np.testing.assert_allclose(part.decoded, sample.objects[[0, 2]])


def test_only_the_best_hundred_count():
    objects = [(4 * y + 2, 4 * x + 2, 3, 3, 0) for y in range(11) for x in range(10)]
    part = express(sample_of(objects), (64, 64), "letterbox")
    np.testing.assert_array_equal(np.flatnonzero(part.beyond_the_best), range(100, 110))
    assert len(part.decoded) == 100
