"""Modules from and to files that hold torch's names and layouts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import check_tensors, write_model_file


def to_numpy(module: nn.Module) -> dict[str, np.ndarray]:
    """The state dict as numpy arrays, without BatchNorm's `num_batches_tracked`, which nothing here reads."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in _without_counters(module.state_dict()).items()}


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict, without BatchNorm's `num_batches_tracked`."""
    return {name: tensor.clone() for name, tensor in _without_counters(module.state_dict()).items()}


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict, counters left out."""
    return {name: tuple(tensor.shape) for name, tensor in _without_counters(tensors).items()}


def save_weights(path: str | Path, module: nn.Module, config: ModelConfig) -> None:
    """Writes `model.safetensors`, which either backend loads."""
    write_model_file(path, to_numpy(module), config)


def load_weights(path: str | Path, tensors: Mapping[str, np.ndarray], module: nn.Module) -> None:
    """Fills `module` from the tensors of `model.safetensors`. ValueError names one that the module has otherwise."""
    check_tensors(shapes(module.state_dict()), {name: tensor.shape for name, tensor in tensors.items()}, path)
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


def load_resnet(module: nn.Module, path: str | Path) -> None:
    """Fills a trunk (`HeadlessResnet34`) from a torchvision-format ResNet file.

    The file is a .safetensors or a .pth; a classifier (`fc`) in it is left out. ValueError names a tensor that is
    missing, unknown or of another shape, as in a file of another depth.
    """
    tensors = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith("fc.")}
    check_tensors(shapes(module.state_dict()), shapes(tensors), path)
    module.load_state_dict(_without_counters(tensors))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a .pth or .safetensors file. ValueError names the file if it holds anything else."""
    path = Path(path)
    try:
        safe = path.suffix == ".safetensors"
        tensors = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except Exception as error:  # torch raises nearly anything for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a file of named tensors ({reason})") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path}: not a state dict: something in it is no tensor")
    return tensors
