"""Matrices and pictures: pixels move with their boxes, and nothing drifts by half a pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet_data.contract.augmentation import Augmentation
from centernet_data.imaging.geometry import (
    PADDING,
    augment_geometry,
    compose,
    fit,
    invert,
    move_objects,
    reduction_before,
    visible_share,
    warp,
)
from helpers.pictures import IDENTITY, noise

SIDES = st.integers(1, 2000)


def box(y_min, x_min, y_max, x_max):
    return np.array([[(y_min + y_max) / 2, (x_min + x_max) / 2, y_max - y_min, x_max - x_min, 1, 1]], float)


def edges(objects):
    y, x, height, width = objects[:, :4].T
    return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)


@pytest.mark.parametrize(
    ("picture", "target", "resize", "expected"),
    [
        ((64, 64), (64, 64), "letterbox", [[1, 0, 0], [0, 1, 0]]),
        ((100, 200), (64, 64), "letterbox", [[0.32, 0, 0], [0, 0.32, 16]]),
        ((200, 100), (64, 64), "letterbox", [[0.32, 0, 16], [0, 0.32, 0]]),
        ((100, 200), (64, 96), "letterbox", [[0.48, 0, 0], [0, 0.48, 8]]),
        ((16, 8), (64, 96), "letterbox", [[4, 0, 32], [0, 4, 0]]),
        ((100, 200), (64, 64), "stretch", [[0.32, 0, 0], [0, 0.64, 0]]),
        ((16, 8), (64, 96), "stretch", [[12, 0, 0], [0, 4, 0]]),
        ((1, 1), (32, 64), "letterbox", [[32, 0, 16], [0, 32, 0]]),
    ],
)
def test_fit(picture, target, resize, expected):
    np.testing.assert_allclose(fit(picture, target, resize), expected, atol=1e-12)


@given(SIDES, SIDES, SIDES, SIDES)
def test_letterbox_fills_one_side_keeps_the_aspect_and_centres(height, width, input_height, input_width):
    matrix = fit((height, width), (input_height, input_width))
    assert matrix[0, 0] == matrix[1, 1]
    ((top, left, bottom, right),) = edges(move_objects(box(0, 0, height, width), matrix))
    np.testing.assert_allclose([top, left], [input_height - bottom, input_width - right], atol=1e-6)
    np.testing.assert_allclose(min(top, left), 0, atol=1e-6)


@given(SIDES, SIDES, SIDES, SIDES)
def test_stretch_fills_the_input(height, width, input_height, input_width):
    moved = move_objects(box(0, 0, height, width), fit((height, width), (input_height, input_width), "stretch"))
    np.testing.assert_allclose(edges(moved), [[0, 0, input_height, input_width]], atol=1e-6)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["letterbox", "stretch"]), st.integers(0, 999))
def test_boxes_come_back(height, width, input_height, input_width, resize, seed):
    matrix = fit((height, width), (input_height, input_width), resize)
    objects = np.random.default_rng(seed).uniform(0, 1, (5, 6)) * [height, width, height, width, 9, 1]
    np.testing.assert_allclose(move_objects(move_objects(objects, matrix), invert(matrix)), objects, atol=1e-7)
    np.testing.assert_allclose(compose(invert(matrix), matrix), IDENTITY, atol=1e-9)


def test_compose_does_the_first_first():
    shift, double = np.array([[1.0, 0, 3], [0, 1, 5]]), np.array([[2.0, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(compose(double, shift), [[2, 0, 6], [0, 2, 10]])
    np.testing.assert_array_equal(compose(shift, double), [[2, 0, 3], [0, 2, 5]])


def test_move_objects_leaves_its_argument_and_mirrors_without_negative_sizes():
    objects = box(2, 3, 6, 5)
    moved = move_objects(objects, np.array([[-1.0, 0, 20], [0, 1, 0]]))
    np.testing.assert_array_equal(objects, box(2, 3, 6, 5))
    np.testing.assert_array_equal(moved, box(2, 15, 6, 17))


def rectangle(height, width, y_min, x_min, y_max, x_max):
    image = np.zeros((height, width, 3), np.uint8)
    image[y_min:y_max, x_min:x_max] = 255
    return image


def seen_edges(image):
    """The box around all pixels that are more than half bright, each pixel i reaching from i to i + 1."""
    bright = image.min(2) > 127  # the padding is darker
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def assert_drawn_where_the_box_says(height, width, corners, matrix, hw):
    expected = edges(move_objects(box(*corners), matrix))[0]
    seen = seen_edges(warp(rectangle(height, width, *corners), matrix, hw))
    np.testing.assert_allclose(seen, np.clip(expected, 0, [*hw, *hw]), atol=1)


FRAMES = [
    ((64, 64), (64, 64)),
    ((48, 32), (160, 96)),  # up
    ((37, 53), (256, 192)),
    ((480, 640), (128, 128)),  # down
    ((333, 500), (64, 96)),
    ((40, 400), (128, 128)),  # stretched: up and down at once
]


@pytest.mark.parametrize(("picture", "target"), FRAMES)
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_a_rectangle_lies_where_its_box_is(picture, target, resize):
    height, width = picture
    corners = (height // 5, width // 4, height * 3 // 4, width * 2 // 3)
    assert_drawn_where_the_box_says(height, width, corners, fit(picture, target, resize), target)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(FRAMES), st.integers(0, 10**6))
def test_a_rectangle_lies_where_its_box_is_after_augmentation(frames, seed):
    (height, width), target = frames
    rng = np.random.default_rng(seed)
    matrix = augment_geometry(target, Augmentation(scale=(0.5, 1.5), shift=0.1), rng)
    corners = (height // 3, width // 3, height * 2 // 3, width * 2 // 3)
    matrix = compose(matrix, fit((height, width), target, "stretch"))
    assert_drawn_where_the_box_says(height, width, corners, matrix, target)


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (32, 64)])
def test_the_identity_returns_the_identical_picture(hw):
    np.testing.assert_array_equal(warp(noise(*hw), IDENTITY, hw), noise(*hw))
    np.testing.assert_array_equal(warp(noise(*hw), fit(hw, hw), hw), noise(*hw))


@pytest.mark.parametrize("hw", [(7, 5), (32, 64)])
def test_a_flip_is_the_reversed_picture(hw):
    mirror = np.array([[-1.0, 0, hw[1]], [0, 1, 0]])
    np.testing.assert_array_equal(warp(noise(*hw), mirror, hw), noise(*hw)[:, ::-1])


def test_whole_shifts_move_whole_pixels():
    moved = warp(noise(8, 9), np.array([[1.0, 0, 2], [0, 1, -3]]), (8, 9))
    np.testing.assert_array_equal(moved[:5, 2:], noise(8, 9)[3:, :-2])
    assert (moved[:, :2] == PADDING).all()
    assert (moved[5:] == PADDING).all()


def test_halving_averages_pairs_of_pixels():
    image = noise(8, 12)
    mean = image.reshape(4, 2, 6, 2, 3).mean((1, 3))
    np.testing.assert_allclose(warp(image, fit((8, 12), (4, 6)), (4, 6)), mean, atol=0.51)


@pytest.mark.parametrize(("picture", "target"), FRAMES)
def test_a_symmetric_picture_stays_symmetric(picture, target):
    half = noise(*picture, seed=1).astype(int)
    image = ((half + half[:, ::-1] + half[::-1] + half[::-1, ::-1]) // 4).astype(np.uint8)
    warped = warp(image, fit(picture, target), target).astype(int)
    np.testing.assert_allclose(warped, warped[:, ::-1], atol=2)
    np.testing.assert_allclose(warped, warped[::-1], atol=2)


@pytest.mark.parametrize(("picture", "target"), FRAMES)
def test_flipping_before_and_after_is_the_same(picture, target):
    image, matrix = noise(*picture), fit(picture, target)
    mirror = np.array([[-1.0, 0, target[1]], [0, 1, 0]])
    flipped = warp(image, compose(mirror, matrix), target).astype(int)
    np.testing.assert_allclose(flipped, warp(image, matrix, target)[:, ::-1], atol=2)


def test_a_blob_keeps_its_centre_of_mass():
    image = np.zeros((90, 90, 3), np.uint8)
    image[30:42, 51:60] = 200
    for side in (30, 45, 64, 90, 128, 300):
        warped = warp(image, fit((90, 90), (side, side)), (side, side)).astype(float)[..., 0]
        rim = 1 + side // 90
        warped[:rim] = warped[-rim:] = warped[:, :rim] = warped[:, -rim:] = 0  # there the padding is mixed in
        y, x = np.mgrid[:side, :side] + 0.5
        centre = np.array([(y * warped).sum(), (x * warped).sum()]) / warped.sum()
        np.testing.assert_allclose(centre, np.array([36, 55.5]) * side / 90, atol=0.05 * max(side / 90, 1))


def test_the_padding_has_its_colour():
    warped = warp(np.full((20, 40, 3), 255, np.uint8), fit((20, 40), (64, 64)), (64, 64))
    assert (warped[:15] == PADDING).all()
    assert (warped[49:] == PADDING).all()
    assert (warped[18:46, 2:-2] == 255).all()


def naive_visible_share(row, hw):
    """Counted on a grid of 1/8 pixel."""
    y, x, height, width = row[:4]
    rows = np.arange(y - height / 2, y + height / 2, 1 / 8) + 1 / 16
    columns = np.arange(x - width / 2, x + width / 2, 1 / 8) + 1 / 16
    seen = sum(0 < r < hw[0] and 0 < c < hw[1] for r in rows for c in columns)
    return seen / (len(rows) * len(columns))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(-10, 40)] * 2, *[st.integers(1, 12)] * 2), max_size=3))
def test_visible_share_against_counting(rows):
    objects = np.array([(y / 2, x / 2, h, w, 0, 1) for y, x, h, w in rows], float).reshape(-1, 6)
    expected = [naive_visible_share(row, (12, 16)) for row in objects]
    np.testing.assert_allclose(visible_share(objects, (12, 16)), expected, atol=1e-9)


def test_visible_share_of_an_object_far_outside_both_ways_is_zero():
    assert visible_share(box(-20, -20, -10, -10), (10, 10)) == [0]


def test_without_padding_the_edges_go_on():
    doubled = warp(np.full((6, 8, 3), 7, np.uint8), np.array([[2.0, 0, -1], [0, 2.0, 3]]), (16, 18), padding=None)
    assert (doubled == 7).all()


@given(st.floats(0.01, 20), st.floats(0.01, 20), st.sampled_from([-1, 1]))
def test_reading_reduces_by_no_more_than_the_transform_shrinks(scale_y, scale_x, mirror):
    matrix = np.array([[mirror * scale_x, 0, 5], [0, scale_y, -3]])
    reduction = reduction_before(matrix)
    assert reduction in (1, 2, 4, 8)
    assert reduction == 1 or reduction * max(scale_y, scale_x) <= 1
    assert reduction == 8 or 2 * reduction * max(scale_y, scale_x) > 1
