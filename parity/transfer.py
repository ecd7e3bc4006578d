"""Weights and training states from one backend to the other, exactly: there and back is bit-identical.

States move as the named arrays of a checkpoint (`to_arrays` and `from_arrays` of both backends); weights by the rule of
the weights file (`centernet_jax.weights.to_torch` and `to_flax`). torch's `num_batches_tracked`, which nothing here
reads, stays behind.
"""

from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

import centernet_jax
import centernet_torch
import centernet_torch.optimizer
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import check_tensors
from centernet_jax.devices import devices_of
from centernet_jax.train import TrainState as JaxState
from centernet_jax.weights import dtype_of, to_flax, to_torch
from centernet_torch.train import TrainState as TorchState
from centernet_torch.weights import copy_weights, to_numpy

Variables = dict[str, dict]
Tree = TypeVar("Tree")


def variables_of(module: nn.Module) -> Variables:
    """A torch module's weights as Flax variables {"params": ..., "batch_stats": ...}, of the same precision.

    float64 needs JAX's x64 mode (ValueError without it, where JAX itself would quietly round).
    """
    return _to_flax(to_numpy(module))


def load_variables(module: nn.Module, variables: Mapping) -> None:
    """Fills a torch module with Flax variables. ValueError names a tensor that is missing, extra or misshapen, or
    that the module would round."""
    own, tensors = to_numpy(module), to_torch(variables)
    check_tensors(_shapes(own), _shapes(tensors), "the Flax variables")
    for name, tensor in tensors.items():
        if tensor.dtype != own[name].dtype:
            raise ValueError(f"the Flax variables: tensor {name} is {tensor.dtype}, the module's {own[name].dtype}")
    counters = {name: t for name, t in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict({name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()} | counters)


def to_jax_state(state: TorchState, config: ModelConfig) -> JaxState:
    """The torch training state in JAX, on a device of the same kind and in the same precision.

    Raises ValueError, naming an array that the model of `config` has otherwise.
    """
    arrays, weight = centernet_torch.to_arrays(state), next(state.model.parameters())
    kind = "gpu" if weight.device.type == "cuda" else "cpu"
    fresh = on_one_device(centernet_jax.create_state(config, state.recipe, device=kind))
    return centernet_jax.from_arrays(cast(fresh, str(weight.dtype).removeprefix("torch.")), arrays)


def to_torch_state(state: JaxState, config: ModelConfig) -> TorchState:
    """The JAX training state in torch, on a device of the same kind and in the same precision.

    Raises ValueError, naming an array that the model of `config` has otherwise.
    """
    dtype = getattr(torch, str(dtype_of(state.params)))
    kind = "cpu" if devices_of(state.params)[0].platform == "cpu" else "gpu"
    model = centernet_torch.create_model(config, state.recipe.remat, device=kind).to(dtype)
    optimizer = centernet_torch.optimizer.create_optimizer(model, state.recipe)
    fresh = TorchState(0, model, optimizer, copy_weights(model), state.recipe)
    return centernet_torch.from_arrays(fresh, centernet_jax.to_arrays(state))


def cast(state: Tree, dtype: str) -> Tree:
    """A state, or any part of one, with all its floating point arrays in `dtype`."""

    def one(array):
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(one, state)


def on_one_device(state: Tree) -> Tree:
    """A state, or any part of one, on the first of its devices, as torch's is: a few pictures cannot be split evenly
    over many devices."""
    return jax.device_put(state, devices_of(state)[0])


def _to_flax(tensors: Mapping[str, np.ndarray]) -> Variables:
    x64 = jnp.result_type(float) == jnp.float64
    if not x64 and any(tensor.dtype == np.float64 for tensor in tensors.values()):
        raise ValueError("float64 weights need JAX's x64 mode (jax.enable_x64)")
    return to_flax(tensors)


def _shapes(tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in tensors.items()}
