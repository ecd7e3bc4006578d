"""All stages of one model in both backends."""

from pathlib import Path

import numpy as np

from centernet_data.batches import Batch, Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device, DType
from centernet_data.contract.recipe import Recipe
from centernet_data.dataset import Dataset
from centernet_data.source import open_for_model
from centernet_data.synthetic.shapes import ShapesDataset
from parity.bounds import BOUNDS
from parity.compare import compare, compare_inference
from parity.dataset import compare_dataset
from parity.difference import Difference
from parity.pair import Pair
from parity.settings import compare_small_runs

FRESH = ModelConfig(ShapesDataset.classes, (64, 96))
BATCH_SIZE = 4  # a training step splits it in two
PICTURES = 4  # for both detectors to look at


def parity_recipe(steps: int) -> Recipe:
    """The project's recipe, such that all of it takes effect within some 20 steps.

    A warm-up, most of the cosine, visible weight decay, clipping (at a norm of 5 it acts on some steps of a fresh
    ResNet-34 and not on others), an average that reaches its full decay after 8 steps, two batches per step, and a
    lower learning rate for the trunk.
    """
    return Recipe(
        learning_rate=1e-3,
        total_steps=steps + 2,
        warmup=(steps // 4) / (steps + 2),
        backbone_rate=0.5,
        weight_decay=0.01,
        clip_norm=5.0,
        ema_decay=0.5,
        accumulate=2,
    )


def check(
    model: Path | None, data: str | None, split: str, dtype: DType, steps: int, device: Device
) -> list[Difference]:
    """All stages of `model`, or of a fresh ResNet-34. With `data`, both train and detect on it, and AP is compared too.

    Call it within `numerics`. Raises ValueError for bad input.
    """
    recipe, bounds = parity_recipe(steps), BOUNDS[dtype]
    if model is None:
        scenes = ShapesDataset("train", 200)
        pair = Pair.fresh(FRESH, recipe, dtype=dtype, device=device)
        found = compare(pair, make_batches(scenes, FRESH, steps), some_pictures(scenes), bounds)
        return [*found, *compare_small_runs(dtype, bounds)]

    pair = Pair.load(model, recipe, dtype, device)
    dataset = open_for_model(data, split, pair.config.classes, model) if data else ShapesDataset("train", 200)
    batches, pictures = make_batches(dataset, pair.config, steps), some_pictures(dataset)
    found = list(compare_inference(pair, batches[0]["image"], pictures, bounds, "as given: "))
    found += [*compare(pair, batches, pictures, bounds), *compare_small_runs(dtype, bounds)]
    return found + (list(compare_dataset(pair, dataset, bounds.forward)) if data else [])


def make_batches(dataset: Dataset, config: ModelConfig, steps: int) -> list[Batch]:
    """The first batches of a training run, with class numbers modulo the model's number of classes."""
    batches = Batches(dataset, BATCH_SIZE, config.image_size, config.resize, NO_AUGMENTATION, seed=0)
    made = [batches[step] for step in range(steps)]
    for batch in made:
        batch["objects"][..., 4] %= len(config.classes)
    return made


def some_pictures(dataset: Dataset) -> list[np.ndarray]:
    """Some pictures, each cropped a bit more than the one before, so that letterboxing is compared too."""
    pictures = [dataset.picture(i) for i in range(min(PICTURES, len(dataset)))]
    return [p[: -7 * i or None, : -11 * i or None] if min(p.shape[:2]) > 64 else p for i, p in enumerate(pictures)]
