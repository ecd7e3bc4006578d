"""What a measurement depends on: versions, processor, threads; and its date."""

import os
import platform
import re
from datetime import date
from pathlib import Path

import jax
import torch

from centernet_data.contract.precision import Device


def machine(device: Device) -> dict[str, str | int]:
    """Everything by name that the options do not say. `device` is where both backends compute."""
    found = {
        "date": date.today().isoformat(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "torch": torch.__version__,
    }
    return found | ({"gpu": torch.cuda.get_device_name()} if device == "gpu" else {})


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return named[1] if named else platform.processor() or platform.machine()
