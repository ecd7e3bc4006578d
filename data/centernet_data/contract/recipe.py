"""The training recipe that both backends follow."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from centernet_data.contract.checks import require
from centernet_data.contract.options import is_number, is_whole, require_choice, require_count
from centernet_data.contract.precision import Precision, require_precision
from centernet_data.contract.targets import Targets

Schedule = Literal["cosine", "drops"]
Normalization = Literal["batch", "image"]
LOSSES = ("heatmap", "offset", "size")  # in the order in which `CenterNetLoss` returns them


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How the network learns. Values out of range are refused (ValueError)."""

    learning_rate: float = 1e-3
    """AdamW's peak learning rate, reached after the warm-up."""
    warmup: float = 0.05
    """Fraction of the steps over which the rate rises linearly."""
    schedule: Schedule = "cosine"
    """Decay after the warm-up. cosine: to zero; drops: to 1/10 at 90/140 of the run and 1/100 at 120/140."""
    backbone_rate: float = 1.0
    """Factor on the ResNet's learning rate, for use with --pretrained. 0 freezes it, batch normalisation included."""
    weight_decay: float = 1e-4
    """Decoupled weight decay, applied to kernels only."""
    clip_norm: float = 35.0
    """Upper limit on the global gradient norm, which metrics.jsonl records as gradient_norm."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights, which is evaluated and saved; 0: the latest weights."""
    accumulate: int = 1
    """Batches per step, whose gradients are averaged; batch normalisation sees each one separately."""
    precision: Precision = "float32"
    """Precision the network trains in; bfloat16 is for accelerators. Weights and losses stay float32."""
    remat: bool = False
    """Recompute the ResNet's blocks in the backward pass: less memory, more time, the same result."""
    targets: Targets = "adaptive"
    """Spread of the heatmap's peaks. adaptive: the authors' formula; exact: corrected roots; fixed: one width."""

    def __post_init__(self):
        numbers = {name: value for name, value in vars(self).items() if is_number(value)}
        for name in ("learning_rate", "clip_norm", "accumulate"):
            require(name, getattr(self, name), 0 < numbers.get(name, 0) < math.inf, "greater than 0 and finite")
        require("accumulate", self.accumulate, is_whole(self.accumulate), "a whole number")
        for name in ("backbone_rate", "weight_decay"):
            require(name, getattr(self, name), 0 <= numbers.get(name, -1) < math.inf, "at least 0 and finite")
        for name in ("warmup", "ema_decay"):
            require(name, getattr(self, name), 0 <= numbers.get(name, -1) < 1, "at least 0 and less than 1")
        require("remat", self.remat, isinstance(self.remat, bool), "True or False")
        require_precision(self.precision)
        for name, choices in (("schedule", Schedule), ("targets", Targets)):
            allowed = get_args(choices)
            require(name, repr(getattr(self, name)), getattr(self, name) in allowed, f"one of {', '.join(allowed)}")


@dataclass(frozen=True, kw_only=True)
class Recipe(RecipeOptions):
    """AdamW with linear warm-up, a decaying rate, clipped gradients and an exponential moving average of the weights.

    A step is one optimizer update, which uses the mean gradient of `accumulate` batches. Weight decay is decoupled and
    skips biases and batch normalisation. Detectors are built from the averaged weights. A frozen backbone normalises
    with its running statistics (as in DETR, with `lr_backbone` and `FrozenBatchNorm2d`). With `remat`, only the blocks'
    inputs are kept for the backward pass (arXiv:1604.06174). `targets` and `normalization` are options of the loss.
    """

    total_steps: int
    normalization: Normalization = "batch"

    def __post_init__(self):
        super().__post_init__()
        require_count("total_steps", self.total_steps)
        require_choice("normalization", self.normalization, get_args(Normalization))

    @property
    def warmup_steps(self) -> int:
        """The number of steps over which the rate rises."""
        return round(self.warmup * self.total_steps)

    @property
    def drop_steps(self) -> tuple[int, int]:
        """The steps at which the rate drops to a tenth and to a hundredth: epochs 90 and 120 of 140, scaled to the
        run's length. Paper: section 5."""
        return math.ceil(self.total_steps * 90 / 140), math.ceil(self.total_steps * 120 / 140)
