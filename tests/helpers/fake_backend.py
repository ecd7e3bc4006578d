"""A backend that computes nothing, for tests of what happens around the network."""

import numpy as np
import pytest

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import write_model_file

LOSSES = ("loss", "heatmap", "offset", "size", "gradient_norm", "learning_rate")


class Detector:
    """Finds one object of class 0 in each picture: its middle half."""

    def __init__(self, config):
        self.config = config

    @classmethod
    def of(cls, state, config, flip_test=False, precision="float32"):
        return cls(config)

    def __call__(self, pictures, min_confidence=0.1):
        sizes = [np.array(picture.shape[:2]) / 2 for picture in pictures]
        return [np.array([[*size, *size, 0, 0.9]]) for size in sizes]

    def heatmaps(self, pictures):
        return [np.zeros(picture.shape[:2]) for picture in pictures]

    def save(self, path):
        write_model_file(path, {"nothing": np.zeros(1)}, self.config)


class Backend:
    """Its states are arrays with the number of steps."""

    Detector = Detector

    def __init__(self, classes):
        self.classes = classes

    def load(self, path, *options):
        return Detector(ModelConfig(self.classes, (32, 32)))

    def create_state(self, *settings):
        return np.zeros(1)

    def train_step(self, state, batch):
        return state + 1, dict.fromkeys(LOSSES, 1.0)

    def to_arrays(self, state):
        return {"steps": state}

    def from_arrays(self, state, arrays):
        return arrays["steps"]

    def join_processes(self, *where):
        return 0, 1

    def all_gather(self, values):
        return values[None]


@pytest.fixture
def fake_backend(monkeypatch):
    """Commands take a backend that computes nothing, for models of the classes red and blue."""
    backend = Backend(("red", "blue"))
    # The loop first: imported while `centernet.backends` is changed, it would keep what computes nothing.
    for place in ("centernet.training.loop", "centernet.backends"):
        monkeypatch.setattr(f"{place}.open_backend", lambda name: backend)
    return backend
