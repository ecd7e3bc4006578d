"""What each backend computes on the way from images to gradients, under torch's names and in NHWC layout."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import linen as nn

import centernet_jax
import centernet_jax.train
import centernet_torch
import centernet_torch.train
from centernet_data.contract.recipe import LOSSES
from centernet_jax.backbone import STAGE_SIZES
from centernet_jax.train import TrainState as JaxState
from centernet_jax.weights import dtype_of, to_torch, torch_name
from centernet_torch.train import TrainState as TorchState
from centernet_torch.weights import to_numpy

Tensors = dict[str, np.ndarray]


def forward_stages(depth: int) -> dict[str, str]:
    """The stages of the forward pass in order: the name of each, and the module whose output it is.

    The stem ends after the pool, which is not a module, so its output is taken as the first block's input.
    """
    trunk = {f"layer{i}": f"backbone.resnet.layer{i}.{n - 1}" for i, n in enumerate(STAGE_SIZES[depth], 1)}
    neck = {f"upscale {i}": f"backbone.upscale.{i}" for i in range(3)}
    return {"stem": "into backbone.resnet.layer1.0"} | trunk | neck | {"head": "head"}


def parameter_stage(name: str) -> str:
    """The stage of the forward pass that a parameter belongs to."""
    if name.startswith("head."):
        return "head"
    if name.startswith("backbone.upscale."):
        return f"upscale {name.split('.')[2]}"
    layer = name.split(".")[2]
    return layer if layer.startswith("layer") else "stem"


def of_stage(tensors: Tensors, stage: str) -> Tensors:
    """Those of the parameters, or of anything else by their names, that belong to a stage."""
    return {name: tensor for name, tensor in tensors.items() if parameter_stage(name) == stage}


def jax_forward(state: JaxState, images: np.ndarray, train: bool) -> Tensors:
    """Every module's output for uint8 images, by the module's torch name, and its input as "into NAME"."""
    return jax.device_get(_jax_forward(state.model, state.variables, images, train))


@partial(jax.jit, static_argnames=("model", "train"))
def _jax_forward(model, variables: Mapping, images, train: bool):
    taken = {}

    def tap(call, args, kwargs, context):
        result = call(*args, **kwargs)
        if context.method_name == "__call__" and args:
            name = torch_name(*context.module.path)
            taken.setdefault(name, result)
            taken.setdefault(f"into {name}", args[0])
        return result

    with nn.intercept_methods(tap):
        images = centernet_jax.normalize_images(images, dtype_of(variables))
        model.apply(variables, images, train=train, return_logits=True, mutable=["batch_stats"])
    return taken | {"images": images}


@torch.no_grad()
def torch_forward(state: TorchState, images: np.ndarray, train: bool) -> Tensors:
    """The same, in NHWC. Leaves the model's running statistics unchanged."""
    model, taken, hooks = state.model, {}, []
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(partial(_tap, taken, name)))
    device, dtype = next(model.parameters()).device, next(model.parameters()).dtype
    normalized = centernet_torch.normalize_images(torch.as_tensor(images, device=device), dtype)
    model.train(train)(normalized, return_logits=True)
    for hook in hooks:
        hook.remove()
    model.load_state_dict(kept)
    return {name: nhwc(tensor) for name, tensor in (taken | {"images": normalized}).items()}


def _tap(taken: dict, name: str, module, args: tuple, result) -> None:
    # No later layer overwrites either of them in place, so nothing is copied.
    taken.setdefault(name, result)
    taken.setdefault(f"into {name}", args[0])


def nhwc(tensor: torch.Tensor) -> np.ndarray:
    """A map [B, C, H, W] in JAX's layout; any other tensor unchanged."""
    tensor = tensor.detach()
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).cpu().numpy()


def jax_gradients(state: JaxState, batch: dict) -> tuple[Tensors, Tensors, Tensors]:
    """The losses, the gradient of every parameter, and the running statistics after one batch."""
    return by_torch_name(*jax.device_get(_jax_gradients(state, batch)))


def by_torch_name(losses, gradients: dict, batch_stats: dict) -> tuple[Tensors, Tensors, Tensors]:
    """What JAX's `loss_and_gradients` returns, under torch's names."""
    return by_name(losses), to_torch({"params": gradients}), to_torch({"batch_stats": batch_stats})


@jax.jit
def _jax_gradients(state: JaxState, batch: dict):
    return centernet_jax.train.loss_and_gradients(state, batch)


def torch_gradients(state: TorchState, batch: dict) -> tuple[Tensors, Tensors, Tensors]:
    """The same, in torch. Leaves the model's running statistics unchanged."""
    kept = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    state.model.zero_grad(set_to_none=True)
    losses = centernet_torch.train.loss_and_gradients(state, batch)
    parameters = dict(state.model.named_parameters())
    gradients = {n: (torch.zeros_like(p) if p.grad is None else p.grad).cpu().numpy() for n, p in parameters.items()}
    statistics = {name: value.copy() for name, value in to_numpy(state.model).items() if "running" in name}
    state.model.load_state_dict(kept)
    return by_name(losses.cpu().numpy()), gradients, statistics


def by_name(losses) -> Tensors:
    return dict(zip(LOSSES, map(np.asarray, losses), strict=True))


def jax_copy(state: JaxState) -> JaxState:
    """A copy of a state, for a training step to consume."""
    return jax.tree.map(jnp.copy, state)
