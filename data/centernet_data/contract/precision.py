"""The names of number formats and devices in options and function arguments."""

from typing import Any, Literal, get_args

from centernet_data.contract.options import require_choice

Precision = Literal["float32", "bfloat16"]  # of the network's computation; "float32" means the dtype of its weights
DType = Literal["float32", "float64"]  # of weights, losses and boxes
NetworkDType = Literal[DType, "bfloat16"]
Device = Literal["cpu", "gpu"]


def require_precision(precision: Any) -> None:
    """Raises ValueError unless `precision` is one of `Precision`."""
    require_choice("precision", precision, get_args(Precision))


def require_device(device: Any) -> None:
    """Raises ValueError unless `device` is None or one of `Device`."""
    if device is not None:
        require_choice("device", device, get_args(Device))
