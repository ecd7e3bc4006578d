"""Objects to points, in both backends: the oracles, golden values and edge cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import oracles
from helpers.twins import WRONG

MODES = ("adaptive", "exact", "fixed")


def rows(*objects):
    return np.array([[(*o, 1.0) for o in objects]])


@st.composite
def scenes(draw):
    """Objects in cells, of which some stick out of the grid, lie outside it, or are padding."""
    hw = draw(st.sampled_from([(8, 8), (16, 24), (32, 8)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    objects = np.zeros((2, 6, 6))
    objects[..., :2] = rng.uniform(-2, np.array(hw) + 2, (2, 6, 2))
    objects[..., 2:4] = rng.choice([0.3, 1, 4, 7.5, 20], (2, 6, 2)) * rng.uniform(0.9, 1.1, (2, 6, 2))
    objects[..., 4] = rng.integers(0, 3, (2, 6))
    objects[..., 5] = rng.random((2, 6)) < 0.8
    return hw, objects * objects[..., 5:]


@given(scene=scenes(), targets=st.sampled_from(MODES), kernel=st.sampled_from([0, 1, 3, 7]))
@settings(max_examples=25, deadline=None)
def test_heatmap_equals_the_oracle(twin, scene, targets, kernel):
    hw, objects = scene
    drawn = twin.heatmap(objects, hw, 3, kernel, targets)
    np.testing.assert_allclose(drawn, oracles.heatmap(objects, hw, 3, kernel, targets), rtol=1e-12, atol=1e-12)


@given(scene=scenes())
@settings(max_examples=25, deadline=None)
def test_dense_map_equals_the_oracle(twin, scene):
    hw, objects = scene
    points = twin.objects_to_points(objects, hw=hw, num_classes=3)
    np.testing.assert_allclose(points[..., 3:], oracles.dense_regression(objects, hw), rtol=1e-12, atol=1e-12)


def test_golden_radius(twin):
    size = np.array([[1.0, 1.0], [2.0, 5.0], [10.0, 10.0], [16.0, 40.0], [64.0, 64.0]])
    authors = [oracles.radius_authors(*s) for s in size]
    exact = [oracles.radius_exact(*s) for s in size]
    np.testing.assert_allclose(twin.radius(size, False), authors, rtol=1e-12)
    np.testing.assert_allclose(twin.radius(size, True), exact, rtol=1e-9)
    # By hand, for 10 x 10: (-28 + sqrt(28² + 4 * 2.8 * 30)) / 2, and the same over a = 2.8.
    np.testing.assert_allclose(twin.radius(size[2], False), (-28 + np.sqrt(784 + 336)) / 2, rtol=1e-12)
    np.testing.assert_allclose(twin.radius(size[2], True), 10 * (1 - np.sqrt(0.7)) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("targets", "neighbour"),
    [
        ("adaptive", np.exp(-1 / (2 * (5 / 6) ** 2))),  # 10 x 10: radius floor(2.73) = 2, sigma 5/6
        ("exact", 0.0),  # 10 x 10: radius floor(0.82) = 0
        ("fixed", np.exp(-1 / (2 * (2 / 3) ** 2))),  # kernel 3: sigma 2/3
    ],
)
def test_golden_values(twin, targets, neighbour):
    drawn = twin.heatmap(rows((8.2, 8.7, 9.5, 10.0, 0)), (16, 16), 1, 3, targets)[0, ..., 0]
    assert drawn[8, 8] == 1
    np.testing.assert_allclose([drawn[8, 9], drawn[7, 8], drawn[8, 7]], neighbour, rtol=1e-12)
    if targets == "adaptive":
        np.testing.assert_allclose(drawn[8, 10], np.exp(-4 / (2 * (5 / 6) ** 2)), rtol=1e-12)
        assert drawn[8, 11] == 0


def test_without_smoothing_only_the_centres_are_set(twin):
    drawn = twin.heatmap(rows((2.5, 3.5, 4, 4, 1), (6.0, 1.0, 2, 2, 0)), (8, 8), 2, 0)
    assert drawn.sum() == 2
    assert drawn[0, 2, 3, 1] == drawn[0, 6, 1, 0] == 1


@pytest.mark.parametrize("targets", MODES)
def test_peaks_are_exactly_one_in_single_precision_too(twin, targets):
    objects = rows(*[(y + 0.37, x + 0.61, 3.3, 5.7, 0) for y in range(0, 32, 5) for x in range(0, 32, 5)])
    drawn = twin.heatmap(objects.astype(np.float32), (32, 32), 1, 3, targets)
    assert drawn.dtype == np.float32
    assert (drawn == 1).sum() == 49
    assert drawn.max() == 1


@pytest.mark.parametrize("targets", MODES)
def test_overlapping_objects_merge_by_maximum(twin, targets):
    first, second = (8.5, 7.5, 9, 9, 0), (8.5, 8.5, 12, 12, 0)  # adjacent centres
    together = twin.heatmap(rows(first, second), (16, 16), 1, 3, targets)
    apart = [twin.heatmap(rows(o), (16, 16), 1, 3, targets) for o in (first, second)]
    np.testing.assert_allclose(together, np.maximum(*apart), rtol=1e-14)
    assert (together == 1).sum() == 2


def test_of_two_objects_in_one_cell_the_dense_map_keeps_the_first(twin):
    points = twin.objects_to_points(rows((4.25, 4.5, 2, 3, 0), (4.75, 4.0, 5, 6, 1)), hw=8)
    np.testing.assert_allclose(points[0, 4, 4], [1, 1, 0.25, 0.5, 2, 3])


def test_an_object_over_the_border_is_clipped_first(twin):
    points = twin.objects_to_points(rows((0.0, 7.5, 4, 2, 0)), hw=8)  # reaches from -2 to 2, and from 6.5 to 8.5
    np.testing.assert_allclose(points[0, 1, 7, 2:], [0.0, 0.25, 2, 1.5])
    assert points[0, ..., 0].max() == points[0, 1, 7, 0] == 1


def test_what_is_left_out(twin):
    outside, touching, empty, padding = (-3, 4, 2, 2, 0), (9, 4, 2, 2, 0), (4, 4, 0, 2, 0), (0, 0, 0, 0, 0)
    objects = rows(outside, touching, empty, padding)
    objects[0, 3, 5] = 0
    assert not twin.objects_to_points(objects, hw=8).any()


def test_an_object_smaller_than_a_cell_and_one_at_the_far_edge(twin):
    points = twin.objects_to_points(rows((3.5, 3.5, 0.1, 0.2, 0), (8.0, 8.0, 1e-3, 1e-3, 1)), hw=8, targets="adaptive")
    np.testing.assert_allclose(points[0, 3, 3], [1, 0, 0.5, 0.5, 0.1, 0.2])
    assert points[0, 7, 7, 1] == 1
    assert (points[0, ..., :2] > 0).sum() == 2


def test_a_box_inside_the_frame_keeps_its_size_bit_for_bit(twin):
    rng = np.random.default_rng(0)
    size = rng.integers(1, 9, (200, 2)).astype(np.float32)
    centre = rng.uniform(4.5, 11.5, (200, 2)).astype(np.float32)
    for c, s in zip(centre, size, strict=True):
        row = np.array([[[*c, *s, 0, 1]]], np.float32)
        points = twin.objects_to_points(row, hw=16, num_classes=1)
        np.testing.assert_array_equal(points[0, int(c[0]), int(c[1]), 3:], s)


def test_no_objects(twin):
    assert not twin.objects_to_points(np.zeros((2, 3, 6)), hw=(4, 8)).any()
    assert twin.objects_to_points(np.zeros((2, 0, 6)), hw=(4, 8)).shape == (2, 4, 8, 6)


@pytest.mark.parametrize("options", [{"targets": "gaussian"}, {"smooth_kernel_size": 2}, {"smooth_kernel_size": -1}])
def test_wrong_options(twin, options):
    with pytest.raises(WRONG, match=r"targets|smooth_kernel_size"):
        twin.package.ObjectsToPoints(**options)
