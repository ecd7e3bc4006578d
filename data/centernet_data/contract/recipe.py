"""How a network is trained, in both backends."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from centernet_data.contract.precision import Precision, require_precision

Schedule = Literal["cosine", "drops"]
Targets = Literal["adaptive", "exact", "fixed"]
Normalization = Literal["batch", "image"]


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """The part of a recipe that does not depend on the length of the run. ValueError for options out of range."""

    learning_rate: float = 1e-3
    """AdamW's highest rate, reached after the warm-up."""
    warmup: float = 0.05
    """Share of the steps during which the rate rises."""
    schedule: Schedule = "cosine"
    """How the rate then falls: along a cosine to zero, or by drops to a tenth at 90/140 of the run and to a hundredth
    at 120/140."""
    backbone_rate: float = 1.0
    """Factor on the rate of the ResNet, for a --pretrained one. 0 freezes it, batch normalisation included."""
    weight_decay: float = 1e-4
    """Decoupled weight decay, on kernels only."""
    clip_norm: float = 35.0
    """Limit on the norm of all gradients together, which metrics.jsonl records as gradient_norm."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights, which is what is evaluated and saved; it is lower in the first
    steps. 0: the last weights alone."""
    accumulate: int = 1
    """Batches per step, whose gradients are averaged: the effect of a large batch in the memory of a small one, except
    that batch normalisation sees the small ones."""
    precision: Precision = "float32"
    """Precision the network trains in. bfloat16 is for accelerators; weights, statistics and losses stay float32, and
    so do evaluations."""
    remat: bool = False
    """Recompute the ResNet's blocks during the backward pass: less memory, more time, the same result."""
    targets: Targets = "adaptive"
    """Spread of the heatmap's peaks. adaptive: authors' formula; exact: corrected roots; fixed: one width."""

    def __post_init__(self):
        for name in ("learning_rate", "clip_norm", "accumulate"):
            require(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "greater than 0 and finite")
        for name in ("backbone_rate", "weight_decay"):
            require(name, getattr(self, name), 0 <= getattr(self, name) < math.inf, "at least 0 and finite")
        for name in ("warmup", "ema_decay"):
            require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        require_precision(self.precision)
        for name, choices in (("schedule", Schedule), ("targets", Targets)):
            allowed = get_args(choices)
            require(name, repr(getattr(self, name)), getattr(self, name) in allowed, f"one of {', '.join(allowed)}")


@dataclass(frozen=True, kw_only=True)
class Recipe(RecipeOptions):
    """AdamW with linear warm-up, a falling rate, clipped gradients and an average of the weights.

    Steps are the optimizer's; each takes the mean gradient of `accumulate` batches. Weight decay is decoupled and
    spares biases and batch normalisation. Detectors are made from the exponential moving average of the weights. A
    frozen trunk normalises by its running statistics (as in DETR, with `lr_backbone` and `FrozenBatchNorm2d`). With
    `remat` only the blocks' inputs are kept for the backward pass (arXiv:1604.06174). `targets` and `normalization` are
    options of the loss.
    """

    total_steps: int
    normalization: Normalization = "batch"

    @property
    def warmup_steps(self) -> int:
        """The steps during which the rate rises."""
        return round(self.warmup * self.total_steps)

    @property
    def drop_steps(self) -> tuple[int, int]:
        """The steps from which the rate is a tenth and a hundredth: epochs 90 and 120 of a run of 140, scaled to the
        length of this one. Paper: section 5."""
        return math.ceil(self.total_steps * 90 / 140), math.ceil(self.total_steps * 120 / 140)


def require(name: str, value: object, good: bool, what: str) -> None:
    """Raises ValueError, naming the option, unless its value is `good`."""
    if not good:
        raise ValueError(f"--{name.replace('_', '-')} must be {what}, not {value}")
