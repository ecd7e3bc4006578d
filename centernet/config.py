"""What can be set from the command line: each class is one command, each field one option with its help."""

import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from centernet_data.contract.recipe import Precision
from centernet_data.imaging.geometry import Augmentation, Resize

Backend = Literal["jax", "torch"]
Device = Literal["cpu", "gpu"]
DType = Literal["float32", "float64"]
NetworkDType = Literal[DType, "bfloat16"]


def require_image_size(image_size: tuple[int, ...]) -> None:
    """ValueError for what is no size of the network's input."""
    if len(image_size) not in (1, 2) or any(side < 32 or side % 32 for side in image_size):
        sides = " ".join(map(str, image_size))
        raise ValueError(f"--image-size must be one or two multiples of 32, not {sides}")


def name_of_data(data: str) -> str:
    """A short name for a data set: that of its TOML file, or TFDS's without the version."""
    if data.startswith("tfds:"):
        parts = Path(data.removeprefix("tfds:")).parts
        return next((part for part in reversed(parts) if not re.fullmatch(r"[\d.]+\.\d+", part)), "tfds")
    return Path(data).stem


@dataclass(frozen=True)
class Train:
    """Train a detector, evaluate it on the validation split, and leave both in a folder.

    Without any option it learns the built-in rendered shapes, in at most five minutes on two CPU cores. For your own
    pictures give --data, and more of everything: --image-size 256 --depth 34 --epochs 100, say.
    """

    preset: Literal["tiny_coco", "coco", "voc", "cocotext"] | None = None
    """Defaults for a known data set instead of these, and where they come from: --preset NAME --help."""
    data: str = "shapes"
    """A built-in data set (shapes, scene-text), a TOML file that describes one (COCO, COCO-Text or VOC format; see the
    README), or tfds:NAME or tfds:FOLDER for one that TFDS keeps in ArrayRecord files."""
    out: Path | None = None
    """Folder for the run; runs/NAME-OF-DATA if not given."""
    overwrite: bool = False
    """Replace a run that is already in that folder."""
    resume: bool = False
    """Go on with the run in that folder from its newest checkpoint; from the beginning if it has none."""
    checkpoint_every: int = 100
    """Steps from one checkpoint to the next; a run also saves when it is told to stop."""
    epochs: float = 3
    """How often each picture is shown."""
    evaluate_every: int = 0
    """Epochs between evaluations on the validation split; 0: only at the end. The best checkpoint is kept."""
    flip_test: bool = False
    """Evaluate pictures together with their mirror images: heatmaps and sizes averaged, in twice the time."""
    batch_size: int = 16
    """Pictures per batch."""
    accumulate: int = 1
    """Batches per step, whose gradients are averaged: a larger batch in the memory of a small one, but for batch
    normalisation, which sees the small ones."""
    image_size: Annotated[tuple[int, ...], tyro.conf.arg(metavar="S | H W")] = (64,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    resize: Resize = "letterbox"
    """How pictures are fitted into it: letterbox keeps their aspect ratio, stretch does not."""
    depth: Literal[18, 34] = 18
    """Layers of the ResNet."""
    pretrained: Path | None = None
    """A torchvision-format ResNet file (.pth or .safetensors) of that depth to start from."""
    learning_rate: float = 1e-3
    """AdamW's highest rate, reached after the warm-up."""
    backbone_rate: float = 1.0
    """Factor on the rate of the ResNet, for a --pretrained one. 0 freezes it, batch normalisation included."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises."""
    schedule: Literal["cosine", "drops"] = "cosine"
    """How it falls then: by a cosine to zero, or to a tenth at 90/140 of the run and a hundredth at 120/140."""
    weight_decay: float = 1e-4
    """Decoupled, on kernels only."""
    clip_norm: float = 35.0
    """Bound on the norm of all gradients together, which metrics.jsonl has as gradient_norm."""
    precision: Precision = "float32"
    """In which the network trains; bfloat16 for accelerators, with float32 weights, statistics and losses. Evaluations
    are in float32."""
    remat: bool = False
    """Compute the ResNet's blocks anew for their gradients: less memory, more time, the same result."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights, by which the model is evaluated and saved; it is lower in the first
    steps. 0: the last weights alone."""
    targets: Literal["adaptive", "exact", "fixed"] = "adaptive"
    """Spread of the heatmap's peaks: the authors' by object size; with its roots solved right; one for all."""
    augment: bool = True
    """Change each view of a picture file at random, as set below; rendered scenes vary by themselves."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    tensorboard: bool = False
    """Write what metrics.jsonl has, and pictures of predictions, for TensorBoard too, into the run's tensorboard/ (pip
    install -e ".[tensorboard]")."""
    seed: int = 0
    """Of weights, order and augmentation; the same seed gives the same run."""
    workers: int = 0
    """Processes that make the batches; 0: threads of this one. The batches are the same (`centernet data bench`)."""
    coordinator: str | None = None
    """To train in several processes at once, all started alike: HOST:PORT of the first, or auto where SLURM, MPI or a
    TPU pod tells it and the next two."""
    processes: int | None = None
    """How many there are."""
    process: int | None = None
    """Which of them this is, from 0."""
    backend: Backend = "jax"
    """Which of the two twins trains."""

    def __post_init__(self):
        for name in ("epochs", "batch_size", "accumulate", "learning_rate", "clip_norm", "checkpoint_every"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"--{name.replace('_', '-')} must be greater than 0 and finite, not {getattr(self, name)}"
                )
        require_image_size(self.image_size)
        if not 0 <= self.backbone_rate < math.inf:
            raise ValueError(f"--backbone-rate must be at least 0 and finite, not {self.backbone_rate}")
        if self.backbone_rate == 0 and not self.pretrained:
            raise ValueError("--backbone-rate 0 freezes the ResNet, which takes a --pretrained one")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"--warmup must be at least 0 and less than 1, not {self.warmup}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"--ema-decay must be at least 0 and less than 1, not {self.ema_decay}")
        if not 0 <= self.weight_decay < math.inf or min(self.seed, self.workers, self.evaluate_every) < 0:
            raise ValueError("--weight-decay, --seed, --workers and --evaluate-every must be at least 0")
        told = (self.processes, self.process)
        if (self.coordinator in (None, "auto")) != (told == (None, None)) or (None in told) != (told == (None, None)):
            raise ValueError("--processes and --process go with --coordinator HOST:PORT, all three or none")
        if self.process is not None and not 0 <= self.process < self.processes:
            raise ValueError(f"--process must be from 0 to {self.processes - 1}, not {self.process}")
        if self.resume and self.overwrite:
            raise ValueError("--resume goes on with a run and --overwrite replaces it; give one of them")

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return self.image_size[0], self.image_size[-1]

    @property
    def run_folder(self) -> Path:
        return self.out or Path("runs") / name_of_data(self.data)

    def as_toml(self) -> dict:
        """The settings in the types that TOML has; those not given are left out."""

        def plain(value):
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items() if item is not None}
            return str(value) if isinstance(value, Path) else value

        return plain(asdict(self))


@dataclass(frozen=True)
class Eval:
    """Print the average precision of a model on a data set, over all and by class."""

    model: tyro.conf.Positional[Path]
    """A run's model.safetensors."""
    data: str = "shapes"
    """A built-in data set (shapes, scene-text), a TOML file, or tfds:NAME or tfds:FOLDER; its classes must be the
    model's."""
    split: str = "val"
    """Which section of the data set."""
    flip_test: bool = False
    """Look at pictures together with their mirror images: heatmaps and sizes averaged, in twice the time."""
    precision: Precision = "float32"
    """In which the network computes; bfloat16 for accelerators. Boxes and scores are made of it in float32."""
    json: Path | None = None
    """Also write the numbers to this file."""
    backend: Backend = "jax"
    """Which of the two twins runs the model."""


