"""Parity on a machine with several devices of a kind: it computes on one of them, as torch does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A step of three pictures, which 8 devices could not share, from each way to a pair.
STEP = """
import jax

assert jax.device_count() == 8
from centernet_jax.devices import devices_of
from parity.pair import Pair
from parity.settings import DROPS, SMALL, made_up_batches, small_pair
from parity.training import compare_trained, train
from parity.transfer import to_jax_state

batches = made_up_batches(1, images=3)
loaded = small_pair("float32")
fresh = Pair.fresh(SMALL, DROPS, device="cpu")
moved = fresh._replace(jax=to_jax_state(fresh.torch, SMALL))
for pair in (loaded, fresh, moved):
    assert len(devices_of(pair.jax)) == 1
found = list(compare_trained(*train(moved, batches), 0.25, "step 1"))
assert all(one.agrees for one in found), found
"""


@pytest.mark.slow
def test_a_step_on_one_of_eight_devices():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
