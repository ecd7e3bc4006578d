"""One training state in both backends."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import torch

import centernet_jax
import centernet_jax.optimizer
import centernet_torch
import centernet_torch.optimizer
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device, DType
from centernet_data.contract.recipe import Recipe
from centernet_jax.train import TrainState as JaxState
from centernet_jax.weights import dtype_of
from centernet_torch.train import TrainState as TorchState
from centernet_torch.weights import copy_weights
from parity.transfer import cast, on_one_device, to_torch_state


class Pair(NamedTuple):
    """A training state in both backends, on one device in each."""

    config: ModelConfig
    jax: JaxState
    torch: TorchState

    @property
    def dtype(self) -> DType:
        """The precision of the weights."""
        return "float64" if dtype_of(self.jax.params) == jnp.float64 else "float32"

    @classmethod
    def fresh(
        cls, config: ModelConfig, recipe: Recipe, seed: int = 0, dtype: DType = "float32", device: Device = "cpu"
    ) -> "Pair":
        """Weights drawn by JAX and copied to torch."""
        state = on_one_device(cast(centernet_jax.create_state(config, recipe, seed, device=device), dtype))
        return cls(config, state, to_torch_state(state, config))

    def with_recipe(self, recipe: Recipe) -> "Pair":
        """The same fresh weights, to be trained by another recipe. For a pair that has taken no step."""
        network = centernet_jax.create_model(self.config, recipe.remat)
        return same_weights(self._replace(jax=self.jax.replace(model=network, recipe=recipe)))

    def with_dtype(self, dtype: DType) -> "Pair":
        """The same weights in another precision."""
        state = cast(self.jax, dtype)
        step = jnp.asarray(int(state.step))  # JAX's integers are wider in x64 mode
        return same_weights(self._replace(jax=on_one_device(state.replace(step=step))))

    @classmethod
    def load(cls, path: str | Path, recipe: Recipe, dtype: DType = "float32", device: Device = "cpu") -> "Pair":
        """The weights of a `model.safetensors` as each backend itself reads them, with a fresh optimizer.

        Raises ValueError, naming the file, if it holds no such model.
        """
        detector, other = centernet_jax.load(path, device=device), centernet_torch.load(path, device=device)
        variables = on_one_device(detector.variables)
        params, batch_stats = (cast(variables[name], dtype) for name in ("params", "batch_stats"))
        opt_state = centernet_jax.optimizer.create_optimizer(recipe).init(params)
        network = centernet_jax.create_model(detector.config)
        ema = jax.tree.map(jnp.copy, {"params": params, "batch_stats": batch_stats})
        ours = JaxState(jnp.zeros((), int), params, batch_stats, opt_state, ema, network, recipe)
        model = centernet_torch.create_model(detector.config, device=device).to(getattr(torch, dtype))
        model.load_state_dict(other.model.state_dict())
        optimizer = centernet_torch.optimizer.create_optimizer(model, recipe)
        theirs = TorchState(0, model, optimizer, copy_weights(model), recipe)
        return cls(detector.config, ours, theirs)


def same_weights(pair: Pair) -> Pair:
    """JAX's state in both, as after a training that took the two a little apart."""
    return Pair(pair.config, pair.jax, to_torch_state(pair.jax, pair.config))
