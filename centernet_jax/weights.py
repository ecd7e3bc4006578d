"""Flax variables to and from files that hold torch's names and layouts, without torch."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.torch_file import read_tensors
from centernet_data.contract.weights_file import check_finite, check_tensors, write_model_file

# The one rule. Flax: (collection, *modules, leaf); torch: modules.leaf, list members as "layer1.0" for "layer1_0".
# A kernel, of a transposed convolution too, is torch's weight permuted by (2, 3, 1, 0); (3, 2, 0, 1) is the inverse.
TORCH_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
TO_FLAX, TO_TORCH = (2, 3, 1, 0), (3, 2, 0, 1)


def torch_name(*modules: str) -> str:
    """The dotted torch name of nested Flax modules, "layer1.0" for "layer1_0"."""
    return ".".join(re.sub(r"_(\d+)$", r".\1", module) for module in modules)


def to_torch(variables: Mapping) -> dict[str, np.ndarray]:
    """Flax variables {"params": ..., "batch_stats": ...} as a torch state dict of numpy arrays."""
    named = _by_torch_name(jax.device_get(variables))
    return {name: value.transpose(TO_TORCH) if value.ndim == 4 else value for name, value in named}


def to_flax(tensors: Mapping[str, np.ndarray]) -> dict:
    """A torch state dict of numpy arrays as Flax variables. torch's `num_batches_tracked` has no counterpart."""
    variables = {}
    for name, value in tensors.items():
        *modules, leaf = re.sub(r"\.(\d+)\b", r"_\1", name).split(".")
        if leaf == "num_batches_tracked":
            continue
        statistic = leaf.startswith("running_")
        if statistic:
            leaf = leaf.removeprefix("running_")
        elif leaf == "weight":
            leaf = "kernel" if value.ndim == 4 else "scale"
        path = ("batch_stats" if statistic else "params", *modules, leaf)
        variables[path] = jnp.asarray(value.transpose(TO_FLAX) if value.ndim == 4 else value)
    return unflatten_dict(variables)


def shapes(variables: Mapping) -> dict[str, tuple[int, ...]]:
    """The torch names and shapes of Flax variables, which may be abstract (`jax.eval_shape`)."""
    named = _by_torch_name(variables)
    return {name: tuple(x.shape[i] for i in TO_TORCH) if x.ndim == 4 else x.shape for name, x in named}


def _by_torch_name(variables: Mapping) -> Iterator[tuple[str, Any]]:
    for (_, *modules, leaf), value in flatten_dict(variables).items():
        yield torch_name(*modules, TORCH_LEAF[leaf]), value


def dtype_of(variables: object) -> jnp.dtype:
    """The precision of Flax variables, or of any part of them."""
    return jax.tree.leaves(variables)[0].dtype


def save_weights(path: str | Path, variables: Mapping, config: ModelConfig) -> None:
    """Writes `model.safetensors`, which either backend loads."""
    write_model_file(path, to_torch(variables), config)


def load_weights(path: str | Path, tensors: Mapping[str, np.ndarray], expected: Mapping) -> dict:
    """Flax variables from the tensors of `model.safetensors`.

    Raises ValueError, naming a tensor that is missing, unknown or of another shape than in `expected`.
    """
    check_tensors(shapes(expected), {name: tensor.shape for name, tensor in tensors.items()}, path)
    return to_flax(tensors)


def load_resnet(variables: Mapping, path: str | Path, prefix: str) -> dict:
    """`variables` with the trunk under `prefix` ("backbone.resnet.") taken from a torchvision-format ResNet file.

    The file is a .safetensors or a .pth; a classifier (`fc`) in it is left out, and the precision stays that of
    `variables`. Raises ValueError, naming a tensor that is missing, unknown, not finite or of another shape, as in a
    file of another depth.
    """
    tensors = {
        prefix + name: tensor
        for name, tensor in read_tensors(path).items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    trunk = {name: shape for name, shape in shapes(variables).items() if name.startswith(prefix)}
    check_tensors(trunk, {name: tensor.shape for name, tensor in tensors.items()}, path)
    check_finite(tensors, path)
    read = jax.tree.map(lambda array: array.astype(dtype_of(variables)), to_flax(tensors))
    return unflatten_dict({**flatten_dict(variables), **flatten_dict(read)})
