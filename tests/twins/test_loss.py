"""The losses, in both backends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import oracles
from helpers.twins import WRONG

HW = (8, 12)


def case(seed, count=5, batch=2):
    """Points (probabilities) and objects in pixels, some over the border, two of them in one cell."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (batch, *HW, 6))
    points[..., :2] = rng.uniform(0.01, 0.99, (batch, *HW, 2))
    objects = np.zeros((batch, count, 6))
    objects[..., :2] = rng.uniform(0, np.array(HW) * 4, (batch, count, 2))
    objects[..., 2:4] = rng.uniform(2, 30, (batch, count, 2))
    objects[..., 4] = rng.integers(0, 2, (batch, count))
    objects[..., 5] = 1
    if count > 1:
        objects[0, 1, :2] = objects[0, 0, :2]
        objects[1, count // 2 :] = 0
    return points, objects


def logits(points):
    scores = points[..., :2]
    return np.concatenate([np.log(scores / (1 - scores)), points[..., 2:]], axis=-1)


@given(
    seed=st.integers(0, 2**32),
    count=st.sampled_from([0, 1, 5]),
    targets=st.sampled_from(["adaptive", "exact", "fixed"]),
    normalization=st.sampled_from(["batch", "image"]),
    from_logits=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_equals_the_oracle(twin, seed, count, targets, normalization, from_logits):
    points, objects = case(seed, count)
    options = {"targets": targets, "normalization": normalization, "from_logits": from_logits}
    found, _ = twin.loss(logits(points) if from_logits else points, objects, **options)
    cells = objects / [4, 4, 4, 4, 1, 1]
    target = oracles.heatmap(cells, HW, 2, 3, targets)
    np.testing.assert_allclose(found, oracles.losses(points, cells, target, normalization), rtol=1e-9)


def test_gradient_equals_finite_differences(twin):
    points, objects = case(3)
    points = logits(points)
    _, gradient = twin.loss(points, objects, from_logits=True)
    cells = twin.objects_to_points(objects / [4, 4, 4, 4, 1, 1], hw=HW)
    heaviest = np.argwhere(cells[..., 4] > 0)[:2]
    for b, y, x in [*heaviest, (0, 0, 0), (1, 7, 11)]:
        for channel in range(6):
            step = np.zeros_like(points)
            step[b, y, x, channel] = 1e-6
            above, below = (twin.loss(points + s, objects, from_logits=True)[0].mean(0).sum() for s in (step, -step))
            np.testing.assert_allclose(gradient[b, y, x, channel], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


def test_negatives_near_a_centre_count_too(twin):
    """The classic bug: leaving out the cells whose target lies between 0 and 1."""
    points = np.full((1, *HW, 6), 0.1)
    objects = np.array([[[16.0, 24.0, 16, 16, 0, 1]]])
    before, _ = twin.loss(points, objects)
    points[0, 4, 7, 0] = 0.9  # the neighbour of the centre cell (4, 6)
    after, _ = twin.loss(points, objects)
    weight = (1 - np.exp(-1 / (2 * (2 / 3) ** 2))) ** 4
    expected = weight * (-(0.9**2) * np.log(0.1) + 0.1**2 * np.log(0.9))
    np.testing.assert_allclose(after[0, 0] - before[0, 0], expected, rtol=1e-9)


def test_two_objects_in_one_cell_both_count(twin):
    points = np.zeros((1, *HW, 6)) + 0.5
    one = np.array([[[17.0, 25.0, 8, 8, 0, 1], [0, 0, 0, 0, 0, 0]]])
    two = np.array([[[17.0, 25.0, 8, 8, 0, 1], [18.0, 26.0, 16, 16, 0, 1]]])
    (first, _), (both_of_them, _) = twin.loss(points, one), twin.loss(points, two)
    np.testing.assert_allclose(first[0, 2], 0.1 * 1.5, rtol=1e-4)
    np.testing.assert_allclose(both_of_them[0, 2], 0.1 * (1.5 + 3.5) / 2, rtol=1e-4)
    np.testing.assert_allclose(first[0, 0], both_of_them[0, 0], rtol=1e-9)  # one positive cell in both


def test_mean_over_the_batch_is_the_authors_loss(twin):
    """The authors divide sums over the whole batch by counts over the whole batch; per image it would differ."""
    points, objects = case(7)
    by_batch, _ = twin.loss(points, objects)
    by_image, _ = twin.loss(points, objects, normalization="image")
    cells = objects / [4, 4, 4, 4, 1, 1]
    target = oracles.heatmap(cells, HW, 2, 3, "fixed")
    sums = oracles.losses(points, cells, target, "image") * (objects[..., 5].sum(1)[:, None] + 1)
    count = objects[..., 5].sum()
    expected = sums.sum(0) / [(target == 1).sum(), 2 * count + 1e-4, 2 * count + 1e-4]
    np.testing.assert_allclose(by_batch.mean(0), expected, rtol=1e-9)
    assert not np.allclose(by_image.mean(0), expected, rtol=1e-2)


@pytest.mark.parametrize("normalization", ["batch", "image"])
def test_a_batch_without_objects_is_finite(twin, normalization):
    points, objects = case(1)
    found, gradient = twin.loss(logits(points), objects * 0, from_logits=True, normalization=normalization)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()
    assert (found[:, 0] > 0).all()
    assert not found[:, 1:].any()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("extreme", [100.0, -100.0])
def test_extreme_logits_are_finite(twin, dtype, extreme):
    points, objects = case(2)
    points[..., :2] = extreme
    found, gradient = twin.loss(points, objects.astype(np.float32), dtype, from_logits=True)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[..., :2]).max() > 0


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_certain_probabilities_are_finite(twin, extreme):
    points, objects = case(2)
    points[..., :2] = extreme
    found, gradient = twin.loss(points, objects)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_certain_probabilities_in_bfloat16_cost_what_they_do_in_float32(twin, extreme):
    """Between 1 - 1e-4 and 1 bfloat16 has no number, so that the clamp would be to 1, and the loss infinite."""
    points, objects = case(2)
    points, objects = np.round(points * 8) / 8, np.round(objects)  # which bfloat16 holds
    points[..., :2] = extreme
    found, gradient = twin.loss(points, objects, "bfloat16", "bfloat16")
    expected, _ = twin.loss(points, objects, "float32", "float32")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_golden_logits_and_their_gradients(twin):
    """1 / (p (1 - p)), at the bounds of the clamp too; 0 beyond, where the clamp is flat."""
    probability = np.array([0, 1e-5, 1e-4, 0.5, 0.8, 1 - 1e-4, 1])
    logits, gradient = twin.logit(probability, "float64")
    low, high = -np.log(9999), np.log(9999)
    np.testing.assert_allclose(logits, [low, low, low, 0, np.log(4), high, high], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, [0, 0, 1 / 1e-4 / 0.9999, 4, 6.25, 1 / 1e-4 / 0.9999, 0], rtol=1e-9)
    for dtype in ("float32", "bfloat16"):
        np.testing.assert_allclose(twin.logit([0, 1], dtype)[0], [low, high], rtol=1e-3)
    assert np.isnan(twin.logit([-0.1, 1.1, np.nan], "float32")[0]).all()


def test_gradient_of_an_exact_prediction_is_zero(twin):
    objects = np.array([[[17.0, 25.0, 8, 8, 0, 1]]])
    points = twin.objects_to_points(objects / [4, 4, 4, 4, 1, 1], hw=HW)
    _, gradient = twin.loss(points, objects)
    assert not gradient[..., 2:].any()


def test_options_for_the_targets_come_from_obj_to_points(twin):
    points, objects = case(5)
    targets = twin.package.ObjectsToPoints(HW, 2, 5, "fixed")
    given_module, _ = twin.loss(points, objects, obj_to_points=targets)
    given_field, _ = twin.loss(points, objects, smooth_kernel_size=5)
    default, _ = twin.loss(points, objects)
    np.testing.assert_array_equal(given_module, given_field)
    assert not np.allclose(given_module[:, 0], default[:, 0])


def test_weights_and_scale(twin):
    points, objects = case(6)
    base, _ = twin.loss(points, objects)
    weighted, _ = twin.loss(points, objects, l_size_lambda=0.3, l_offset_lambda=2)
    np.testing.assert_allclose(weighted, base * [1, 2, 3], rtol=1e-9)
    scaled, _ = twin.loss(points, objects * [2, 2, 2, 2, 1, 1], r_scale=8)
    np.testing.assert_allclose(scaled, base, rtol=1e-9)


def test_wrong_normalization(twin):
    with pytest.raises(WRONG, match="normalization"):
        twin.package.CenterNetLoss(normalization="none")
