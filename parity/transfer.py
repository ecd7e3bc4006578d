"""Weights, their average and optimizer state from one backend to the other, exactly: there and back is bit-identical.

The rule for names and layouts is that of the weights file (`centernet_jax.weights.to_torch` and `to_flax`): a path of
Flax modules joined by dots, and 4-dimensional kernels permuted. A moment of Adam has the name and the layout of its
parameter, and so moves by the same rule, as does the moving average. torch's `num_batches_tracked` counts what nothing
here reads; it stays behind.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import Tensor, nn

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.weights_file import check_tensors
from centernet_jax.train import TrainState as JaxState
from centernet_jax.weights import shapes, to_flax, to_torch
from centernet_torch.train import TrainState as TorchState
from centernet_torch.weights import copy_weights, to_numpy
from parity.numerics import torch_device

Variables = dict[str, dict]


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
    """The torch training state in JAX: weights, running statistics, the average of both, Adam's moments and the count
    of steps.

    ValueError names a tensor that the model of `config` has otherwise.
    """
    network = centernet_jax.create_model(config, state.recipe.remat)
    expected = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    check_tensors(shapes(expected), _shapes(to_numpy(state.model)), "the torch model")
    variables = variables_of(state.model)
    mu, nu = moments_of_torch(state)
    opt_state = optax.tree_utils.tree_set(
        centernet_jax.train.create_optimizer(state.recipe).init(variables["params"]),
        count=jnp.asarray(state.step, jnp.int32),
        mu=_to_flax(mu)["params"],
        nu=_to_flax(nu)["params"],
    )
    return JaxState(
        step=jnp.asarray(state.step),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.tree.map(jnp.copy, opt_state),  # both counts are one array, and a step consumes each
        ema=_to_flax({name: _numpy(tensor) for name, tensor in state.ema.items()}),
        model=network,
        recipe=state.recipe,
    )


def to_torch_state(state: JaxState, config: ModelConfig) -> TorchState:
    """The JAX training state in torch: weights, running statistics, the average of both, Adam's moments and the count
    of steps, on the same device. ValueError names a tensor that the model of `config` has otherwise."""
    dtype = getattr(torch, str(jax.tree.leaves(state.params)[0].dtype))
    model = centernet_torch.create_model(config, state.recipe.remat).to(torch_device(), dtype)
    load_variables(model, state.variables)
    optimizer = centernet_torch.train.create_optimizer(model, state.recipe)
    step, (mu, nu) = int(state.step), moments_of(state)
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    for moments in (mu, nu):
        check_tensors(parameters, _shapes(moments), "the moments")
    for name, parameter in model.named_parameters() if step else ():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            "exp_avg": torch.empty_like(parameter).copy_(torch.from_numpy(mu[name].copy())),
            "exp_avg_sq": torch.empty_like(parameter).copy_(torch.from_numpy(nu[name].copy())),
        }
    ema, average = copy_weights(model), to_torch(state.ema)
    check_tensors(_shapes(to_numpy(model)), _shapes(average), "the average")
    for name, tensor in ema.items():
        tensor.copy_(torch.from_numpy(average[name].copy()))
    return TorchState(step, model, optimizer, ema, state.recipe)


def moments_of(state: JaxState) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Adam's first and second moments under their parameters' torch names, in torch's layout."""
    mu, nu = (optax.tree_utils.tree_get(state.opt_state, name) for name in ("mu", "nu"))
    return to_torch({"params": mu}), to_torch({"params": nu})


def moments_of_torch(state: TorchState) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same of a torch state: zeros before the first step, and for what is frozen."""
    moments = {"exp_avg": {}, "exp_avg_sq": {}}
    for name, parameter in state.model.named_parameters():
        adam = state.optimizer.state.get(parameter)
        for kind in moments:
            moments[kind][name] = _numpy(adam[kind] if adam else torch.zeros_like(parameter))
    return moments["exp_avg"], moments["exp_avg_sq"]


def _to_flax(tensors: Mapping[str, np.ndarray]) -> Variables:
    if not jax.config.jax_enable_x64 and any(tensor.dtype == np.float64 for tensor in tensors.values()):
        raise ValueError("float64 weights need JAX's x64 mode (jax.enable_x64)")
    return to_flax(tensors)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _shapes(tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in tensors.items()}
