"""What a training run will do, from its configuration: everything that does not change from step to step."""

import math
from dataclasses import dataclass
from types import ModuleType

from rich.console import Console

from centernet.backends import open_backend
from centernet.training.run_folder import RunFolder
from centernet.training.settings import Settings
from centernet.training.tensorboard import import_tensorboardx
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.dataset import Dataset, check_pictures, is_stored
from centernet_data.source import open_train_and_val


@dataclass(frozen=True)
class Plan:
    """The data, the network and the recipe of a run, and where it says and leaves something."""

    config: Settings
    backend: ModuleType
    console: Console
    folder: RunFolder
    train_set: Dataset
    val_set: Dataset | None
    batches: Batches
    model_config: ModelConfig
    recipe: Recipe

    @property
    def is_main_process(self) -> bool:
        """Whether this is the one of several processes that says and writes something."""
        return self.batches.shard[0] == 0

    @property
    def settings(self) -> dict:
        """What a checkpoint's run must have had in common with this one."""
        return self.config.as_toml() | {"pictures": len(self.train_set), "classes": self.train_set.classes}

    @property
    def steps_to_evaluate(self) -> set[int]:
        """After which steps, of those before the last, as many epochs as `evaluate_every` have gone by once more."""
        config, batches = self.config, self.batches
        if self.val_set is None or not config.evaluate_every:
            return set()
        turns = range(1, math.ceil(config.epochs / config.evaluate_every))
        steps = {math.ceil(turn * config.evaluate_every * len(batches.dataset) / batches.batch_size) for turn in turns}
        return steps - {self.recipe.total_steps}

    def say(self, text: str) -> None:
        """Prints a line, in the first process."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def check_pictures(self) -> None:
        """ValueError for a picture file that cannot be read."""
        for dataset in (self.train_set, self.val_set):
            if dataset is not None and is_stored(dataset):
                check_pictures(dataset)


def make_plan(config: Settings) -> Plan:
    """Opens the data, joins the other processes, and says what there is. Nothing is written.

    ValueError for whatever is wrong with the settings or the data, but for what is in the pictures' files.
    """
    backend = open_backend(config.backend)
    shard = backend.join_processes(config.coordinator, config.processes, config.process)
    console, folder = Console(quiet=shard[0] != 0), RunFolder(config.run_folder)
    if config.resume:
        folder.require_resumable(config.as_toml())
    elif shard[0] == 0:
        folder.require_free(config.overwrite)
    if shard[0] == 0 and (config.tensorboard or (config.resume and folder.tensorboard.exists())):
        import_tensorboardx()
    train_set, val_set = open_train_and_val(config.data)
    augmentation = config.augmentation if config.augment and is_stored(train_set) else NO_AUGMENTATION
    pictures_per_step = config.batch_size * config.recipe.accumulate
    plan = Plan(
        config,
        backend,
        console,
        folder,
        train_set,
        val_set,
        Batches(train_set, pictures_per_step, config.hw, config.resize, augmentation, config.seed, shard),
        ModelConfig(train_set.classes, config.hw, config.resize, config.depth),
        recipe_of(config, len(train_set)),
    )
    _describe(plan)
    return plan


def recipe_of(config: Settings, pictures: int) -> Recipe:
    """The recipe whose schedule fits the epochs over so many pictures."""
    total_steps = math.ceil(config.epochs * pictures / (config.batch_size * config.recipe.accumulate))
    return Recipe(**vars(config.recipe), total_steps=total_steps)


def _describe(plan: Plan) -> None:
    train_set, val_set = plan.train_set, plan.val_set
    validation = "no validation split" if val_set is None else f"{len(val_set)} to validate on"
    classes = f"{len(train_set.classes)} classes" if len(train_set.classes) != 1 else f"class {train_set.classes[0]}"
    plan.say(f"{plan.config.data}: {len(train_set)} pictures to train on, {validation}; {classes}")
    for split, dataset in (("train", train_set), ("val", val_set)):
        for note in dataset.notes if dataset is not None else ():
            plan.say(f"  {split}: {note}")
