"""How far the two backends may differ."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Largest allowed differences, relative to the largest value of the stage: for a forward pass and its losses, for
    gradients, after steps from given gradients, after one training step (its metrics, and the rest), and after many."""

    forward: float
    gradients: float
    update: float
    metrics: float
    step: float
    training: float


# README.md explains those of float32: each backend's own rounding, the ReLUs that it flips, and Adam.
BOUNDS = {
    "float64": Bounds(1e-10, 1e-10, 1e-10, 1e-8, 1e-8, 1e-8),
    "float32": Bounds(1e-4, 0.25, 1e-6, 0.03, 0.25, math.inf),
}
