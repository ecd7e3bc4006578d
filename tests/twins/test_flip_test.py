"""Detection that also looks at the mirror image, in both backends."""

from dataclasses import replace

import numpy as np
import pytest

from helpers import oracles
from helpers.parity_cases import RECIPE, SMALL, assert_all_agree, random_model
from parity.bounds import BOUNDS
from parity.detections import compare_boxes, detectors_of
from parity.numerics import numerics
from parity.pair import Pair

CONFIG = replace(SMALL, image_size=(64, 96))
# One fills the network's input, one has margins of 28 pixels left and right, one above and below.
PICTURES = [np.random.default_rng(0).integers(0, 256, (*hw, 3), np.uint8) for hw in ((64, 96), (64, 40), (32, 96))]


def test_the_average_equals_the_oracle(twin):
    points, flipped = np.random.default_rng(0).normal(size=(2, 2, 8, 12, 7))
    np.testing.assert_array_equal(twin.average_flipped(points, flipped), oracles.average_flipped(points, flipped))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model.safetensors with random weights, whose offset is (0.25, 0.5) everywhere."""
    return random_model(tmp_path_factory.mktemp("flip") / "model.safetensors", CONFIG)


def mirrored(picture):
    return np.ascontiguousarray(picture[:, ::-1])


def pairs_of(detector):
    """For each picture its detections, best first, and those of its mirror image, mirrored back."""
    for picture, found, other in zip(
        PICTURES, detector(PICTURES, 0.0), detector([*map(mirrored, PICTURES)], 0.0), strict=True
    ):
        yield found, other * [1, -1, 1, 1, 1, 1] + [0, picture.shape[1], 0, 0, 0, 0]


def test_the_mirror_image_has_the_mirrored_boxes(twin, model):
    for found, other in pairs_of(twin.package.load(model, flip_test=True)):
        assert len(found) > 50
        np.testing.assert_allclose(other, found, rtol=1e-5, atol=1e-4)


def test_both_backends_find_the_same(model):
    with numerics("float64"):
        pair = Pair.load(model, RECIPE, "float64")
        ours, theirs = (detect(PICTURES) for detect in detectors_of(pair, flip_test=True))
        assert_all_agree(compare_boxes(ours, theirs, "float64", BOUNDS["float64"].forward, "flip test"))


def test_without_flip_test_it_has_not(twin, model):
    for found, other in pairs_of(twin.package.load(model)):
        least = min(len(found), len(other))
        assert np.abs(other[:least] - found[:least]).max() > 1


def test_the_mirror_image_has_the_mirrored_heatmap(twin, model):
    heat = twin.package.load(model, flip_test=True).heatmap(np.stack([PICTURES[0], mirrored(PICTURES[0])]))
    assert heat.std() > 1e-3
    np.testing.assert_allclose(heat[1, :, ::-1], heat[0], rtol=1e-5)
