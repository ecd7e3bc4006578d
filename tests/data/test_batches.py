"""Batches are a pure function of (seed, step), in any process and in any order."""

import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

import centernet_data.batches
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.imaging.decoding import average_blocks
from centernet_data.imaging.geometry import LEAST_VISIBLE, PADDING, fit, move_objects, warp
from centernet_data.readers.voc import read_voc
from centernet_data.synthetic.shapes import ShapesDataset
from helpers.datasets import InNoFiles, Plain

AUGMENTED = Augmentation()


def batches(dataset=None, batch_size=2, hw=(32, 64), resize="letterbox", augmentation=AUGMENTED, seed=0):
    return Batches(dataset or Plain(), batch_size, hw, resize, augmentation, seed)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        np.testing.assert_array_equal(array, second[name])


def shown(batch):
    """The indices of Plain's pictures in a batch without augmentation."""
    return [(int(image[16, 32, 0]) - 20) // 10 for image in batch["image"]]


@pytest.mark.parametrize("dataset", [Plain(), ShapesDataset(count=5, size=(48, 64))])
def test_two_objects_in_any_order_of_access_give_the_same(dataset):
    one, other = batches(dataset, seed=3), batches(dataset, seed=3)
    forward = [one[step] for step in range(6)]
    for step in (5, 0, 3, 3, 1, 4, 2):
        assert_same(other[step], forward[step])


@pytest.mark.parametrize(("first", "last", "workers"), [(0, 7, 0), (4, 6, 0), (2, 2, 0), (3, 10, 2)])
def test_prefetching_changes_nothing(first, last, workers):
    source = batches(ShapesDataset(count=5, size=(48, 64)), batch_size=3)
    prefetched = list(source.prefetched(first, last, workers))
    assert len(prefetched) == last - first
    for step, batch in enumerate(prefetched, start=first):
        assert_same(batch, source[step])


def test_shards_are_slices_of_the_whole_batch():
    whole = batches(ShapesDataset(count=5), batch_size=6)
    for count in (1, 2, 3):
        shards = [replace(whole, shard=(index, count)) for index in range(count)]
        for step in (0, 3):
            parts = [shard[step] for shard in shards]
            assert_same({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, whole[step])


def test_unequal_shards_are_refused():
    with pytest.raises(ValueError, match="a batch of 6 pictures cannot be split into 4 equal parts"):
        replace(batches(batch_size=6), shard=(0, 4))


def test_all_cores_have_work_although_few_batches_are_ahead(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    eight_at_once = threading.Barrier(8)  # at least; fewer fail after the timeout

    class Slow(Plain):
        def picture(self, index, reduction=1):
            eight_at_once.wait(timeout=20)
            return super().picture(index, reduction)

    assert len(list(batches(Slow(), batch_size=4).prefetched(0, 4))) == 4


def test_a_workers_batch_is_copied_while_the_one_before_is_in_use(monkeypatch):
    copied, of_workers = [threading.Event(), threading.Event()], centernet_data.batches._copied

    def watched(made):
        for batch, event in zip(of_workers(made), copied, strict=True):
            event.set()
            yield batch

    monkeypatch.setattr("centernet_data.batches._copied", watched)
    prefetched = batches().prefetched(0, 2, workers=1)
    next(prefetched)
    assert copied[1].wait(timeout=30)  # without asking for it
    assert len(list(prefetched)) == 1


class Broken(Plain):
    def picture(self, index, reduction=1):
        raise ValueError("b.png: the picture cannot be decoded")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failure_in_a_worker_comes_out(workers):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        list(batches(Broken()).prefetched(0, 3, workers))
    assert str(caught.value) == "b.png: the picture cannot be decoded"


LEAVES_EARLY = """
import multiprocessing
import time
from centernet_data.batches import Batches
from centernet_data.synthetic.shapes import ShapesDataset
from centernet_data.contract.augmentation import Augmentation
source = Batches(ShapesDataset(count=5), 2, (64, 64), "letterbox", Augmentation(), 0).prefetched(0, 10**6, workers=2)
next(source), next(source)
assert len(multiprocessing.active_children()) == 2
source.close()
assert not multiprocessing.active_children()
time.sleep(3)  # grain frees shared memory in a thread; what is left at the end is complained of on stderr
"""


def test_leaving_early_ends_the_workers_and_frees_what_they_shared():
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_EARLY], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")


@dataclass(frozen=True)
class ReadWhole(InNoFiles):
    """Another data set's pictures, read whole and then reduced by plain averages."""

    dataset: object

    @property
    def classes(self):
        return self.dataset.classes

    @property
    def most_objects(self):
        return self.dataset.most_objects

    def __len__(self):
        return len(self.dataset)

    def sample(self, index):
        return self.dataset.sample(index)

    def picture(self, index, reduction=1):
        return average_blocks(self.dataset.picture(index), reduction, reduction)


def test_pictures_reduced_by_their_decoder_hardly_differ(bccd):
    dataset = read_voc(bccd, "val")
    reduced, whole = (batches(d, 8, (128, 128), seed=1)[0] for d in (dataset, ReadWhole(dataset)))
    np.testing.assert_array_equal(reduced["objects"], whole["objects"])
    difference = np.abs(reduced["image"].astype(int) - whole["image"])
    assert 0 < difference.mean() < 0.7
    assert np.quantile(difference, 0.999) <= 8


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7, 13])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_epoch_shows_each_picture_once(batch_size, seed):
    source = batches(batch_size=batch_size, augmentation=NO_AUGMENTATION, seed=seed)
    steps = 15 // batch_size + 1
    order = [picture for step in range(steps) for picture in shown(source[step])]
    assert [source.index(step, slot) for step in range(steps) for slot in range(batch_size)] == order
    for epoch in range(len(order) // 5):
        assert Counter(order[5 * epoch : 5 * epoch + 5]) == Counter(range(5))


def test_epochs_differ_in_their_order():
    source = batches(Plain(objects=((),) * 20), batch_size=20)
    orders = {tuple(source.index(epoch, slot) for slot in range(20)) for epoch in range(10)}
    assert len(orders) == 10


def test_epoch_of():
    source = batches(batch_size=2)
    assert [source.epoch_of(step) for step in (0, 1, 5)] == [0, 0.4, 2]


def test_another_seed_gives_another_order_and_other_views():
    one, other = batches(ShapesDataset(count=5), seed=0), batches(ShapesDataset(count=5), seed=1)
    assert [one.index(step, 0) for step in range(10)] != [other.index(step, 0) for step in range(10)]
    single = ShapesDataset(count=1)
    assert not np.array_equal(batches(single, seed=0)[0]["image"], batches(single, seed=1)[0]["image"])


def test_each_view_of_a_picture_is_different():
    image = batches(ShapesDataset(count=1), batch_size=3)[0]["image"]
    assert not np.array_equal(image[0], image[1])
    assert not np.array_equal(image[1], image[2])


@pytest.mark.parametrize("hw", [(32, 64), (64, 32), (96, 96)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_the_contract_of_shapes_and_dtypes(hw, resize):
    batch = batches(batch_size=3, hw=hw, resize=resize)[1]
    assert batch.keys() == {"image", "objects"}
    assert (batch["image"].dtype, batch["image"].shape) == (np.uint8, (3, *hw, 3))
    assert (batch["objects"].dtype, batch["objects"].shape) == (np.float32, (3, 2, 6))


def test_real_rows_come_first_with_confidence_one_and_padding_is_zero():
    source = batches(ShapesDataset(count=8), batch_size=8)
    for step in range(5):
        for rows in source[step]["objects"]:
            real = rows[:, 5] == 1
            assert (rows[~real] == 0).all()
            assert (np.diff(real.astype(int)) <= 0).all()
            assert (rows[real, 2:4] > 0).all()
            assert np.isin(rows[:, 4], [0, 1, 2]).all()


def test_all_batches_have_room_for_the_fullest_picture():
    dataset = ShapesDataset(count=8)
    fullest = max(len(dataset.sample(index).objects) for index in range(8))
    assert {batches(dataset)[step]["objects"].shape for step in range(4)} == {(2, fullest, 6)}


def test_pictures_without_objects():
    source = batches(batch_size=5, augmentation=NO_AUGMENTATION)
    counts = dict(zip(shown(source[0]), (source[0]["objects"][..., 5] == 1).sum(1), strict=True))
    assert counts == {0: 0, 1: 2, 2: 1, 3: 0, 4: 0}


def test_no_objects_at_all():
    batch = batches(Plain(objects=((), ())))[0]
    assert batch["objects"].shape == (2, 0, 6)


def test_without_augmentation_it_is_the_letterboxed_picture_with_moved_boxes():
    dataset = ShapesDataset(count=5, size=(48, 64))
    source = batches(dataset, batch_size=5, hw=(96, 64), augmentation=NO_AUGMENTATION)
    batch, matrix = source[0], fit((48, 64), (96, 64))
    for slot in range(5):
        index = source.index(0, slot)
        expected = move_objects(dataset.sample(index).objects, matrix)
        np.testing.assert_array_equal(batch["image"][slot], warp(dataset.picture(index), matrix, (96, 64)))
        np.testing.assert_allclose(batch["objects"][slot][: len(expected)], expected, atol=1e-4)
        assert (batch["objects"][slot][len(expected) :] == 0).all()
        assert (batch["image"][slot][:20] == PADDING).all()


def test_exact_boxes_without_augmentation():
    source = batches(batch_size=5, hw=(60, 80), augmentation=NO_AUGMENTATION)  # twice the picture
    rows = source[0]["objects"][[source.index(0, slot) for slot in range(5)].index(1)]
    np.testing.assert_array_equal(rows, [[16, 24, 12, 8, 0, 1], [20, 10, 8, 16, 1, 1]])


def test_objects_that_are_hardly_visible_are_dropped():
    corner = Plain(objects=(((1, 1, 2, 2, 0, 1), (15, 20, 2, 2, 1, 1)),))  # one in the corner, one in the middle
    source = batches(corner, batch_size=1, augmentation=replace(AUGMENTED, scale=(0.5, 1.2)))
    counts = {0: 0, 1: 0}
    for step in range(60):
        rows = source[step]["objects"][0]
        for y, x, height, width, label, confidence in rows[rows[:, 5] > 0]:
            inside = [
                max(min(c + s / 2, side) - max(c - s / 2, 0), 0) for c, s, side in ((y, height, 32), (x, width, 64))
            ]
            assert inside[0] * inside[1] / (height * width) >= LEAST_VISIBLE - 1e-6
            assert confidence == 1
            counts[int(label)] += 1
    assert 0 < counts[0] < counts[1] <= 60


@pytest.mark.parametrize("augmentation", [AUGMENTED, NO_AUGMENTATION, Augmentation(mosaic=0.5, turn=True)])
def test_a_view_is_the_same_wherever_it_is_written(augmentation):
    source = batches(ShapesDataset(count=5), batch_size=3, augmentation=augmentation)
    for step in range(3):
        views = [source.view(step, slot) for slot in range(3)]
        np.testing.assert_array_equal(source[step]["image"], np.stack([image for image, _ in views]))
        for rows, (_, own) in zip(source[step]["objects"], views, strict=True):
            np.testing.assert_array_equal(rows[: len(own)], own.astype(np.float32))
            assert (rows[len(own) :] == 0).all()
