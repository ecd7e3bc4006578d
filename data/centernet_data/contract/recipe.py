"""How a network is trained, in both backends."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]


def require_precision(precision: str) -> None:
    """ValueError for none of `Precision`."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")


@dataclass(frozen=True)
class Recipe:
    """AdamW with a linear warm-up, a falling rate, clipped gradients and an average of the weights.

    Behind the warm-up the rate falls to zero by a cosine, or by the two `drop_steps`. Both count optimizer steps, of
    which each takes the mean gradient of `accumulate` batches. Weight decay is decoupled and spares biases and batch
    normalisation; `clip_norm` bounds the norm of all gradients together. `ema_decay` is that of the weights'
    exponential moving average, from which detectors are made; 0 makes it the weights themselves. `backbone_rate` is a
    factor on the rate of the trunk, the part that may be pretrained; 0 freezes it, with its running statistics, by
    which it then also normalises (as DETR does with its `lr_backbone` and `FrozenBatchNorm2d`). `precision` is
    that in which the network computes; parameters, statistics, losses and the optimizer keep their own, float32. With
    `remat` the trunk's blocks are computed anew for their gradients, which takes time and saves the memory of all that
    is within them (arXiv:1604.06174).
    `targets` and `normalization` are those of the loss.
    """

    learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    schedule: Literal["cosine", "drops"] = "cosine"
    backbone_rate: float = 1.0
    weight_decay: float = 1e-4
    clip_norm: float = 35.0
    ema_decay: float = 0.999
    accumulate: int = 1
    precision: Precision = "float32"
    remat: bool = False
    targets: Literal["adaptive", "exact", "fixed"] = "adaptive"
    normalization: Literal["batch", "image"] = "batch"

    def __post_init__(self):
        require_precision(self.precision)

    @property
    def drop_steps(self) -> tuple[int, int]:
        """The steps from which the rate is a tenth and a hundredth: those of epochs 90 and 120 where a run of 140 is as
        long as this one. Paper: section 5."""
        return math.ceil(self.total_steps * 90 / 140), math.ceil(self.total_steps * 120 / 140)
