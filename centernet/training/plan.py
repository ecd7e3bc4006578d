"""What a training run will do, from its settings: everything that does not change from step to step."""

import math
from dataclasses import dataclass

from rich.console import Console

from centernet.backends import Backend
from centernet.terminal import PlainConsole
from centernet.training.run_folder import RunFolder
from centernet.training.settings import Settings
from centernet.training.tensorboard import import_tensorboardx
from centernet.training.verifying import verify_splits
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.contract.val_share import check_val_share
from centernet_data.dataset import Dataset, is_stored
from centernet_data.source import how_data_is_taken, open_train_and_val


@dataclass(frozen=True)
class Plan:
    """The data, the network and the recipe of a run, and where its messages and files go."""

    settings: Settings
    backend: Backend
    console: Console
    folder: RunFolder
    train_set: Dataset
    val_set: Dataset | None
    batches: Batches
    model_config: ModelConfig
    recipe: Recipe

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process, of several, that prints and writes."""
        return self.batches.shard[0] == 0

    @property
    def fixed_settings(self) -> dict:
        """What a run must have in common with the one that it resumes."""
        return self.settings.as_toml() | {"pictures": len(self.train_set), "classes": self.train_set.classes}

    @property
    def steps_to_evaluate(self) -> set[int]:
        """The steps, except for the last, after which `evaluate_every` further epochs have passed."""
        settings, batches = self.settings, self.batches
        if self.val_set is None or not settings.evaluate_every:
            return set()
        turns = range(1, math.ceil(settings.epochs / settings.evaluate_every))
        epochs = [turn * settings.evaluate_every for turn in turns]
        steps = {math.ceil(epoch * len(batches.dataset) / batches.batch_size) for epoch in epochs}
        return steps - {self.recipe.total_steps}

    def say(self, text: str) -> None:
        """Prints a line, in the main process."""
        self.console.print(text, soft_wrap=True)

    def verify_pictures(self) -> None:
        """Verifies the pictures, unless that is not wanted. Raises ValueError for one that cannot be used."""
        if not self.settings.verify:
            self.say("the pictures are not verified (--no-verify): a damaged one will stop the run when it is reached")
            return
        splits = {"train": self.train_set} | ({} if self.val_set is None else {"val": self.val_set})
        verify_splits(splits, self.console, self.batches.shard, self.backend.all_gather)


def make_plan(settings: Settings, backend: Backend, shard: tuple[int, int] = (0, 1)) -> Plan:
    """Opens the data, and says what there is. Nothing is written. `shard` is (index, count) of this process.

    Raises ValueError for bad settings or data; what is in the pictures' files is not checked yet.
    """
    console, folder = PlainConsole(quiet=shard[0] != 0), RunFolder(settings.run_folder)
    if settings.resume:
        folder.require_resumable(settings.as_toml())
    elif shard[0] == 0:
        folder.require_free(settings.overwrite)
        folder.require_not_within(settings.pretrained)
    if shard[0] == 0 and (settings.tensorboard or (settings.resume and folder.tensorboard.exists())):
        import_tensorboardx()
    train_set, val_set = open_train_and_val(settings.data, check_val_share(settings.val_share, settings.val_group))
    augmentation = _augmentation_of(settings, train_set)
    pictures_per_step = settings.batch_size * settings.recipe.accumulate
    recipe = recipe_of(settings, len(train_set))
    mosaic_until = round(recipe.total_steps * (1 - augmentation.without_mosaic))
    plan = Plan(
        settings,
        backend,
        console,
        folder,
        train_set,
        val_set,
        Batches(
            train_set,
            pictures_per_step,
            settings.hw,
            settings.resize,
            augmentation,
            settings.seed,
            shard,
            mosaic_until,
        ),
        ModelConfig(train_set.classes, settings.hw, settings.resize, settings.depth),
        recipe,
    )
    _describe(plan)
    return plan


def _augmentation_of(settings: Settings, train_set: Dataset) -> Augmentation:
    """Rendered scenes are not augmented, as no two are alike. Raises ValueError for options that would do nothing."""
    if is_stored(train_set):
        return settings.augmentation if settings.augment else NO_AUGMENTATION
    if settings.augmentation != Augmentation():
        raise ValueError(f"{settings.data}: rendered scenes are not augmented: leave out the --augmentation options")
    return NO_AUGMENTATION


def recipe_of(settings: Settings, pictures: int) -> Recipe:
    """The recipe whose schedule fits the epochs over that many pictures."""
    total_steps = math.ceil(settings.epochs * pictures / (settings.batch_size * settings.recipe.accumulate))
    return Recipe(**vars(settings.recipe), total_steps=total_steps)


def _describe(plan: Plan) -> None:
    train_set, val_set = plan.train_set, plan.val_set
    validation = "no validation split" if val_set is None else f"{len(val_set)} to validate on"
    classes = f"{len(train_set.classes)} classes" if len(train_set.classes) != 1 else f"class {train_set.classes[0]}"
    if how_taken := how_data_is_taken(plan.settings.data):
        plan.say(how_taken)
    plan.say(f"{plan.settings.data}: {len(train_set)} pictures to train on, {validation}; {classes}")
    for split, dataset in (("train", train_set), ("val", val_set)):
        for note in dataset.notes if dataset is not None else ():
            plan.say(f"  {split}: {note}")
