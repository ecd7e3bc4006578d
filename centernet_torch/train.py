"""One step of training, and the state that it carries."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_torch.loss import CenterNetLoss
from centernet_torch.network import CenterNet, normalize_images
from centernet_torch.weights import copy_weights, load_resnet

Batch = dict[str, UInt8[Tensor | np.ndarray, "b h w 3"] | Float[Tensor | np.ndarray, "b n 6"]]
Metrics = dict[str, Float[Tensor, ""] | float]


class TrainState(NamedTuple):
    """Everything that a step changes; torch changes model, optimizer and average in place. `ema` is the moving average
    of the model's `variables`, from which detectors are made."""

    step: int
    model: CenterNet
    optimizer: torch.optim.AdamW
    ema: dict[str, Tensor]
    recipe: Recipe


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of the optimizer's step number `step`, counted from 0: linear warm-up, then cosine to zero or drops."""
    warmup = (step + 1) / max(recipe.warmup_steps, 1)
    progress = (step - recipe.warmup_steps) / max(recipe.total_steps - recipe.warmup_steps, 1)
    cosine = (1 + math.cos(math.pi * min(max(progress, 0), 1))) / 2
    first, second = recipe.drop_steps
    drops = 1 if step < first else 0.1 if step < second else 0.01
    falling = cosine if recipe.schedule == "cosine" else drops
    return recipe.learning_rate * (warmup if step < recipe.warmup_steps else falling)


def ema_decay(step: int, recipe: Recipe) -> float:
    """The average's decay at the optimizer's step number `step`, counted from 0: min(d, (1 + step) / (10 + step)).

    So a short run is not held back by its first weights: an average that is t steps old reaches back some t / 9 steps,
    until that is the window of `recipe.ema_decay`. The rule is that of TensorFlow's
    `tf.train.ExponentialMovingAverage` (`num_updates`).
    """
    return min(recipe.ema_decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], variables: dict[str, Tensor], decay: float) -> None:
    """decay * ema + (1 - decay) * variables, of weights and batch normalisation's running statistics alike, in place.

    The statistics are averaged as well (as in timm's `ModelEma` and TensorFlow's EfficientNet), as those of the last
    weights are not those of the averaged ones.
    """
    torch._foreach_lerp_(list(ema.values()), [variables[name] for name in ema], 1 - decay)


def create_optimizer(model: CenterNet, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; kernels decay, biases and batch normalisation do not. The trunk's rate is `recipe.backbone_rate` times
    the others'. Gradients are clipped, and rates set, by the step."""
    groups = {}
    for name, parameter in model.named_parameters():
        factor = recipe.backbone_rate if name.startswith("backbone.resnet.") else 1.0
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    named = [{"params": group, "factor": factor, "weight_decay": decay} for (factor, decay), group in groups.items()]
    return torch.optim.AdamW(named, lr=recipe.learning_rate)


def create_model(config: ModelConfig, remat: bool = False, **kwargs) -> CenterNet:
    """The network that `config` describes. `remat` is that of the trunk; `kwargs`: further arguments of `CenterNet`."""
    backbone = config.backbone_kwargs | {"remat": remat}
    model = CenterNet(head_kwargs=config.head_kwargs, backbone_kwargs=backbone, **kwargs)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device, memory_format=torch.channels_last)


def create_state(
    config: ModelConfig, recipe: Recipe, seed: int = 0, pretrained: str | Path | None = None
) -> TrainState:
    """Fresh weights drawn from `seed`, the trunk read from `pretrained` if given, and a fresh optimizer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = create_model(config, recipe.remat)
    if pretrained:
        load_resnet(model.backbone.resnet, pretrained)
    return TrainState(0, model, create_optimizer(model, recipe), copy_weights(model), recipe)


def clip_by_global_norm(parameters: list[Tensor], clip_norm: float) -> Float[Tensor, ""]:
    """Scales all gradients so that their common norm is at most `clip_norm`. Returns the norm that they had."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if not norm < clip_norm:  # so that NaN spreads to all
        torch._foreach_mul_(gradients, clip_norm / norm)
    return norm


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
    """(0, 1): the torch side trains in one process, on one device. ValueError if several are asked for."""
    if coordinator is not None:
        raise ValueError("--coordinator: several processes train together with --backend jax only")
    return 0, 1


def all_gather(values: np.ndarray) -> np.ndarray:
    """The arrays of all processes, which is this one, stacked."""
    return values[None]


def broadcast_from_first(step: int, state: TrainState) -> tuple[int, TrainState]:
    """The step and the state of the first process, which is this one."""
    return step, state


def loss_and_gradients(state: TrainState, batch: Batch) -> Float[Tensor, "3"]:
    """The three losses as means over the batch. Adds the gradient of their sum to each parameter's `grad`, and leaves
    new running statistics in the model."""
    model, recipe = state.model, state.recipe
    loss = CenterNetLoss(normalization=recipe.normalization, mode=recipe.targets, from_logits=True)
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

    ValueError if the batch cannot be split into equal ones. Batch normalisation normalises each by itself, and its
    running statistics move with each.
    """
    count, pictures = state.recipe.accumulate, len(batch["image"])
    if pictures % count:
        raise ValueError(f"{pictures} pictures a step cannot be split into {count} equal batches")
    state.model.zero_grad(set_to_none=True)
    parts = [{name: values[first::count] for name, values in batch.items()} for first in range(count)]
    losses = torch.stack([loss_and_gradients(state, part) for part in parts])
    torch._foreach_div_([p.grad for p in state.model.parameters() if p.grad is not None], count)
    return losses.mean(0)


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """One step of gradient descent. The model, the optimizer and the average of the state change in place.

    batch: {"image": uint8 RGB [B, H, W, 3], "objects": [B, N, 6] in pixels}, tensors or numpy arrays.
    Metrics: the three losses and their sum (means over the batch), the norm of all gradients together before they are
    clipped, and the learning rate of this step.
    """
    losses = mean_loss_and_gradients(state, batch)
    norm = clip_by_global_norm(list(state.model.parameters()), state.recipe.clip_norm)
    rate = learning_rate(state.step, state.recipe)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    state.optimizer.step()
    update_ema(state.ema, state.model.state_dict(), ema_decay(state.step, state.recipe))
    metrics = dict(zip(("heatmap", "offset", "size"), losses, strict=True))
    metrics |= {"loss": losses.sum(), "gradient_norm": norm, "learning_rate": rate}
    return state._replace(step=state.step + 1), metrics
