"""The names of number formats and devices in options and function arguments."""

from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]  # of the network's computation; "float32" means the dtype of its weights
DType = Literal["float32", "float64"]  # of weights, losses and boxes
NetworkDType = Literal[DType, "bfloat16"]
Device = Literal["cpu", "gpu"]


def require_precision(precision: str) -> None:
    """Raises ValueError unless `precision` is one of `Precision`."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")
