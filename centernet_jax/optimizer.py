"""The optimizer: AdamW with its learning rate, clipped gradients, and the moving average of the weights."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from centernet_data.contract.recipe import Recipe
from centernet_jax.cpu.reductions import global_norm


def learning_rate(step: ArrayLike, recipe: Recipe) -> Float[Array, ""]:
    """The rate of the optimizer's step number `step`, counted from 0: linear warm-up, then cosine to zero or drops."""
    step = jnp.asarray(step, float)  # optax counts in int32, which JAX would divide in float32 even in x64 mode
    warmup = (step + 1) / max(recipe.warmup_steps, 1)
    progress = (step - recipe.warmup_steps) / max(recipe.total_steps - recipe.warmup_steps, 1)
    cosine = (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 2
    first, second = recipe.drop_steps
    drops = jnp.where(step < first, 1, jnp.where(step < second, 0.1, 0.01))
    falling = cosine if recipe.schedule == "cosine" else drops
    return recipe.learning_rate * jnp.where(step < recipe.warmup_steps, warmup, falling)


def ema_decay(step: ArrayLike, recipe: Recipe) -> Float[Array, ""]:
    """The average's decay at the optimizer's step number `step`, counted from 0: min(d, (1 + step) / (10 + step)).

    So the first weights do not hold a short run back: after t steps the average reaches back about t / 9 steps, until
    that is the window of `recipe.ema_decay`. This is the rule of TensorFlow's `tf.train.ExponentialMovingAverage`
    (`num_updates`).
    """
    step = jnp.asarray(step, float)
    return jnp.minimum(recipe.ema_decay, (1 + step) / (10 + step))


def update_ema(ema: dict, variables: dict, decay: float | Float[Array, ""]) -> dict:
    """decay * ema + (1 - decay) * variables, for weights and batch normalisation's running statistics alike.

    The statistics are averaged too (as in timm's `ModelEma` and TensorFlow's EfficientNet), because those of the last
    weights do not belong to the averaged ones.
    """
    return jax.tree.map(lambda old, new: (new + decay * (old - new)).astype(old.dtype), ema, variables)


def create_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW; kernels decay, biases and batch normalisation do not. The trunk's rate is `recipe.backbone_rate` times
    the others'. Gradients are clipped by the step."""
    return optax.chain(
        optax.adamw(
            lambda step: learning_rate(step, recipe),
            weight_decay=recipe.weight_decay,
            mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
        ),
        optax.masked(optax.scale(recipe.backbone_rate), _is_trunk),
    )


def _is_trunk(params: dict) -> dict:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: [key.key for key in path[:2]] == ["backbone", "resnet"], params
    )


def clip_by_global_norm(gradients: dict, clip_norm: float) -> tuple[dict, Float[Array, ""]]:
    """Scales all gradients so that their common norm is at most `clip_norm`. Returns them and the norm before.

    optax's own returns no norm, and divides by it, which XLA on a CPU does not fuse into the optimizer's arithmetic.
    """
    norm = global_norm(jax.tree.leaves(gradients))
    factor = jnp.where(norm < clip_norm, 1, clip_norm / norm)  # so that NaN spreads to all
    return jax.tree.map(lambda gradient: gradient * factor, gradients), norm
