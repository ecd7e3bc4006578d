"""One step of training, and the state that it carries."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.core import FrozenDict
from jax import lax
from jax.core import Tracer
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from centernet_data.contract.inputs import check_batch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.options import require_instance, require_seed
from centernet_data.contract.precision import Device
from centernet_data.contract.recipe import LOSSES, Recipe
from centernet_jax.convert import host_values
from centernet_jax.cpu.compiler import compiler_options
from centernet_jax.devices import devices_of, find_devices, mesh_of, replicate, shard_batch
from centernet_jax.loss import CenterNetLoss
from centernet_jax.network import CenterNet, normalize_images
from centernet_jax.optimizer import clip_by_global_norm, create_optimizer, ema_decay, learning_rate, update_ema
from centernet_jax.weights import dtype_of, load_resnet

Batch = Mapping[str, Any]  # {"image": UInt8 [B, H, W, 3], "objects": Float [B, N, 6]}, arrays of JAX or numpy
Metrics = dict[str, Float[Array, ""]]


class TrainState(struct.PyTreeNode):
    """Everything that a step changes. `ema` is the moving average of `variables`, from which detectors are made.

    `model` and `recipe` are constants of the compiled step.
    """

    step: Int[Array, ""]
    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    ema: dict
    model: CenterNet = struct.field(pytree_node=False)
    recipe: Recipe = struct.field(pytree_node=False)

    @property
    def variables(self) -> dict:
        """The weights and running statistics, as the model takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_model(config: ModelConfig, remat: bool = False, points_to_objects_kwargs: Mapping = {}) -> CenterNet:
    """The network that `config` describes. `remat` is the trunk's; `points_to_objects_kwargs` is `CenterNet`'s."""
    return CenterNet(
        head_kwargs=FrozenDict(config.head_kwargs),  # frozen, because a module's fields must be hashable
        points_to_objects_kwargs=FrozenDict(points_to_objects_kwargs),
        backbone_kwargs=FrozenDict(config.backbone_kwargs | {"remat": remat}),
    )


def create_state(
    config: ModelConfig,
    recipe: Recipe,
    seed: int = 0,
    pretrained: str | Path | None = None,
    device: Device | None = None,
) -> TrainState:
    """Fresh weights drawn from `seed`, the trunk read from `pretrained` if given, and a fresh optimizer.

    The state lies on every device of the kind `device`, of all processes; by default of the best kind there is. It is
    float32, or in JAX's x64 mode float64 with the same weights. Raises ValueError if there is no such device, and for a
    file that does not fit.
    """
    require_instance("config", config, ModelConfig)
    require_instance("recipe", recipe, Recipe)
    require_seed(seed)
    devices = find_devices(device)
    model = create_model(config, recipe.remat)
    with jax.default_device(jax.local_devices(backend=devices[0].platform)[0]):
        variables = _init(model, jax.random.key(seed))
        if pretrained is not None:
            variables = load_resnet(variables, pretrained, "backbone.resnet.")
        opt_state, ema = _begin(recipe, variables)
        step = jnp.zeros((), int)
    return replicate(TrainState(step, **variables, opt_state=opt_state, ema=ema, model=model, recipe=recipe), devices)


@partial(jax.jit, static_argnums=0)
def _init(model: CenterNet, key: Array) -> dict:
    variables = model.init(key, jnp.zeros((1, 32, 32, 3), jnp.float32))
    return jax.tree.map(lambda array: array.astype(float), variables)


@partial(jax.jit, static_argnums=0)  # one program: array by array they are 40, and a second longer at each start
def _begin(recipe: Recipe, variables: dict) -> tuple[optax.OptState, dict]:
    """A fresh optimizer's state, and the average so far: a copy, because a step consumes both."""
    return create_optimizer(recipe).init(variables["params"]), jax.tree.map(jnp.copy, variables)


