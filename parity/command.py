"""`centernet parity`: all stages of one model, as a table."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from centernet.config import Parity
from centernet.training.run_folder import write_text
from centernet_data.batches import Batch, Batches
from centernet_data.contract.recipe import Recipe
from centernet_data.contract.weights_file import ModelConfig
from centernet_data.dataset import Dataset
from centernet_data.imaging.geometry import NO_AUGMENTATION
from centernet_data.source import open_for_model
from centernet_data.synthetic.shapes import ShapesDataset
from parity.compare import BOUNDS, Pair, compare, compare_inference
from parity.dataset import compare_dataset
from parity.difference import Difference
from parity.numerics import numerics

FRESH = ModelConfig(ShapesDataset.classes, (64, 96))
BATCH_SIZE = 4  # of which each training step makes two
PICTURES = 4  # that go through both detectors


def run(config: Parity) -> int:
    """Prints the table, writes the JSON if asked. Returns 1 if a bound is broken. ValueError for bad input."""
    if config.json and not config.json.parent.is_dir():
        raise ValueError(f"{config.json}: its folder does not exist")
    with numerics(config.dtype, config.device):
        found = _differences(config)
    print_table(found, Console())
    if config.json:
        write_text(config.json, json.dumps(as_json(config, found), indent=2) + "\n")
    return int(not all(one.agrees for one in found))


def parity_recipe(steps: int) -> Recipe:
    """The project's recipe, and all that it does within some 20 steps: a warm-up, most of the cosine, decay that is
    to be seen, clipping, which at a norm of 5 bites on some steps of a fresh ResNet-34 and not on others, an average
    whose decay rises over the first 8 steps to its highest, two batches per step, and a trunk that moves less."""
    return Recipe(
        learning_rate=1e-3,
        total_steps=steps + 2,
        warmup_steps=steps // 4,
        backbone_rate=0.5,
        weight_decay=0.01,
        clip_norm=5.0,
        ema_decay=0.5,
        accumulate=2,
    )


def _differences(config: Parity) -> list[Difference]:
    recipe, bounds = parity_recipe(config.steps), BOUNDS[config.dtype]
    if config.model is None:
        scenes = ShapesDataset("train", 200)
        pair = Pair.fresh(FRESH, recipe, dtype=config.dtype)
        return list(compare(pair, make_batches(scenes, FRESH, config.steps), some_pictures(scenes), bounds))

    pair = Pair.load(config.model, recipe, config.dtype)
    if config.data:
        dataset = open_for_model(config.data, config.split, pair.config.classes, config.model)
    else:
        dataset = ShapesDataset("train", 200)
    batches, pictures = make_batches(dataset, pair.config, config.steps), some_pictures(dataset)
    found = list(compare_inference(pair, batches[0]["image"], pictures, bounds, "as given: "))
    found += compare(pair, batches, pictures, bounds)
    return found + (list(compare_dataset(pair, dataset, bounds.forward)) if config.data else [])


def make_batches(dataset: Dataset, config: ModelConfig, steps: int) -> list[Batch]:
    """The first batches of a training run. Another data set's classes are taken modulo the model's own."""
    batches = Batches(dataset, BATCH_SIZE, config.image_size, config.resize, NO_AUGMENTATION, seed=0)
    made = [batches[step] for step in range(steps)]
    for batch in made:
        batch["objects"][..., 4] %= len(config.classes)
    return made


def some_pictures(dataset: Dataset) -> list[np.ndarray]:
    """Some pictures, each cut a bit smaller than the one before: letterboxing must agree too."""
    pictures = [dataset.image(i) for i in range(min(PICTURES, len(dataset)))]
    return [p[: -7 * i or None, : -11 * i or None] if min(p.shape[:2]) > 64 else p for i, p in enumerate(pictures)]


def print_table(found: Sequence[Difference], console: Console) -> None:
    """One line for each stage, then the verdict over all."""
    table = Table("stage", "max abs", "max rel", "bound", "", box=None, pad_edge=False, header_style="bold")
    for one in found:
        table.add_row(
            one.stage, number(one.max_abs), number(one.max_rel), number(one.bound), "agrees" if one.agrees else "PARTS"
        )
    console.print(table, highlight=False)
    console.print(verdict(found), highlight=False, soft_wrap=True)


def verdict(found: Sequence[Difference]) -> str:
    """One line: that all agree, or where the two part first, and by how much."""
    parted = [one for one in found if not one.agrees]
    if not parted:
        return f"one detector: all {len(found)} stages agree"
    first = parted[0]
    return (
        f"NOT one detector: {len(parted)} of {len(found)} stages part, the first of them {first.stage!r}, by "
        f"{number(first.max_rel)} (bound {number(first.bound)}) at {first.where}"
    )


def number(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def as_json(config: Parity, found: Sequence[Difference]) -> dict:
    """The settings, every stage, and whether all agree."""
    rows = [{k: _plain(v) for k, v in asdict(one).items()} | {"agrees": one.agrees} for one in found]
    settings = {k: _plain(v) for k, v in asdict(config).items()}
    return {"settings": settings, "agrees": all(one.agrees for one in found), "stages": rows}


def _plain(value):
    """What JSON has a word for: a path and a number that is not finite become text."""
    special = isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value))
    return str(value) if special else value
