"""A suite that cannot fail proves nothing: every planted fault must be caught, at the stage where it sits."""

import numpy as np
import pytest

from helpers.faults import FAULTS, planted
from helpers.parity_cases import RECIPE, SMALL, batch
from parity.compare import BOUNDS, compare
from parity.numerics import numerics
from parity.pair import Pair

PICTURES = [np.random.default_rng(i).integers(0, 256, (50 + 9 * i, 80, 3), np.uint8) for i in range(2)]


def differences():
    """All stages, lazily, of a small model: the batches hold collisions, borders and a full image."""
    kinds = ("colliding", "border", "full", "one")
    mixed = [batch(kind, SMALL.image_size, 1, seed) for seed, kind in enumerate(kinds)]
    batches = [{name: np.concatenate([one[name] for one in mixed]) for name in ("image", "objects")}] * 2
    pair = Pair.fresh(SMALL, RECIPE, dtype="float64")
    return compare(pair, batches, PICTURES, BOUNDS["float64"])


def test_without_a_fault_every_stage_agrees():
    with numerics("float64"):
        found = list(differences())
    assert [one for one in found if not one.agrees] == []
    assert {fault.stage for fault in FAULTS} <= {one.stage for one in found}


# Torch's together: behind each of its own JAX compiles everything anew.
@pytest.mark.parametrize("fault", sorted(FAULTS, key=lambda fault: fault.module), ids=lambda fault: fault.name)
def test_a_fault_is_caught_where_it_sits(fault):
    with numerics("float64"), planted(fault):
        first = next((one for one in differences() if not one.agrees), None)
    assert first is not None, "nobody noticed"
    assert first.stage == fault.stage


def test_there_are_enough_faults():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 24
