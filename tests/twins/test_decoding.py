"""Points to objects, in both backends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import oracles


def random_points(seed, levels, hw=(8, 12), classes=3, dtype=np.float64):
    """Points whose class scores take only `levels` values, so that there are plateaus and ties."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (2, *hw, classes + 4))
    points[..., :classes] = rng.integers(0, levels, (2, *hw, classes)) / levels
    return points.astype(dtype)


@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 5, 1000]), kernel=st.sampled_from([1, 3, 5]))
@settings(max_examples=20, deadline=None)
def test_peaks_equal_the_oracle(twin, seed, levels, kernel):
    points = random_points(seed, levels)
    np.testing.assert_array_equal(twin.suppress(points, kernel_size=kernel), oracles.peaks(points, kernel))


@given(
    seed=st.integers(0, 2**32),
    levels=st.sampled_from([1, 3, 1000]),
    count=st.sampled_from([1, 7, 42, 288, 300]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=20, deadline=None)
def test_objects_equal_the_oracle_ties_included(twin, seed, levels, count, dtype):
    points = random_points(seed, levels, dtype=dtype)
    found = twin.points_to_objects(points, objects_per_image=count, min_confidence=0.3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, oracles.decode(points, count, dtype(0.3)).astype(dtype))


def test_each_picture_of_a_batch_is_decoded_into_pixels(twin):
    points = random_points(0, 5, dtype=np.float32)
    options = {"objects_per_image": 20, "min_confidence": 0.7}
    found = twin.decode(points, nms_kwargs={"kernel_size": 5}, points_to_objects_kwargs=options)
    expected = oracles.decode(oracles.peaks(points, 5), 20, np.float32(0.7)).astype(np.float32)
    assert expected.any((1, 2)).all()
    np.testing.assert_array_equal(found, expected * np.float32([4, 4, 4, 4, 1, 1]))


def test_what_is_encoded_is_decoded(twin):
    objects = np.array([[[3.2, 4.7, 3, 5, 1, 1], [6.0, 9.25, 2, 2.5, 0, 1], [0, 0, 0, 0, 0, 0]]])
    points = twin.objects_to_points(objects, hw=(8, 12))
    found = twin.points_to_objects(twin.suppress(points), objects_per_image=3)
    np.testing.assert_allclose(found[0], objects[0][[1, 0, 2]], rtol=1e-12)  # equal scores: lower class first


def test_peaks_do_not_compete_across_classes(twin):
    points = np.zeros((1, 4, 4, 6))
    points[0, 1, 1, 0], points[0, 1, 2, 1] = 0.9, 0.8
    np.testing.assert_array_equal(twin.suppress(points), points)


def test_a_plateau_is_all_peak(twin):
    points = np.zeros((1, 4, 4, 5))
    points[0, 1:3, 1:3, 0] = 0.5
    found = twin.points_to_objects(twin.suppress(points), objects_per_image=6)[0]
    np.testing.assert_array_equal(found[:, :2], [[1, 1], [1, 2], [2, 1], [2, 2], [0, 0], [0, 0]])


def test_nothing_reaches_the_confidence(twin):
    points = random_points(0, 1000)
    points[..., :3] *= 0.09
    assert not twin.points_to_objects(points).any()


def test_nan_scores_are_no_detections(twin):
    points = random_points(0, 1000)
    points[0, :, :, 0] = np.nan
    found = twin.points_to_objects(twin.suppress(points), objects_per_image=10)
    assert np.isfinite(found).all()
    assert (found[..., 4][found[..., 5] > 0] >= 0).all()


def test_nan_scores_that_were_not_suppressed_take_places_but_are_no_detections(twin):
    points = random_points(0, 1000)
    points[0, 0, :2, 0] = np.nan
    whole = twin.points_to_objects(np.nan_to_num(points, nan=2), objects_per_image=10).copy()
    assert (whole[0, :2, 5] == 2).all()
    whole[0, :2] = 0
    np.testing.assert_array_equal(twin.points_to_objects(points, objects_per_image=10), whole)


@pytest.mark.parametrize("kernel_size", [0, 2, -3])
def test_even_windows_have_no_centre(twin, kernel_size):
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        twin.package.PointsNonMaxSuppression(kernel_size)
