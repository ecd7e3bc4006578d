"""`centernet train` in two processes: one run, and only the first process prints and writes."""

import signal

import numpy as np
import pytest

from helpers.processes import Processes, finish, free_address
from helpers.run_folders import read_metrics

pytestmark = pytest.mark.slow
SETTINGS = (
    "--depth",
    "18",
    "--image-size",
    "32",
    "--batch-size",
    "4",
    "--epochs",
    "0.006",
    "--checkpoint-every",
    "2",
)  # 6 steps
SCENES = """
import sys
import jax
from centernet_data.synthetic.shapes import ShapesDataset
ShapesDataset.default_counts = {"train": 4000, "val": 5}
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # compiles faster; speed does not matter here
from centernet.cli import main
sys.exit(main(sys.argv[1:]))
"""
STOPS_AFTER_3_STEPS = """
import os, signal
from centernet.training.run import NoWriter, Run

def advance(run, state, line, original=Run.advance):
    original(run, state, line)
    if run.step == 3 and isinstance(run.writer, NoWriter):
        os.kill(os.getpid(), signal.SIGTERM)

Run.advance = advance
"""


@pytest.fixture(scope="module")
def start():
    """Starts `centernet train` into a folder, with more arguments."""
    with Processes() as processes:

        def start(folder, *arguments, script=SCENES):
            return processes.start("-c", script, "train", *SETTINGS, "--out", folder / "run", *arguments, cwd=folder)

        yield start


@pytest.fixture
def start_two(start):
    def start_two(folder, *arguments, **options):
        cluster = ("--coordinator", free_address(), "--processes", 2, "--process")
        return [start(folder, *arguments, *cluster, index, **options) for index in range(2)]

    return start_two


def metrics(folder):
    return read_metrics(folder / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, start):
    """The folder of a run by one process that was not interrupted."""
    folder = tmp_path_factory.mktemp("one")
    finish(start(folder))
    return folder


def test_two_processes_train_as_one(tmp_path, start_two, whole):
    (said, _), (nothing, _) = finish(*start_two(tmp_path))
    assert "the run is in" in said
    # JAX's own messages about CPUs; two threads may print into one line.
    assert [line for line in nothing.splitlines() if "Gloo" not in line and "peer ranks" not in line] == []
    ours, expected = metrics(tmp_path), metrics(whole)
    assert [(line["step"], line["epoch"]) for line in ours] == [(line["step"], line["epoch"]) for line in expected]
    for name in ("heatmap", "offset", "size", "learning_rate"):  # later steps differ by float32's rounding
        np.testing.assert_allclose(ours[0][name], expected[0][name], rtol=1e-5)
    assert ours[-1].keys() == expected[-1].keys()
    names = sorted(path.name for path in (whole / "run").iterdir())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == names


def test_one_signal_stops_both_after_the_same_step_and_they_resume(tmp_path, start_two):
    processes = start_two(tmp_path, script=STOPS_AFTER_3_STEPS + SCENES)  # the second process signals itself
    outputs = finish(*processes, status=128 + signal.SIGTERM)
    assert "stopped, state saved" in outputs[0][1]
    before = metrics(tmp_path)
    assert len(before) in (3, 4)  # it may arrive while they communicate, and then takes effect after the next step
    finish(*start_two(tmp_path, "--resume"))
    after = metrics(tmp_path)
    assert after[: len(before)] == before
    assert [line["step"] for line in after] == [0, 1, 2, 3, 4, 5, 6]
