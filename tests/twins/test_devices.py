"""Several devices, in one process or two, give what one device gives, in training and in detection."""

from pathlib import Path

import numpy as np
import pytest

from helpers.processes import Processes, finish, free_address

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / "helpers" / "steps_on_devices.py"


@pytest.fixture(scope="module")
def start():
    """Starts the script: path of the results, number of devices, precision, the cluster's arguments."""
    with Processes() as processes:
        yield lambda *arguments: processes.start(SCRIPT, *arguments)


def results(path):
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def on_one(tmp_path_factory, start):
    """The results of one device by precision."""
    folder = tmp_path_factory.mktemp("one")

    def of(dtype):
        path = folder / f"{dtype}.npz"
        if not path.exists():
            finish(start(path, 1, dtype))
        return results(path)

    return of


TRAINED = 1e-8  # for weights after three steps, as in parity: Adam divides by gradients that are nearly 0


def assert_same(found, expected, bound):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert values.dtype == found[name].dtype, name
        scale = np.abs(values).max(initial=0)
        limit = max(bound, TRAINED) if name.startswith((".params", ".ema")) else bound
        assert np.abs(found[name] - values).max(initial=0) <= limit * scale, name


def test_eight_devices_give_what_one_gives(tmp_path, start, on_one):
    finish(start(tmp_path / "eight.npz", 8, "float64"))
    assert_same(results(tmp_path / "eight.npz"), on_one("float64"), 1e-10)


def test_eight_devices_in_float32(tmp_path, start, on_one):
    """The first step's losses; after it any two float32 trainings differ (parity/README.md)."""
    finish(start(tmp_path / "eight.npz", 8, "float32"))
    found, expected = (
        {name: value for name, value in numbers.items() if name.startswith("0 ") and "norm" not in name}
        for numbers in (results(tmp_path / "eight.npz"), on_one("float32"))
    )
    assert found.keys() == {"0 heatmap", "0 offset", "0 size", "0 loss", "0 learning_rate"}
    assert_same(found, expected, 1e-5)


def test_two_processes_of_two_devices_give_what_one_gives(tmp_path, start, on_one):
    address = free_address()
    paths = [tmp_path / f"{index}.npz" for index in range(2)]
    finish(*[start(path, 2, "float64", address, 2, index) for index, path in enumerate(paths)])
    for path in paths:
        assert_same(results(path), on_one("float64"), 1e-10)
