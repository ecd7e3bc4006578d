"""The authors' sampler, with which ours is compared: it does their work, on the same pictures."""

import numpy as np
import pytest

from centernet.commands.data_bench_authors import _radius, authors_batch
from centernet.commands.data_bench_work import compared_with_authors
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.source import open_dataset
from centernet_data.synthetic.shapes import ShapesDataset
from helpers import oracles
from helpers.small_data import make_data


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    dataset = open_dataset(str(make_data(tmp_path_factory.mktemp("data"))), "train")
    return Batches(dataset, 2, (64, 96), "letterbox", Augmentation(), seed=0)


def test_a_sample_has_normalised_pixels_and_dense_targets(batches):
    peaks = 0
    for step in range(6):
        made = authors_batch(batches, step)
        assert made["input"].shape == (2, 3, 64, 96)
        assert made["input"].dtype == np.float32
        assert 0.2 < np.abs(made["input"]).max() < 5
        assert made["hm"].shape[2:] == (16, 24)
        for heatmap, index, mask, size in zip(*(made[key] for key in ("hm", "ind", "reg_mask", "wh")), strict=True):
            real = mask.astype(bool)
            assert (heatmap.max(0).ravel()[index[real]] == 1).all()
            assert (size[real] > 0).all()
            assert (heatmap == 1).sum() <= real.sum()
            peaks += real.sum()
    assert peaks > 0


@pytest.mark.parametrize("hw", [(1, 1), (3, 9), (40, 7)])
def test_the_radius_is_that_of_the_targets(hw):
    assert _radius(*hw) == pytest.approx(oracles.radius_authors(*hw))


def test_both_are_measured_in_turn(batches):
    numbers = compared_with_authors(batches, 1)
    assert numbers is not None
    assert numbers.keys() == {"pictures_per_second", "authors", "ratio"}
    assert min(numbers.values()) > 0


def test_rendered_pictures_are_not_for_it():
    rendered = Batches(ShapesDataset(count=2), 2, (64, 64), "letterbox", Augmentation(), seed=0)
    assert compared_with_authors(rendered, 1) is None
    with pytest.raises(ValueError, match="it is rendered, and the authors' sampler reads files"):
        authors_batch(rendered, 0)
