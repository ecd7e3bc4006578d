"""Which pictures an epoch shows, and that batches are what they were before there was a choice."""

import hashlib
import math
import pickle
from collections import Counter

import numpy as np
import pytest

from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.sampling import repeated_order, repeats_by_class
from helpers.datasets import Plain

COMMON, RARE = (8, 12, 6, 4, 0, 1), (10, 5, 4, 8, 1, 1)
FEW_RARE = Plain(((COMMON,),) * 12 + ((COMMON, RARE), (RARE, RARE)) + ((),) * 6)  # of 20 pictures, 2 with class 1


def naive_factors(dataset, balance):
    """LVIS's repeat factors, class by class and picture by picture."""
    labels = [{int(row[4]) for row in rows} for rows in dataset.objects]
    factors = {}
    for label in range(len(dataset.classes)):
        pictures = sum(label in own for own in labels)
        factors[label] = max(1.0, math.sqrt(balance / (pictures / len(labels)))) if pictures else 1.0
    return [max([factors[label] for label in own], default=1.0) for own in labels]


@pytest.mark.parametrize("balance", [0.05, 0.5, 1])
def test_repeat_factors_are_lvis_own_up_to_the_length_of_the_epoch(balance):
    counts = repeats_by_class(FEW_RARE, balance).counts
    factors = np.array(naive_factors(FEW_RARE, balance))
    np.testing.assert_allclose(counts, factors * 20 / factors.sum())
    assert (counts.max() > 1) == (balance > 0.1)


def test_a_balanced_epoch_has_its_length_and_shows_rare_classes_more_often():
    repeats, shown, apart = repeats_by_class(FEW_RARE, 0.9), Counter(), 0
    for epoch in range(200):
        order = repeated_order(3, epoch, repeats)
        assert len(order) == 20
        counts = np.bincount(order, minlength=20)
        assert (np.abs(counts - repeats.counts) < 1 + 1e-9).all()  # each rounded up or down
        shown.update(order.tolist())
        apart += np.ptp(np.flatnonzero(order == 13)) > 5
    np.testing.assert_allclose([shown[index] / 200 for index in range(20)], repeats.counts, atol=0.15)
    assert shown[12] > 2 * shown[15]
    assert apart > 50  # the copies of a picture are not one after the other


def test_balanced_batches_are_a_function_of_seed_and_step_in_any_process():
    source = Batches(FEW_RARE, 3, (32, 32), "letterbox", Augmentation(balance=0.9), seed=2)
    copy = pickle.loads(pickle.dumps(source))
    indices = [[one.index(step, slot) for step in range(30) for slot in range(3)] for one in (source, copy)]
    assert indices[0] == indices[1]
    for epoch in range(4):
        expected = np.bincount(source.order(epoch), minlength=20)
        np.testing.assert_array_equal(np.bincount(indices[0][20 * epoch : 20 * epoch + 20], minlength=20), expected)
    plain = Batches(FEW_RARE, 3, (32, 32), "letterbox", Augmentation(), seed=2)
    assert sorted(plain.order(1)) == list(range(20)) != sorted(source.order(1))


@pytest.mark.parametrize(
    ("resize", "objects", "pixels"),
    [
        ("letterbox", "95fef198492d1683", "71003272b4d9b27c"),
        ("stretch", "6ef4bf2f450f59be", "9c873be46e777d2d"),
    ],
)
def test_without_the_later_options_batches_are_what_they_were(resize, objects, pixels):
    """Digests made before vertical flips, turns, mosaics and balance existed: a run from then resumes bit for bit."""
    rows = tuple(tuple((3 + 5 * k, 4 + 7 * k + i, 4, 6, k % 2, 1) for k in range(i % 4 + 1)) for i in range(7))
    source = Batches(Plain(rows), 3, (64, 96), resize, Augmentation(), seed=5)
    found = hashlib.sha256(), hashlib.sha256()
    for step in range(6):
        batch = source[step]
        found[0].update(np.round(batch["objects"], 2).tobytes())
        found[1].update(batch["image"].tobytes())
    assert [digest.hexdigest()[:16] for digest in found] == [objects, pixels]
