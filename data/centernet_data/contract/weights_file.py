"""The neutral weights file: torch's state-dict names and layouts, float32, the configuration in its metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from centernet_data.contract.files import written_beside

FORMAT = "centernet"


@dataclass(frozen=True)
class ModelConfig:
    """What must be known of a model to build it and to feed it. `image_size` is (height, width) in pixels."""

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Literal["letterbox", "stretch"] = "letterbox"
    depth: int = 34
    hidden_channels: tuple[int, int] = (256, 128)
    out_channels: int = 64
    kernel_size: int = 3
    head_channels: int = 64

    @property
    def backbone_kwargs(self) -> dict:
        names = ("depth", "hidden_channels", "out_channels", "kernel_size")
        return {name: getattr(self, name) for name in names}

    @property
    def head_kwargs(self) -> dict:
        return {
            "k_in_channels": self.out_channels,
            "c_classes": len(self.classes),
            "hidden_channels": self.head_channels,
        }


def write_model_file(path: str | Path, tensors: Mapping[str, np.ndarray], config: ModelConfig) -> None:
    """Writes beside `path` and renames, so that a failure leaves what was there before."""
    arrays = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    with written_beside(Path(path)) as beside:
        save_file(arrays, beside, metadata={"format": FORMAT, "config": json.dumps(asdict(config))})


def read_model_file(path: str | Path) -> tuple[dict[str, np.ndarray], ModelConfig]:
    """Tensors by their torch names, and the configuration. ValueError if it is no model file of this project."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is no dict)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such model file") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a model.safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not a model that this project wrote")
    return tensors, _parse_config(path, metadata)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


_IS_GOOD = {  # what the types of ModelConfig promise, for values that come out of a file
    "classes": lambda value: isinstance(value, list) and value and all(isinstance(name, str) for name in value),
    "image_size": lambda value: _is_pair(value) and all(side % 32 == 0 for side in value),
    "resize": lambda value: value in ("letterbox", "stretch"),
    "depth": lambda value: value in (18, 34),
    "hidden_channels": _is_pair,
    "out_channels": _is_count,
    "kernel_size": lambda value: value in (3, 4),
    "head_channels": _is_count,
}


def _parse_config(path: str | Path, metadata: Mapping[str, str]) -> ModelConfig:
    try:
        values = json.loads(metadata["config"])
        if not isinstance(values, dict):
            raise ValueError("it is no object with named values")
        if unknown := values.keys() - _IS_GOOD.keys():
            raise ValueError(f"unknown settings {sorted(unknown)}")
        if wrong := [name for name, value in values.items() if not _IS_GOOD[name](value)]:
            raise ValueError(f"{wrong[0]} is {values[wrong[0]]!r}")
        return ModelConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its configuration cannot be read ({error})") from None


def check_tensors(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], path: str | Path
) -> None:
    """ValueError that names a missing, extra or misshapen tensor. Both arguments: torch names to shapes."""
    for names, what in ((expected.keys() - found.keys(), "lacks"), (found.keys() - expected.keys(), "has unknown")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"{path}: it {what} tensor {min(names)}{more}")
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise ValueError(f"{path}: tensor {name} has shape {tuple(found[name])}, the model needs {tuple(shape)}")
