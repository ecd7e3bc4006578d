"""A suite that cannot fail proves nothing: every planted fault must be caught, at the stage where it sits.

In the quick half, the comparison of its own stage catches each fault in torch. In the slow half, every fault goes
through the whole comparison, where no earlier stage may differ. A fault in JAX costs compilations, so those are slow.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from helpers.faults import TORCH, planted
from helpers.forward_faults import FORWARD_FAULTS
from helpers.parity_cases import RECIPE, SMALL, batch
from helpers.training_faults import TRAINING_FAULTS
from parity import compare as parity
from parity.compare import BOUNDS
from parity.numerics import numerics
from parity.pair import Pair
from parity.transfer import to_torch_state

FAULTS = FORWARD_FAULTS + TRAINING_FAULTS
PICTURES = [np.random.default_rng(i).integers(0, 256, (50 + 9 * i, 80, 3), np.uint8) for i in range(2)]
EXACT = BOUNDS["float64"]


def make_batches():
    """Two equal batches with collisions, borders and a full image."""
    kinds = ("colliding", "border", "full", "one")
    mixed = [batch(kind, SMALL.image_size, 1, seed) for seed, kind in enumerate(kinds)]
    return [{name: np.concatenate([one[name] for one in mixed]) for name in ("image", "objects")}] * 2


def fresh_pair():
    return Pair.fresh(SMALL, RECIPE, dtype="float64")


def differences():
    """All stages of a small model, each computed when it is asked for."""
    return parity.compare(fresh_pair(), make_batches(), PICTURES, EXACT)


def test_without_a_fault_every_stage_agrees():
    with numerics("float64"):
        found = list(differences())
    assert [one for one in found if not one.agrees] == []
    assert {fault.stage for fault in FAULTS} <= {one.stage for one in found}


class Pairs(NamedTuple):
    """Made without a fault. After its step, `trained` has running statistics and an average that are not fresh."""

    fresh: Pair
    trained: Pair


@pytest.fixture(scope="module")
def pairs():
    with numerics("float64"):
        fresh = fresh_pair()
        state = parity.train(fresh, make_batches()[:1])[0].jax
        return Pairs(fresh, Pair(SMALL, state, to_torch_state(state, SMALL)))


def compare_forward(pairs):
    return parity.compare_forward(pairs.fresh, make_batches()[0]["image"], True, EXACT.forward)


def compare_targets(pairs):
    return parity.compare_targets(pairs.fresh, make_batches()[0]["objects"], EXACT.forward)


def compare_gradients(pairs):
    return parity.compare_gradients(pairs.fresh, make_batches()[0], EXACT)


def compare_learning_rates(pairs):
    return parity.compare_learning_rates(RECIPE)


def compare_first_step(pairs):  # of a new pair: the fault may be in its optimizer
    return parity.compare_trained(*parity.train(fresh_pair(), make_batches()[:1]), EXACT.step, "step 1")


def compare_second_step(pairs):
    return parity.compare_trained(*parity.train(fresh_pair(), make_batches()), EXACT.training, "step 2")


def compare_decoding(pairs):
    return parity.compare_decoding(SMALL.image_size, len(SMALL.classes), "float64")


def compare_detections(pairs):
    return parity.compare_detections(pairs.trained, PICTURES, EXACT.forward)


# The comparison that a stage belongs to, by the stage's name.
COMPARISONS = {
    "images|stem|layer.|upscale .|head": compare_forward,
    ".* target": compare_targets,
    "(heatmap|offset|size) loss|gradient of .*|running statistics": compare_gradients,
    "learning rate": compare_learning_rates,
    "step 1: .*": compare_first_step,
    "step 2: .*": compare_second_step,
    "flip test|peaks|boxes": compare_decoding,
    "detections: .*": compare_detections,
}


def differences_of(stage, pairs) -> Iterator:
    (compare,) = (function for pattern, function in COMPARISONS.items() if re.fullmatch(pattern, stage))
    return compare(pairs)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.module.startswith(TORCH)], ids=lambda fault: fault.name)
def test_the_comparison_of_its_own_stage_catches_a_fault(fault, pairs):
    with numerics("float64"), planted(fault):
        assert_caught(fault, differences_of(fault.stage, pairs))


def assert_caught(fault, differences):
    first = next((one for one in differences if not one.agrees), None)
    assert first is not None, "no stage differs"
    assert first.stage == fault.stage


# Those of torch together: after each of JAX's, JAX compiles everything again.
@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS, key=lambda fault: fault.module), ids=lambda fault: fault.name)
def test_the_first_stage_that_differs_is_that_of_the_fault(fault):
    with numerics("float64"), planted(fault):
        assert_caught(fault, differences())


def test_there_are_enough_faults():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 24
