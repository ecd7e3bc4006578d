"""The optimizer: AdamW with its learning rate, clipped gradients, and the moving average of the weights."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from centernet_data.contract.recipe import Recipe
from centernet_torch.network import CenterNet


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

    So the first weights do not hold a short run back: after t steps the average reaches back about t / 9 steps, until
    that is the window of `recipe.ema_decay`. This is the rule of TensorFlow's `tf.train.ExponentialMovingAverage`
    (`num_updates`).
    """
    return min(recipe.ema_decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], variables: dict[str, Tensor], decay: float) -> None:
    """decay * ema + (1 - decay) * variables, for weights and batch normalisation's running statistics alike, in place.

    The statistics are averaged too (as in timm's `ModelEma` and TensorFlow's EfficientNet), because those of the last
    weights do not belong to the averaged ones.
    """
    torch._foreach_lerp_(list(ema.values()), [variables[name] for name in ema], 1 - decay)  # pyright: ignore[reportPrivateImportUsage] (has no public name)


def create_optimizer(model: CenterNet, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; kernels decay, biases and batch normalisation do not. The trunk's rate is `recipe.backbone_rate` times
    the others'. Gradients are clipped, and rates set, by the step."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        factor = recipe.backbone_rate if name.startswith("backbone.resnet.") else 1.0
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    named = [{"params": group, "factor": factor, "weight_decay": decay} for (factor, decay), group in groups.items()]
    return torch.optim.AdamW(named, lr=recipe.learning_rate)


def clip_by_global_norm(parameters: list[Tensor], clip_norm: float) -> Float[Tensor, ""]:
    """Scales all gradients so that their common norm is at most `clip_norm`. Returns the norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if not norm < clip_norm:  # so that NaN spreads to all
        torch._foreach_mul_(gradients, clip_norm / norm)  # pyright: ignore[reportPrivateImportUsage] (has no public name)
    return norm
