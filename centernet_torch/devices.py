"""Devices and processes. The torch side trains in one process, on one device."""

from typing import TypeVar

import numpy as np
import torch

from centernet_data.contract.precision import Device, require_device

State = TypeVar("State")


def find_device(device: Device | None = None) -> torch.device:
    """A device of that kind; by default a GPU if torch finds one. Raises ValueError if there is none."""
    require_device(device)
    if device == "gpu" and not torch.cuda.is_available():
        raise ValueError("--device gpu: torch finds no such device here")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
    """(0, 1): this process, of one. Raises ValueError if several are asked for."""
    if (coordinator, processes, process) != (None, None, None):
        raise ValueError("--coordinator: several processes train together with --backend jax only")
    return 0, 1


def all_gather(values: np.ndarray) -> np.ndarray:
    """The arrays of all processes, which is this one, stacked."""
    return values[None]


def broadcast_from_first(step: int, state: State) -> tuple[int, State]:
    """The step and the state of the first process, which is this one."""
    return step, state
