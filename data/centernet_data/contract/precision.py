"""Number formats and devices, by the names that options and functions take."""

from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]  # what the network computes in; "float32" stands for that of its weights
DType = Literal["float32", "float64"]  # what weights, losses and boxes are kept in
NetworkDType = Literal[DType, "bfloat16"]
Device = Literal["cpu", "gpu"]


def require_precision(precision: str) -> None:
    """Raises ValueError for anything but one of `Precision`."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")
