"""The sizes and the input of a measurement. Imports no framework."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from centernet_data.batches import Batch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device, DType, NetworkDType, Precision
from centernet_data.contract.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """The sizes of one measurement. `image_size` is (height, width) in pixels; `objects` is the number per picture;
    `dtype` is the network's precision."""

    batch_size: int
    image_size: tuple[int, int]
    classes: int
    objects: int
    depth: int
    dtype: NetworkDType
    device: Device = "cpu"

    @property
    def config(self) -> ModelConfig:
        return ModelConfig(tuple(map(str, range(self.classes))), self.image_size, depth=self.depth)

    @property
    def weights_dtype(self) -> DType:
        """The precision of weights, losses and boxes."""
        return "float32" if self.dtype == "bfloat16" else self.dtype

    @property
    def precision(self) -> Precision:
        """The network's precision as an option of training and detection: "float32" means that of the weights."""
        return "bfloat16" if self.dtype == "bfloat16" else "float32"

    @property
    def recipe(self) -> Recipe:
        return Recipe(learning_rate=1e-4, total_steps=100_000, precision=self.precision)

    def batch(self) -> Batch:
        """Images of noise, with objects at random places."""
        rng, frame = np.random.default_rng(0), np.array(self.image_size)
        objects = np.ones((self.batch_size, self.objects, 6), np.float32)
        objects[..., :2] = rng.uniform(0, frame, (*objects.shape[:2], 2))
        objects[..., 2:4] = rng.uniform(4, frame / 3, (*objects.shape[:2], 2))
        objects[..., 4] = rng.integers(0, self.classes, objects.shape[:2])
        return {"image": rng.integers(0, 256, (self.batch_size, *self.image_size, 3), np.uint8), "objects": objects}

    def points(self) -> Float[np.ndarray, "b h4 w4 p"]:
        """A map of uniform noise in [0, 1). Every ninth cell or so is a peak, more than in any network's output."""
        height, width = self.image_size
        shape = (self.batch_size, height // 4, width // 4, self.classes + 4)
        return np.random.default_rng(0).random(shape).astype(self.weights_dtype)