@dataclass(frozen=True)
class Runs:
    """Compare training runs: the settings in which they differ, how far they came, their losses and AP."""

    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")]] = (Path("runs"),)
    """Folders of runs, and folders that hold some."""


@dataclass(frozen=True)
class Predict:
    """Draw what a model finds in pictures, and write it to detections.json."""

    model: tyro.conf.Positional[Path]
    """A run's model.safetensors."""
    pictures: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE-OR-FOLDER...")]]
    """Picture files, and folders of them."""
    out: Path = Path("detections")
    """Folder for the drawn pictures and detections.json."""
    min_confidence: float = 0.3
    """Leave out what scores less."""
    flip_test: bool = False
    """Look at pictures together with their mirror images: heatmaps and sizes averaged, in twice the time."""
    precision: Precision = "float32"
    """In which the network computes; bfloat16 for accelerators. Boxes and scores are made of it in float32."""
    backend: Backend = "jax"
    """Which of the two twins runs the model."""


@dataclass(frozen=True)
class Check:
    """Say what is wrong with a data set, record by record, and how much of it the network can express.

    Prints a page of numbers and findings and draws a sheet of pictures with their boxes, the most suspicious first.
    Ends with status 1 if there are errors: what training would refuse, or what makes its result meaningless.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    image_size: Annotated[tuple[int, ...], tyro.conf.arg(metavar="S | H W")] = (256,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    resize: Resize = "letterbox"
    """How pictures are fitted into it: letterbox keeps their aspect ratio, stretch does not."""
    out: Path = Path("check.png")
    """Where the sheet of pictures goes."""
    json: Path | None = None
    """Also write all numbers and all findings to this file."""
    seed: int = 0
    """Draws the pictures of the sheet that nothing was found in."""

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return self.image_size[0], self.image_size[-1]


@dataclass(frozen=True)
class Subset:
    """Cut some pictures with their objects out of a data set, as a smaller one in COCO's format.

    Of a data set in COCO's format all fields of the chosen records are kept, and all categories.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    out: Path
    """Folder to make, with images/, instances.json and a TOML file of the folder's name with the one section."""
    ids: Path | None = None
    """A file with one image id a line (in other formats than COCO's, one picture's name); # begins a comment."""
    count: int | None = None
    """Instead of --ids: how many pictures to draw at random."""
    split: str = "train"
    """Which section of the data set."""
    seed: int = 0
    """Draws the pictures of --count; the same seed draws the same."""


