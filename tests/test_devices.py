"""Data-parallel training is training, and detection detection: several devices, in one process or two, give what one
device gives."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("steps_on_devices.py")


def start(path, devices, dtype, *cluster):
    command = [sys.executable, SCRIPT, path, devices, dtype, *cluster]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def results(path):
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def on_one(tmp_path_factory):
    """The results of one device by precision."""
    folder = tmp_path_factory.mktemp("one")

    def of(dtype):
        path = folder / f"{dtype}.npz"
        if not path.exists():
            finish(start(path, 1, dtype))
        return results(path)

    return of


def assert_same(found, expected, bound):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert values.dtype == found[name].dtype, name
        scale = np.abs(values).max(initial=0)
        assert np.abs(found[name] - values).max(initial=0) <= bound * scale, name


def test_eight_devices_give_what_one_gives(tmp_path, on_one):
    finish(start(tmp_path / "eight.npz", 8, "float64"))
    assert_same(results(tmp_path / "eight.npz"), on_one("float64"), 1e-10)


def test_eight_devices_in_float32(tmp_path, on_one):
    """The first step's losses; behind it float32 trainings part, whoever computes them (parity/README.md)."""
    finish(start(tmp_path / "eight.npz", 8, "float32"))
    found, expected = (
        {name: value for name, value in numbers.items() if name.startswith("0 ") and "norm" not in name}
        for numbers in (results(tmp_path / "eight.npz"), on_one("float32"))
    )
    assert found.keys() == {"0 heatmap", "0 offset", "0 size", "0 loss", "0 learning_rate"}
    assert_same(found, expected, 1e-5)


def test_two_processes_of_two_devices_give_what_one_gives(tmp_path, on_one):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    paths = [tmp_path / f"{index}.npz" for index in range(2)]
    for process in [start(path, 2, "float64", address, 2, index) for index, path in enumerate(paths)]:
        finish(process)
    for path in paths:
        assert_same(results(path), on_one("float64"), 1e-10)
