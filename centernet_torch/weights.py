"""Modules to and from files that hold torch's names and layouts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.torch_file import read_tensors
from centernet_data.contract.weights_file import check_finite, check_tensors, write_model_file


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
    """Fills `module` from the tensors of `model.safetensors`.

    Raises ValueError, naming a tensor that is missing, unknown or of another shape than in the module.
    """
    check_tensors(shapes(module.state_dict()), {name: tensor.shape for name, tensor in tensors.items()}, path)
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


def load_resnet(module: nn.Module, path: str | Path) -> None:
    """Fills a trunk (`HeadlessResnet34`) from a torchvision-format ResNet file.

    The file is a .safetensors or a .pth; a classifier (`fc`) in it is left out, and the precision stays that of the
    module. Raises ValueError, naming a tensor that is missing, unknown, not finite or of another shape, as in a file of
    another depth.
    """
    tensors = {
        name: tensor
        for name, tensor in read_tensors(path).items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    check_finite(tensors, path)
    load_weights(path, tensors, module)
