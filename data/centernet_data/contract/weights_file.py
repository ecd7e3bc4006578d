"""The neutral weights file: torch's state-dict names and layouts, float32, with the configuration as metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from centernet_data.contract.files import written_beside
from centernet_data.contract.messages import one_line
from centernet_data.contract.model_config import ModelConfig, require_valid_settings
from centernet_data.contract.options import require_file

FORMAT = "centernet"
WHAT = "a model.safetensors that training wrote"

Shape = tuple[int, ...]


def write_model_file(path: str | Path, tensors: Mapping[str, np.ndarray], config: ModelConfig) -> None:
    """Writes `model.safetensors` atomically: if writing fails, the previous file stays."""
    arrays = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    with written_beside(Path(path)) as beside:
        save_file(arrays, beside, metadata={"format": FORMAT, "config": json.dumps(asdict(config))})


def read_model_file(path: str | Path) -> tuple[dict[str, np.ndarray], ModelConfig]:
    """Reads the tensors, by torch name, and the configuration. Raises ValueError unless this project wrote the file."""
    path = require_file(path, WHAT)
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not {WHAT} ({one_line(error)})") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not a model that this project wrote")
    config = _parse_config(path, metadata)
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise ValueError(f"{path}: tensor {name} is of {tensor.dtype}, not float32")
    check_finite(tensors, path)
    return tensors, config


def _parse_config(path: str | Path, metadata: Mapping[str, str]) -> ModelConfig:
    try:
        values = json.loads(metadata["config"])
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        if unknown := values.keys() - {field.name for field in fields(ModelConfig)}:
            raise ValueError(f"unknown settings {sorted(unknown)}")
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        require_valid_settings(settings)
        return ModelConfig(**settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its configuration cannot be read ({error})") from None


def check_finite(tensors: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Raises ValueError, naming the tensor, if one holds NaN or infinity: with those, nothing would be found."""
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{path}: tensor {name} holds values that are not finite")


def check_tensors(expected: Mapping[str, Shape], found: Mapping[str, Shape], path: str | Path) -> None:
    """Raises ValueError, naming the tensor, if one is missing, unknown or of the wrong shape.

    `expected` and `found` map torch names to shapes.
    """
    for names, what in ((expected.keys() - found.keys(), "missing"), (found.keys() - expected.keys(), "unknown")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"{path}: {what} tensor {min(names)}{more}")
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise ValueError(f"{path}: tensor {name} has shape {tuple(found[name])}, the model needs {tuple(shape)}")
