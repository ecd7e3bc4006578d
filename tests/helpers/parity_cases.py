"""Shared by the parity tests: small models, and batches with cases that are easily wrong."""

from pathlib import Path

import numpy as np

import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.contract.weights_file import write_model_file
from centernet_torch.weights import to_numpy

CLASSES = ("one", "two", "three")
# Every stage of the optimizer acts: warm-up, cosine, clipping, decay, an average whose decay soon reaches its maximum,
# two batches per step, a slower trunk.
RECIPE = Recipe(
    learning_rate=1e-3,
    total_steps=22,
    warmup=5 / 22,
    weight_decay=0.01,
    clip_norm=1.0,
    ema_decay=0.15,
    accumulate=2,
    backbone_rate=0.5,
)
# Every layer of a ResNet-18 in a narrow neck and head: quick to compile.
SMALL = ModelConfig(CLASSES, (64, 64), depth=18, hidden_channels=(24, 16), out_channels=8, head_channels=8)

ROWS = 8  # of objects per image, padding included, so that all batches share one compiled program


def batch(kind: str, hw: tuple[int, int], images: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Noise with objects of one `kind` of difficulty."""
    rng = np.random.default_rng(seed)
    objects = np.zeros((images, ROWS, 6), np.float32)
    for rows in objects:
        placed = KINDS[kind](rng, np.array(hw, float))
        rows[: len(placed), :4], rows[: len(placed), 5] = placed, 1
        rows[: len(placed), 4] = rng.integers(0, len(CLASSES), len(placed))
        if kind == "colliding":
            rows[:2, 4] = rows[0, 4]  # two of one class in one cell make one peak
    return {"image": rng.integers(0, 256, (images, *hw, 3), np.uint8), "objects": objects}


def _inside(rng, hw, count):
    return np.column_stack([rng.uniform(8, hw - 8, (count, 2)), rng.uniform(6, 40, (count, 2))])


def _colliding(rng, hw):
    """Five centres in one cell, among them twins of one size, and one in the next cell."""
    cell = 4 * rng.integers(3, hw // 4 - 3)
    centres = np.vstack([cell + rng.uniform(0, 4, (5, 2)), cell + np.array((1, 5))])
    sizes = rng.uniform(6, 40, (6, 2))
    sizes[1] = sizes[0]
    return np.column_stack([centres, sizes])


def _border(rng, hw):
    """Over each side, over a corner, wholly outside, on the last pixel, and smaller than a cell."""
    y, x = hw
    return np.array(
        [
            (2, x / 2, 21, 13),
            (y / 2, 1, 12, 20),
            (y - 1, x / 3, 17, 9),
            (y / 3, x + 2, 15, 22),
            (y, x, 30, 30),
            (-20, x / 2, 10, 10),
            (y - 0.25, x - 0.25, 0.5, 0.5),
            (y / 2 + 0.5, x / 2 + 0.5, 1, 1.5),
        ]
    )


KINDS = {
    "none": lambda rng, hw: np.zeros((0, 4)),
    "one": lambda rng, hw: _inside(rng, hw, 1),
    "full": lambda rng, hw: _inside(rng, hw, ROWS),
    "colliding": _colliding,
    "border": _border,
}


def random_model(path: Path, config: ModelConfig) -> Path:
    """Writes a model.safetensors with random weights, whose offset is (0.25, 0.5) everywhere; sizes are positive."""
    tensors = to_numpy(centernet_torch.create_state(config, RECIPE, seed=1).model)
    tensors["head.offset.conv2.weight"][:] = 0
    tensors["head.offset.conv2.bias"][:] = 0.25, 0.5
    tensors["head.size.conv2.bias"][:] = 3, 5
    write_model_file(path, tensors, config)
    return path


def assert_all_agree(found):
    found = list(found)
    assert found
    assert [one for one in found if not one.agrees] == []