def loss_and_gradients(state: TrainState, batch: Batch) -> tuple[Float[Array, "3"], dict, dict]:
    """The three losses as means over the batch, the gradient of their sum by each parameter, and new `batch_stats`."""
    recipe = state.recipe
    loss = CenterNetLoss(normalization=recipe.normalization, targets=recipe.targets, from_logits=True)
    dtype = jnp.dtype("bfloat16") if recipe.precision == "bfloat16" else dtype_of(state.params)

    def loss_fn(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        images = normalize_images(batch["image"], dtype)
        logits, updates = state.model.apply(
            variables,
            images,
            return_logits=True,
            train=True,
            freeze_trunk=recipe.backbone_rate == 0,
            mutable=["batch_stats"],
        )
        losses = loss(logits, batch["objects"]).mean(0)
        return losses.sum(), (losses, updates["batch_stats"])

    gradients, (losses, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    return losses, gradients, batch_stats


def mean_loss_and_gradients(state: TrainState, batch: Batch) -> tuple[Float[Array, "3"], dict, dict]:
    """The means of `loss_and_gradients` over `recipe.accumulate` smaller batches, taken one after the other.

    Batch normalisation normalises each of them separately, and its running statistics move with each. Raises ValueError
    if the batch cannot be split evenly.
    """
    count, pictures = state.recipe.accumulate, len(batch["image"])
    if pictures % count:
        raise ValueError(f"{pictures} pictures a step cannot be split into {count} equal batches")
    if count == 1:
        return loss_and_gradients(state, batch)

    def add(carry, part):
        total, batch_stats = carry
        losses, gradients, batch_stats = loss_and_gradients(state.replace(batch_stats=batch_stats), part)
        return (jax.tree.map(jnp.add, total, gradients), batch_stats), losses

    # Each takes every count-th picture, so that every device holds the same number of each small batch.
    parts = {name: array.reshape(-1, count, *array.shape[1:]).swapaxes(0, 1) for name, array in batch.items()}
    start = jax.tree.map(jnp.zeros_like, state.params), state.batch_stats
    # Within a loop XLA computes convolutions five times as slowly on a CPU.
    (total, batch_stats), losses = lax.scan(add, start, parts, unroll=jax.default_backend() == "cpu")
    return losses.mean(0), jax.tree.map(lambda gradient: gradient / count, total), batch_stats


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """One step of gradient descent. Pure; the memory of the old state is used for the new one.

    Within `jax.jit`, `lax.scan` or another transformation it is a part of that program, which owns the memory.

    batch: {"image": uint8 RGB [B, H, W, 3], "objects": [B, N, 6] in pixels}, device or numpy arrays. On several devices
    each computes its part of the batch, and XLA sums over all of them, batch normalisation's statistics included: the
    result is that of one device. With several processes each gives its part of the batch.
    Metrics: the three losses and their sum (means over the batch), the norm of all gradients together before clipping,
    and the learning rate of this step. Raises ValueError for any other batch, before anything changes.
    """
    check_batch(batch, host_values, state.model.num_classes)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((state, dict(batch)))):
        return _train_step(state, jax.tree.map(jnp.asarray, dict(batch)))
    devices = devices_of(state.params)
    step = _compiled(tuple(devices), dtype_of(state.params))
    return step(state, shard_batch(batch, devices))


@cache
def _compiled(devices: tuple[Any, ...], dtype: jnp.dtype):
    first, *others = devices
    on_each = NamedSharding(mesh_of([first, *others]), P()) if others else None
    options = {"donate_argnums": 0, "compiler_options": compiler_options(first.platform, dtype)}
    return jax.jit(_train_step, out_shardings=on_each, **options)


def _train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    losses, gradients, batch_stats = mean_loss_and_gradients(state, batch)
    state, metrics = apply_gradients(state, gradients, batch_stats)
    return state, dict(zip(LOSSES, losses, strict=True)) | {"loss": losses.sum()} | metrics


def apply_gradients(state: TrainState, gradients: dict, batch_stats: dict) -> tuple[TrainState, Metrics]:
    """What a step does with the gradients of its batch: clips them, moves the weights, and the average after them.

    `batch_stats` are the running statistics after the batch. Metrics: the norm of all gradients together before
    clipping, and the learning rate of this step.
    """
    gradients, norm = clip_by_global_norm(gradients, state.recipe.clip_norm)
    updates, opt_state = create_optimizer(state.recipe).update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    variables = {"params": params, "batch_stats": batch_stats}
    ema = update_ema(state.ema, variables, ema_decay(state.step, state.recipe))
    metrics = {"gradient_norm": norm, "learning_rate": learning_rate(state.step, state.recipe)}
    return state.replace(step=state.step + 1, **variables, opt_state=opt_state, ema=ema), metrics
