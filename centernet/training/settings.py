"""The settings of a training run: the options of `centernet train`, and what its config.toml holds."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from centernet.options import (
    BackendName,
    ImageSize,
    ValGroupOption,
    ValShareOption,
    height_and_width,
    require_image_size,
)
from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.checks import refuse, require
from centernet_data.contract.messages import in_utf8
from centernet_data.contract.model_config import Resize
from centernet_data.contract.precision import Device
from centernet_data.contract.recipe import RecipeOptions
from centernet_data.contract.val_share import check_val_share


@dataclass(frozen=True)
class Settings:
    """The settings of a training run. Raises ValueError for settings out of range, or that do not go together."""

    preset: Literal["tiny_coco", "coco", "voc", "cocotext"] | None = None
    """Other defaults, for a known data set; --preset NAME --help shows them and where they come from."""
    data: str = "shapes"
    """A folder in a known layout, a TOML file or YOLO's data.yaml that describes a data set (docs/data.md), a COCO
    file, tfds:NAME or tfds:FOLDER, shapes or scene-text."""
    val_share: ValShareOption = None
    """Where there is no validation split: the share of pictures to validate on, such as 0.2, chosen by their names."""
    val_group: ValGroupOption = None
    """Pictures in whose names this finds the same text (its first group, if it has one) stay together: frames of one
    film, copies of one photograph."""
    out: Path | None = None
    """Folder for the run; runs/NAME-OF-DATA if not given."""
    overwrite: bool = False
    """Replace a run that is already in that folder."""
    resume: bool = False
    """Continue the run in that folder from its newest checkpoint; from the beginning if it has none."""
    checkpoint_every: int = 100
    """Steps between checkpoints; a run also saves its state when it is told to stop."""
    epochs: float = 3
    """How often each picture is shown."""
    evaluate_every: int = 0
    """Epochs between evaluations on the validation split; 0: only at the end. The best checkpoint is kept."""
    flip_test: bool = False
    """Also look at each picture's mirror image in evaluations and average; takes twice as long."""
    batch_size: int = 16
    """Pictures per batch."""
    image_size: ImageSize = (64,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    resize: Resize = "letterbox"
    """How pictures are fitted into it: letterbox keeps their aspect ratio, stretch does not."""
    depth: Literal[18, 34] = 18
    """Layers of the ResNet."""
    pretrained: Path | None = None
    """A torchvision-format ResNet file (.pth or .safetensors) of that depth to start from."""
    recipe: Annotated[RecipeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=RecipeOptions)
    augment: bool = True
    """Change each view of a picture file at random, as set below; rendered scenes vary anyway."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    tensorboard: bool = False
    """Also write metrics and pictures of predictions for TensorBoard, into the run's tensorboard/."""
    seed: int = 0
    """Seed of weights, order and augmentation; the same seed gives the same run."""
    verify: bool = True
    """Decode every picture file before the first step, except those that an earlier start found to be good."""
    workers: int = 0
    """Processes that make the batches, which stay the same; 0: threads of this one."""
    coordinator: str | None = None
    """For training in several processes: HOST:PORT of the first, or auto (SLURM, MPI, TPU pods)."""
    processes: int | None = None
    """With --coordinator HOST:PORT: how many processes there are."""
    process: int | None = None
    """With --coordinator HOST:PORT: which of them this is, from 0."""
    device: Device | None = None
    """Device to train on: cpu or gpu. By default an accelerator if there is one."""
    backend: BackendName = "jax"
    """Backend that trains."""

    def __post_init__(self):
        for name in ("epochs", "batch_size", "checkpoint_every"):
            require(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "greater than 0 and finite")
        for name in ("seed", "workers", "evaluate_every"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        require_image_size(self.image_size)
        if self.recipe.backbone_rate == 0 and not self.pretrained:
            refuse("--backbone-rate 0 freezes the ResNet, so it needs a --pretrained one")
        check_val_share(self.val_share, self.val_group)
        if not self.augment and self.augmentation != Augmentation():
            refuse("--no-augment turns all augmentation off, so the --augmentation options would do nothing")
        if self.resume and self.overwrite:
            refuse("--resume continues a run and --overwrite replaces it; give one of them")
        self._require_several_values_per_channel()
        self._require_all_of_the_processes()

    def _require_several_values_per_channel(self) -> None:
        least = self.batch_size == 1 and set(self.image_size) == {32}
        if least and self.recipe.backbone_rate > 0:
            refuse(
                "--batch-size 1 with --image-size 32 leaves a single value per channel at the end of the ResNet, which "
                "batch normalisation cannot train on; give a larger one of the two"
            )

    def _require_all_of_the_processes(self) -> None:
        told = (self.processes, self.process)
        if (self.coordinator in (None, "auto")) != (told == (None, None)) or (None in told) != (told == (None, None)):
            refuse("--processes and --process go with --coordinator HOST:PORT, all three or none")
        if self.processes is not None and self.process is not None and not 0 <= self.process < self.processes:
            refuse(f"--process must be from 0 to {self.processes - 1}, not {self.process}")

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return height_and_width(self.image_size)

    @property
    def run_folder(self) -> Path:
        """Where the run lies."""
        from centernet_data.source import name_of_data

        return self.out or Path("runs") / name_of_data(self.data)

    def as_toml(self) -> dict:
        """The settings in TOML's types, those of the recipe beside the others; what is not given is left out."""
        settings = asdict(self)
        recipe = settings.pop("recipe")
        return _plain({**settings, **recipe})


def _plain(settings: dict) -> dict:
    kept = {key: value for key, value in settings.items() if value is not None}
    return {key: _plain_value(value) for key, value in kept.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, dict):
        return _plain(value)
    return in_utf8(str(value)) if isinstance(value, str | Path) else value