@dataclass(frozen=True)
class Render:
    """Write rendered scenes with words as pictures and a COCO-Text file, and the TOML file to train on them."""

    what: tyro.conf.Positional[Literal["scene-text"]]
    """Which of the rendered data sets."""
    out: Path
    """Folder to make, with images/, cocotext.v2.json and scene-text.toml."""
    count: int = 1000
    """Pictures to train on."""
    val_count: int = 100
    """Pictures to validate on, which no training picture is like."""
    seed: int = 0
    """The same seed gives the same pictures; those of --data scene-text have seed 0."""

    def __post_init__(self):
        if self.count < 1 or self.val_count < 1:
            raise ValueError("--count and --val-count must be at least 1")
        if self.seed < 0:
            raise ValueError("--seed must be at least 0")


@dataclass(frozen=True)
class Prepare:
    """Write all splits of a data set as TFDS keeps its own, in ArrayRecord files, to be read by --data tfds:...

    One folder then holds pictures and annotations in a few large files, read at random; training on it gives the same
    batches as on the files it was made of. Picture files are stored as they are. Needs pip install -e ".[tfds]".
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A TOML file that describes a data set, or a built-in one (shapes, scene-text), rendered here once."""
    tfds_dir: Path
    """TFDS's data folder; the data set goes into NAME/1.0.0 in it."""
    name: str | None = None
    """What TFDS is to call it: letters, digits and _. That of the TOML file if not given."""
    overwrite: bool = False
    """Replace a data set that is already in that folder."""


