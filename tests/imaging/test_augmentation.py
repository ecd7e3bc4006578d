"""Random changes of views: colour, light, and how far they go."""

import numpy as np
import pytest

from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.imaging.colour import GREY, augment_colour
from centernet_data.imaging.geometry import (
    augment_geometry,
    invert,
)
from helpers.pictures import IDENTITY, noise


@pytest.mark.parametrize("seed", range(20))
def test_no_colour_change_is_the_identity(seed):
    image = noise(9, 7, seed)
    np.testing.assert_array_equal(augment_colour(image, 0, 0, np.random.default_rng(seed)), image)


@pytest.mark.parametrize("seed", range(20))
def test_grey_stays_grey(seed):
    grey = np.repeat(noise(9, 7, seed)[..., :1], 3, axis=2)
    changed = augment_colour(grey, 0.5, 0, np.random.default_rng(seed)).astype(int)
    assert np.ptp(changed, axis=2).max() <= 1  # each channel is rounded separately


@pytest.mark.parametrize("strength", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("seed", range(10))
def test_a_plain_grey_changes_by_the_strength_at_most(strength, seed):
    plain = np.full((4, 4, 3), 100, np.uint8)  # contrast and saturation do not change it
    changed = augment_colour(plain, strength, 0, np.random.default_rng(seed))
    assert changed.dtype == np.uint8
    assert changed.shape == plain.shape
    assert (np.abs(changed.astype(int) - 100) <= 100 * strength + 1).all()


def test_the_light_shifts_all_pixels_alike_and_mostly_in_brightness():
    shifts = []
    for seed in range(200):
        image = np.random.default_rng(seed).integers(100, 150, (5, 4, 3)).astype(np.uint8)
        difference = augment_colour(image, 0, 0.1, np.random.default_rng(seed)).astype(int) - image
        assert np.ptp(difference, axis=(0, 1)).max() == 0
        shifts.append(difference[0, 0])
    shifts = np.array(shifts, float)
    # 255 x 0.1 x 0.214 along (0.56, 0.58, 0.59), and hardly anything across it; each channel is rounded separately.
    np.testing.assert_allclose(shifts.std(axis=0), 255 * 0.1 * 0.214 * np.array([0.56, 0.58, 0.59]), rtol=0.15)
    assert np.corrcoef(shifts.T).min() > 0.9


def test_contrast_and_saturation_move_away_from_grey():
    """All six orders of the three changes against pixel by pixel arithmetic without the matrices."""
    image = noise(6, 5).astype(float) * 0.3 + 90  # nothing is cut off at 0 or 255
    for seed in range(30):
        rng = np.random.default_rng(seed)
        expected = image.round()
        for kind in rng.permutation(3):
            factor = rng.uniform(0.9, 1.1)
            grey = [0, (expected @ GREY).mean(), (expected @ GREY)[..., None]][kind]
            expected = grey + factor * (expected - grey)
        changed = augment_colour(image.round().astype(np.uint8), 0.1, 0, np.random.default_rng(seed))
        np.testing.assert_allclose(changed, expected, atol=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (0, 1)}, r"scale must be two positive numbers, the smaller first, not \(0, 1\)"),
        ({"scale": (-1, 1)}, "scale must be"),
        ({"scale": (1.4, 0.6)}, "scale must be"),
        ({"scale": (float("nan"), 1)}, "scale must be"),
        ({"shift": -0.1}, "shift must be at least 0"),
        ({"shift": float("nan")}, "shift must be at least 0"),
        ({"shift": float("inf")}, "shift must be at least 0"),
        ({"scale": (1, float("inf"))}, "scale must be"),
        ({"colour": -0.1}, "colour at least 0 and less than 1"),
        ({"colour": 1}, "colour at least 0 and less than 1"),
        ({"colour": float("nan")}, "colour at least 0 and less than 1"),
        ({"lighting": -0.1}, "lighting must be at least 0"),
        ({"lighting": float("nan")}, "lighting must be at least 0"),
        ({"mosaic": 1.1}, "--augmentation.mosaic must be from 0 to 1, not 1.1"),
        ({"without_mosaic": -0.1}, "--augmentation.without-mosaic must be from 0 to 1"),
        ({"balance": float("nan")}, "--augmentation.balance must be from 0 to 1"),
    ],
)
def test_bad_augmentations(settings, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)


def test_no_augmentation_is_the_identity():
    for seed in range(5):
        matrix = augment_geometry((64, 96), NO_AUGMENTATION, np.random.default_rng(seed))
        np.testing.assert_allclose(matrix, IDENTITY, atol=1e-12)


def test_augmentation_stays_within_its_bounds_and_uses_them():
    augmentation = Augmentation(flip=True, scale=(0.5, 2), shift=0.25)
    matrices = [augment_geometry((64, 96), augmentation, np.random.default_rng(seed)) for seed in range(400)]
    scales = np.array([matrix[1, 1] for matrix in matrices])
    centres = np.array([invert(matrix) @ [48, 32, 1] for matrix in matrices])  # of the window, in the picture
    shifts = np.abs(centres - [48, 32]) / [96, 64]
    assert 0.5 <= scales.min() < 0.55
    assert 1.8 < scales.max() <= 2
    assert 0.23 < shifts.max() <= 0.25 + 1e-9
    assert 0.4 < np.mean([matrix[0, 0] < 0 for matrix in matrices]) < 0.6
    unflipped = Augmentation(flip=False)
    assert all(augment_geometry((8, 8), unflipped, np.random.default_rng(seed))[0, 0] > 0 for seed in range(50))


def test_the_same_seed_gives_the_same_change():
    def change(seed):
        rng = np.random.default_rng(seed)
        return augment_geometry((64, 64), Augmentation(), rng), augment_colour(noise(9, 7), 0.4, 0.1, rng)

    for first, second, other in zip(change(5), change(5), change(6), strict=True):
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)
