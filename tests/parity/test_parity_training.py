"""Twenty steps from the same weights on the same batches, then both detectors on one data set. Two steps of a small
model are compared in test_parity_faults.py."""

from dataclasses import replace

import numpy as np
import pytest

import centernet_torch
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION
from centernet_data.contract.model_config import ModelConfig
from centernet_data.evaluation import average_precision
from centernet_jax.weights import to_torch
from centernet_torch.weights import to_numpy
from helpers.datasets import InNoFiles
from helpers.parity_cases import RECIPE, SMALL, assert_all_agree, batch
from parity.bounds import BOUNDS
from parity.compare import compare_forward, compare_gradients
from parity.dataset import compare_dataset
from parity.numerics import numerics
from parity.pair import Pair
from parity.training import compare_trained, train
from parity.transfer import to_torch_state

pytestmark = pytest.mark.slow
STEPS = 20
SIZE = (64, 96)


@pytest.fixture(scope="module")
def trained(tiny_coco_or_shapes):
    """A full ResNet-34 in float64 after its training: the pair, its metrics, and what it was trained on."""
    pictures = tiny_coco_or_shapes
    config = ModelConfig(pictures.classes, SIZE)
    batches = Batches(pictures, 4, SIZE, "letterbox", NO_AUGMENTATION, seed=0)
    with numerics("float64"):
        pair = Pair.fresh(config, RECIPE, dtype="float64")
        yield *train(pair, [batches[step] for step in range(STEPS)]), pictures


@pytest.fixture(scope="module")
def same_weights(trained):
    """The model that JAX ended on, in both backends."""
    pair = trained[0]
    return pair._replace(torch=to_torch_state(pair.jax, pair.config))


def test_twenty_steps_agree(trained):
    pair, ours, theirs, _ = trained
    assert len(theirs["loss"]) == STEPS
    assert_all_agree(compare_trained(pair, ours, theirs, BOUNDS["float64"].training, "step 20"))


def test_training_did_what_it_is_for(trained):
    """Equal nonsense would agree too."""
    pair, _, metrics, _ = trained
    assert metrics["loss"][-4:].mean() < 0.7 * metrics["loss"][:4].mean()
    rates = metrics["learning_rate"]
    assert rates[0] < rates[4] == rates.max() > rates[-1] > 0
    groups = pair.torch.optimizer.param_groups
    expected = {(RECIPE.backbone_rate * rates[-1], RECIPE.weight_decay), (RECIPE.backbone_rate * rates[-1], 0)}
    expected |= {(rates[-1], RECIPE.weight_decay), (rates[-1], 0)}
    assert {(group["lr"], group["weight_decay"]) for group in groups} == expected


def test_a_frozen_trunk_agrees():
    with numerics("float64"):
        pair = Pair.fresh(SMALL, replace(RECIPE, backbone_rate=0.0), dtype="float64")
        batches = [batch("full", SMALL.image_size, 4, seed) for seed in range(3)]
        assert_all_agree(compare_gradients(pair, batches[0], BOUNDS["float64"]))
        trained = train(pair, batches)
        assert_all_agree(compare_trained(*trained, BOUNDS["float64"].training, "step 3"))
    before, after = to_numpy(pair.torch.model), to_numpy(trained[0].torch.model)
    same = {name for name in after if (after[name] == before[name]).all()}
    assert same == {name for name in after if name.startswith("backbone.resnet.")}


def test_rematerialisation_changes_nothing():
    trained = []
    with numerics("float64"):
        for remat in (False, True):
            pair = Pair.fresh(SMALL, replace(RECIPE, remat=remat), dtype="float64")
            trained.append(train(pair, [batch("full", SMALL.image_size, 4, seed) for seed in range(2)])[0])
    for weights in (lambda pair: to_torch(pair.jax.variables), lambda pair: to_numpy(pair.torch.model)):
        plain, saving = map(weights, trained)
        for name, tensor in plain.items():
            np.testing.assert_allclose(saving[name], tensor, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_trained_model_agrees_stage_by_stage(same_weights, trained, mode):
    images = Batches(trained[3], 2, SIZE, "letterbox", NO_AUGMENTATION, seed=1)[0]["image"]
    assert_all_agree(compare_forward(same_weights, images, mode == "train", BOUNDS["float64"].forward))


class Echo(InNoFiles):
    """The pictures of a data set, with a detector's own best boxes as the truth: so the average precision of a hardly
    trained model is high, and moves with its boxes."""

    def __init__(self, dataset, detector):
        self.classes, self.dataset, self.detector = dataset.classes, dataset, detector
        self.most_objects = 6  # of those found

    def __len__(self):
        return 8

    def picture(self, index, reduction=1):
        return self.dataset.picture(index, reduction)

    def sample(self, index):
        objects = self.detector([self.picture(index)], 0.0)[0][:6]
        objects[:, 5] = 1
        areas = objects[:, 2] * objects[:, 3]
        return self.dataset.sample(index)._replace(objects=objects, areas=areas, ignored=np.zeros((0, 6)))


@pytest.fixture(scope="module")
def echo(same_weights, trained):
    return Echo(trained[3], centernet_torch.Detector.of(same_weights.torch, same_weights.config))


def test_average_precision_and_every_box_agree(same_weights, echo):
    found = list(compare_dataset(same_weights, echo, BOUNDS["float64"].forward))
    parts = ["8 pictures: boxes", "8 pictures: classes", "8 pictures: scores", "average precision"]
    assert [one.stage for one in found] == parts
    assert_all_agree(found)
    results = average_precision(
        [echo.sample(i) for i in range(8)], echo.detector([echo.picture(i) for i in range(8)], 0), echo.classes
    )
    assert results["AP50"] > 0.3


def test_boxes_and_average_precision_notice_another_model(trained, echo):
    """The check above can fail: here the twins are one step apart."""
    pair, pictures = trained[0], trained[3]
    batch = Batches(pictures, 2, SIZE, "letterbox", NO_AUGMENTATION, seed=2)[0]
    other, _ = centernet_torch.train_step(to_torch_state(pair.jax, pair.config), batch)
    found = list(compare_dataset(pair._replace(torch=other), echo, BOUNDS["float64"].forward))
    assert [one.stage for one in found if one.agrees] == []
