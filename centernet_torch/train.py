"""One step of training, and the state that it carries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from centernet_data.contract.inputs import check_batch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.options import require_instance, require_seed
from centernet_data.contract.precision import Device
from centernet_data.contract.recipe import LOSSES, Recipe
from centernet_torch.convert import host_values
from centernet_torch.devices import find_device
from centernet_torch.loss import CenterNetLoss
from centernet_torch.network import CenterNet, normalize_images
from centernet_torch.optimizer import clip_by_global_norm, create_optimizer, ema_decay, learning_rate, update_ema
from centernet_torch.weights import copy_weights, load_resnet

Batch = Mapping[str, Any]  # {"image": UInt8 [B, H, W, 3], "objects": Float [B, N, 6]}, tensors or numpy arrays
Metrics = dict[str, Float[Tensor, ""] | float]


class TrainState(NamedTuple):
    """Everything that a step changes; torch changes model, optimizer and average in place. `ema` is the moving average
    of the model's weights and running statistics, from which detectors are made."""

    step: int
    model: CenterNet
    optimizer: torch.optim.AdamW
    ema: dict[str, Tensor]
    recipe: Recipe


def create_model(
    config: ModelConfig, remat: bool = False, points_to_objects_kwargs: Mapping = {}, device: Device | None = None
) -> CenterNet:
    """The network that `config` describes, on a device of that kind; by default of the best kind there is.

    `remat` is the trunk's; `points_to_objects_kwargs` is `CenterNet`'s. Raises ValueError if there is no such device.
    """
    model = CenterNet(
        head_kwargs=config.head_kwargs,
        points_to_objects_kwargs=points_to_objects_kwargs,
        backbone_kwargs=config.backbone_kwargs | {"remat": remat},
    )
    model = model.to(find_device(device))
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's overloads lack it)


def create_state(
    config: ModelConfig,
    recipe: Recipe,
    seed: int = 0,
    pretrained: str | Path | None = None,
    device: Device | None = None,
) -> TrainState:
    """Fresh weights drawn from `seed`, the trunk read from `pretrained` if given, and a fresh optimizer.

    The state lies on a device of the kind `device`; by default of the best kind there is. Raises ValueError if there is
    no such device, and for a file that does not fit.
    """
    require_instance("config", config, ModelConfig)
    require_instance("recipe", recipe, Recipe)
    require_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = create_model(config, recipe.remat, device=device)
    if pretrained is not None:
        load_resnet(model.backbone.resnet, pretrained)
    return TrainState(0, model, create_optimizer(model, recipe), copy_weights(model), recipe)


def loss_and_gradients(state: TrainState, batch: Batch) -> Float[Tensor, "3"]:
    """The three losses as means over the batch. Adds the gradient of their sum to each parameter's `grad`, and leaves
    new running statistics in the model."""
    model, recipe = state.model, state.recipe
    loss = CenterNetLoss(normalization=recipe.normalization, targets=recipe.targets, from_logits=True)
    weight = next(model.parameters())
    batch = {name: torch.as_tensor(value, device=weight.device) for name, value in batch.items()}
    images = normalize_images(batch["image"], weight.dtype)

    model.train()
    trains = recipe.backbone_rate > 0
    model.backbone.resnet.train(trains).requires_grad_(trains)  # frozen, it normalises by its running statistics
    with torch.autocast(weight.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits = model(images, return_logits=True)
    losses = loss(logits, batch["objects"]).mean(0)
    losses.sum().backward()
    return losses.detach()


def mean_loss_and_gradients(state: TrainState, batch: Batch) -> Float[Tensor, "3"]:
    """The means of `loss_and_gradients` over `recipe.accumulate` smaller batches, taken one after the other.

    Batch normalisation normalises each of them separately, and its running statistics move with each. Raises ValueError
    if the batch cannot be split evenly.
    """
    count, pictures = state.recipe.accumulate, len(batch["image"])
    if pictures % count:
        raise ValueError(f"{pictures} pictures a step cannot be split into {count} equal batches")
    state.model.zero_grad(set_to_none=True)
    parts = [{name: values[first::count] for name, values in batch.items()} for first in range(count)]
    losses = torch.stack([loss_and_gradients(state, part) for part in parts])
    torch._foreach_div_([p.grad for p in state.model.parameters() if p.grad is not None], count)  # pyright: ignore[reportPrivateImportUsage] (has no public name)
    return losses.mean(0)


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """One step of gradient descent. The model, the optimizer and the average of the state change in place.

    batch: {"image": uint8 RGB [B, H, W, 3], "objects": [B, N, 6] in pixels}, tensors or numpy arrays.
    Metrics: the three losses and their sum (means over the batch), the norm of all gradients together before clipping,
    and the learning rate of this step. Raises ValueError for any other batch, before anything changes.
    """
    check_batch(batch, host_values, state.model.num_classes)
    losses = mean_loss_and_gradients(state, batch)
    state, metrics = apply_gradients(state)
    return state, dict(zip(LOSSES, losses, strict=True)) | {"loss": losses.sum()} | metrics


def apply_gradients(state: TrainState) -> tuple[TrainState, Metrics]:
    """What a step does with the gradients of its batch: clips them, moves the weights, and the average after them.

    The gradients are each parameter's `grad`, the running statistics after the batch those of the model. Metrics: the
    norm of all gradients together before clipping, and the learning rate of this step.
    """
    norm = clip_by_global_norm(list(state.model.parameters()), state.recipe.clip_norm)
    rate = learning_rate(state.step, state.recipe)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    state.optimizer.step()
    update_ema(state.ema, state.model.state_dict(), ema_decay(state.step, state.recipe))
    return state._replace(step=state.step + 1), {"gradient_norm": norm, "learning_rate": rate}