@dataclass(frozen=True)
class DataBench:
    """Measure how fast a data set's batches are made: by stage on one thread, and as a whole by worker processes.

    Where torch is installed, its DataLoader makes the same batches in turn with this one.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    split: str = "train"
    """Which section of the data set."""
    image_size: Annotated[tuple[int, ...], tyro.conf.arg(metavar="S | H W")] = (512,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    batch_size: int = 16
    """Pictures per batch."""
    workers: tuple[int, ...] = (0, 1, 2)
    """Numbers of worker processes to try; 0: threads of this process, as many as there are CPU cores."""
    batches: int = 20
    """How many batches each measurement takes; there are three of each."""
    json: Path | None = None
    """Also write the numbers to this file."""

    def __post_init__(self):
        require_image_size(self.image_size)
        if self.batch_size < 1 or self.batches < 1 or min(self.workers, default=-1) < 0:
            raise ValueError("--batch-size and --batches must be at least 1, --workers at least 0")

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return self.image_size[0], self.image_size[-1]


@dataclass(frozen=True)
class Parity:
    """Prove that both backends are the same detector, stage by stage: in inference and in training.

    Without any option a fresh ResNet-34 is checked; with a model, that one. Ends with status 1 if a bound is broken.
    """

    model: tyro.conf.Positional[Path | None] = None
    """A run's model.safetensors."""
    data: str | None = None
    """With a model: train and detect on this data set (built-in, a TOML file or tfds:NAME), and compare their AP."""
    split: str = "val"
    """Which section of --data."""
    dtype: DType = "float64"
    """The precision in which both compute."""
    steps: int = 20
    """How many training steps both take."""
    device: Device = "cpu"
    """Where both compute."""
    json: Path | None = None
    """Also write the numbers to this file."""

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"--steps must be at least 1, not {self.steps}")
        if self.data and not self.model:
            raise ValueError("--data needs a model to be checked on it")


Part = Literal["forward", "detection", "training", "loss", "decoding", "flops", "process"]


@dataclass(frozen=True)
class Bench:
    """Measure how fast both backends are: in one process, in turn, each at its best; the figure is JAX / torch.

    Parts: forward, the network alone; detection, uint8 pictures in and boxes out; training, one whole step; loss,
    targets and losses with their gradient; decoding, of the network's output to boxes; flops, the share of a matrix
    product's speed that forward and training reach, where they are measured; process, how long a process of its own
    takes to its first step and its first detection, with nothing and with all compiled before, and how much memory.
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.arg(metavar="PART...")] = get_args(Part)
    """What is measured: any of forward, detection, training, loss, decoding, flops, process."""
    batch_sizes: tuple[int, ...] = (8,)
    """Pictures per step or detection; each size with each of --image-sizes."""
    image_sizes: tuple[int, ...] = (256,)
    """Sizes of the network's square input in pixels, multiples of 32."""
    classes: int = 80
    """How many classes there are."""
    objects: int = 128
    """How many objects each picture has."""
    depth: Literal[18, 34] = 34
    """Layers of the ResNet."""
    dtype: NetworkDType = "float32"
    """The precision in which both networks compute; in bfloat16 with float32 weights, losses and boxes."""
    device: Device = "cpu"
    """Where both compute."""
    rounds: int = 10
    """How often each takes its turn, after warm-up."""
    torch_compile: bool = True
    """Also give torch its compiler; of its two forms the faster one counts."""
    json: Path | None = None
    """Also write all numbers to this file."""

    def __post_init__(self):
        if not (self.parts and self.batch_sizes and self.image_sizes):
            raise ValueError("--parts, --batch-sizes and --image-sizes need at least one value each")
        for side in self.image_sizes:
            if side < 32 or side % 32:
                raise ValueError(f"--image-sizes must be multiples of 32, not {side}")
        if min(*self.batch_sizes, self.classes, self.objects, self.rounds) < 1:
            raise ValueError("--batch-sizes, --classes, --objects and --rounds must be at least 1")
