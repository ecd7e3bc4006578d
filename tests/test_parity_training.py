"""Twenty steps from the same weights on the same batches, then both detectors on one data set."""

import numpy as np
import pytest
from parity_cases import RECIPE

import centernet_torch
from centernet_data.batches import Batches
from centernet_data.model_file import ModelConfig
from centernet_data.transforms import NO_AUGMENTATION
from parity.compare import BOUNDS, Pair, compare_detections, compare_forward, compare_trained, train
from parity.dataset import compare_dataset
from parity.match import in_the_same_order
from parity.numerics import numerics
from parity.transfer import to_torch_state

STEPS = 20
SIZE = (64, 96)


@pytest.fixture(scope="module")
def trained(tiny_coco_or_shapes):
    """A full ResNet-34 in float64 behind its training: the pair, its metrics, and what it was trained on."""
    pictures = tiny_coco_or_shapes
    config = ModelConfig(pictures.classes, SIZE)
    batches = Batches(pictures, 2, SIZE, "letterbox", NO_AUGMENTATION, seed=0)
    with numerics("float64"):
        pair = Pair.fresh(config, RECIPE, dtype="float64")
        yield *train(pair, [batches[step] for step in range(STEPS)]), pictures


@pytest.fixture(scope="module")
def same_weights(trained):
    """The model that JAX ended on, in both backends."""
    pair = trained[0]
    return pair._replace(torch=to_torch_state(pair.jax, pair.config))


def assert_all_agree(found):
    found = list(found)
    assert found
    assert [one for one in found if not one.agrees] == []


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
    decayed = pair.torch.optimizer.param_groups
    assert [group["weight_decay"] for group in decayed] == [RECIPE.weight_decay, 0]


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_trained_model_agrees_stage_by_stage(same_weights, trained, mode):
    images = Batches(trained[3], 2, SIZE, "letterbox", NO_AUGMENTATION, seed=1)[0]["image"]
    assert_all_agree(compare_forward(same_weights, images, mode == "train", BOUNDS["float64"].forward))


def test_average_precision_and_every_box_agree(same_weights, trained):
    found = list(compare_dataset(same_weights, trained[3], BOUNDS["float64"].forward))
    assert [one.stage for one in found] == ["boxes of 16 pictures", "average precision"]
    assert_all_agree(found)


def test_average_precision_notices_another_model(trained):
    """The check above can fail: here the twins are one step apart."""
    pair, pictures = trained[0], trained[3]
    batch = Batches(pictures, 2, SIZE, "letterbox", NO_AUGMENTATION, seed=2)[0]
    other, _ = centernet_torch.train_step(to_torch_state(pair.jax, pair.config), batch)
    boxes, _ = compare_dataset(pair._replace(torch=other), pictures, BOUNDS["float64"].forward)
    assert not boxes.agrees


def test_detections_agree(same_weights, trained):
    pictures = [trained[3].image(i) for i in range(3)]
    assert_all_agree(compare_detections(same_weights, pictures, BOUNDS["float64"].forward))


def test_boxes_find_their_partners():
    rng = np.random.default_rng(0)
    theirs = np.column_stack([rng.uniform(0, 100, (20, 4)), rng.integers(0, 3, 20), rng.uniform(0, 1, 20)])
    theirs[7, :4] = theirs[3, :4]  # one place, two classes
    theirs[7, 4], theirs[3, 4] = 0, 1
    order = rng.permutation(20)
    np.testing.assert_array_equal(
        in_the_same_order(theirs[order] + 1e-9 * (np.arange(6) != 4), theirs)[:, 4], theirs[:, 4]
    )
    np.testing.assert_allclose(in_the_same_order(theirs[order], theirs), theirs)
