"""How a network is trained, in both backends."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """AdamW with a linear warm-up, a cosine decay to zero, clipped gradients and an average of the weights.

    The schedule counts optimizer steps, of which each takes the mean gradient of `accumulate` batches. Weight decay is
    decoupled and spares biases and batch normalisation; `clip_norm` bounds the norm of all gradients together.
    `ema_decay` is that of the weights' exponential moving average, from which detectors are made; 0 makes it the
    weights themselves. `targets` and `normalization` are those of the loss.
    """

    learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    weight_decay: float = 1e-4
    clip_norm: float = 35.0
    ema_decay: float = 0.999
    accumulate: int = 1
    targets: Literal["adaptive", "exact", "fixed"] = "adaptive"
    normalization: Literal["batch", "image"] = "batch"
