"""One step of training, and the state that it carries."""

from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from flax.core import FrozenDict
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, UInt8

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.cpu.primitives import compiler_options, global_norm
from centernet_jax.loss import CenterNetLoss
from centernet_jax.network import CenterNet, normalize_images
from centernet_jax.weights import load_resnet

Batch = dict[str, UInt8[Array | np.ndarray, "b h w 3"] | Float[Array | np.ndarray, "b n 6"]]
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
        return {"params": self.params, "batch_stats": self.batch_stats}


def learning_rate(step: int | Int[Array, ""], recipe: Recipe) -> Float[Array, ""]:
    """The rate of the optimizer's step number `step`, counted from 0: linear warm-up, then cosine to zero or drops."""
    step = jnp.asarray(step, float)  # optax counts in int32, which JAX would divide in float32 even in x64 mode
    warmup = (step + 1) / max(recipe.warmup_steps, 1)
    progress = (step - recipe.warmup_steps) / max(recipe.total_steps - recipe.warmup_steps, 1)
    cosine = (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 2
    first, second = recipe.drop_steps
    drops = jnp.where(step < first, 1, jnp.where(step < second, 0.1, 0.01))
    falling = cosine if recipe.schedule == "cosine" else drops
    return recipe.learning_rate * jnp.where(step < recipe.warmup_steps, warmup, falling)


def ema_decay(step: int | Int[Array, ""], recipe: Recipe) -> Float[Array, ""]:
    """The average's decay at the optimizer's step number `step`, counted from 0: min(d, (1 + step) / (10 + step)).

    So a short run is not held back by its first weights: an average that is t steps old reaches back some t / 9 steps,
    until that is the window of `recipe.ema_decay`. The rule is that of TensorFlow's
    `tf.train.ExponentialMovingAverage` (`num_updates`).
    """
    step = jnp.asarray(step, float)
    return jnp.minimum(recipe.ema_decay, (1 + step) / (10 + step))


def update_ema(ema: dict, variables: dict, decay: float | Float[Array, ""]) -> dict:
    """decay * ema + (1 - decay) * variables, of weights and batch normalisation's running statistics alike.

    The statistics are averaged as well (as in timm's `ModelEma` and TensorFlow's EfficientNet), as those of the last
    weights are not those of the averaged ones.
    """
    return jax.tree.map(lambda old, new: (new + decay * (old - new)).astype(old.dtype), ema, variables)


def create_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW; kernels decay, biases and batch normalisation do not. The trunk's rate is `recipe.backbone_rate` times
    the others'. Gradients are clipped by the step."""
    return optax.chain(
        optax.adamw(
            partial(learning_rate, recipe=recipe),
            weight_decay=recipe.weight_decay,
            mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
        ),
        optax.masked(optax.scale(recipe.backbone_rate), _is_trunk),
    )


def _is_trunk(params: dict) -> dict:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: [key.key for key in path[:2]] == ["backbone", "resnet"], params
    )


def create_model(config: ModelConfig, remat: bool = False, **kwargs) -> CenterNet:
    """The network that `config` describes. `remat` is that of the trunk; `kwargs`: further fields of `CenterNet`."""
    backbone = config.backbone_kwargs | {"remat": remat}
    options = {"head_kwargs": config.head_kwargs, "backbone_kwargs": backbone, **kwargs}
    return CenterNet(**{name: FrozenDict(value) for name, value in options.items()})


def create_state(
    config: ModelConfig, recipe: Recipe, seed: int = 0, pretrained: str | Path | None = None
) -> TrainState:
    """Fresh weights drawn from `seed`, the trunk read from `pretrained` if given, and a fresh optimizer."""
    model = create_model(config, recipe.remat)
    variables = _init(model, jax.random.key(seed))
    if pretrained:
        variables = load_resnet(variables, pretrained, "backbone.resnet.")
    opt_state, ema = _begin(recipe, variables)
    state = TrainState(
        step=jnp.zeros((), int),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=opt_state,
        ema=ema,
        model=model,
        recipe=recipe,
    )
    return on_all_devices(state)


@partial(jax.jit, static_argnums=0)
def _init(model: CenterNet, key: Array) -> dict:
    return model.init(key, jnp.zeros((1, 32, 32, 3)))


@partial(jax.jit, static_argnums=0)  # one program: array by array they are 40, and a second longer at each start
def _begin(recipe: Recipe, variables: dict) -> tuple[optax.OptState, dict]:
    """A fresh optimizer's state, and the average so far: a copy, as a step consumes both."""
    return create_optimizer(recipe).init(variables["params"]), jax.tree.map(jnp.copy, variables)


def clip_by_global_norm(gradients: dict, clip_norm: float) -> tuple[dict, Float[Array, ""]]:
    """Scales all gradients so that their common norm is at most `clip_norm`. Returns them and the norm that they had.

    optax's returns no norm, and divides by it, which XLA on a CPU does not fuse into what the optimizer computes.
    """
    norm = global_norm(jax.tree.leaves(gradients))
    factor = jnp.where(norm < clip_norm, 1, clip_norm / norm)  # so that NaN spreads to all
    return jax.tree.map(lambda gradient: gradient * factor, gradients), norm


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
    """Joins `processes` processes, of which this is number `process`, into one training; returns (process, processes).

    `coordinator` is HOST:PORT of process 0, or "auto" where the cluster's environment tells all three (SLURM, MPI, TPU
    pods: `jax.distributed.initialize`), or None for a process on its own. To be called before anything is computed.
    ValueError if they do not find each other.
    """
    if coordinator is not None:
        known = () if coordinator == "auto" else (coordinator, processes, process)
        try:
            jax.distributed.initialize(*known)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"--coordinator {coordinator}: the processes do not come together: {error}") from error
    return jax.process_index(), jax.process_count()


def all_gather(values: np.ndarray) -> np.ndarray:
    """The arrays of all processes, which are of one shape, stacked in the order of the processes; bit for bit."""
    if jax.process_count() == 1:
        return values[None]
    content = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)  # JAX would round float64
    gathered = np.asarray(multihost_utils.process_allgather(content))
    return np.frombuffer(gathered.tobytes(), values.dtype).reshape(-1, *values.shape)


def broadcast_from_first(step: int, state: TrainState) -> tuple[int, TrainState]:
    """The step and the state of the first process, in all of them."""
    leaves, kind = jax.tree.flatten(state)
    step, leaves = multihost_utils.broadcast_one_to_all((np.array(step), [np.asarray(leaf) for leaf in leaves]))
    return int(step), on_all_devices(jax.tree.unflatten(kind, leaves))


def mesh_of(devices: list[jax.Device]) -> Mesh:
    """The devices in a row, along which a batch is split."""
    return jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)


def replicate(devices: list[jax.Device], tree: dict | TrainState) -> dict | TrainState:
    """Arrays on each of the devices; as they are where there is but one."""
    return jax.device_put(tree, NamedSharding(mesh_of(devices), P())) if len(devices) > 1 else tree


def on_all_devices(state: TrainState) -> TrainState:
    """The state on each device of all processes, as data-parallel training needs it."""
    return replicate(jax.devices(), state)


def shard_batch(batch: Batch) -> Batch:
    """This process's share of a batch as arrays of the whole batch, of which each device holds its part.

    ValueError if the devices cannot have equal parts.
    """
    if jax.device_count() == 1:
        return batch
    share = len(batch["image"])
    if share % jax.local_device_count():
        raise ValueError(f"{share} pictures a step cannot be split evenly over {jax.local_device_count()} devices")
    sharding = NamedSharding(mesh_of(jax.devices()), P("batch"))
    return {name: jax.make_array_from_process_local_data(sharding, np.asarray(batch[name])) for name in batch}


def loss_and_gradients(state: TrainState, batch: Batch) -> tuple[Float[Array, "3"], dict, dict]:
    """The three losses as means over the batch, the gradient of their sum by each parameter, and new `batch_stats`."""
    loss = CenterNetLoss(normalization=state.recipe.normalization, mode=state.recipe.targets, from_logits=True)
    dtype = jnp.dtype("bfloat16") if state.recipe.precision == "bfloat16" else jax.tree.leaves(state.params)[0].dtype

    def loss_fn(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        images = normalize_images(batch["image"], dtype)
        options = {"return_logits": True, "train": True, "freeze_trunk": state.recipe.backbone_rate == 0}
        logits, updates = state.model.apply(variables, images, **options, mutable=["batch_stats"])
        losses = loss(logits, batch["objects"]).mean(0)
        return losses.sum(), (losses, updates["batch_stats"])

    gradients, (losses, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    return losses, gradients, batch_stats


def mean_loss_and_gradients(state: TrainState, batch: Batch) -> tuple[Float[Array, "3"], dict, dict]:
    """The means of `loss_and_gradients` over `recipe.accumulate` smaller batches, taken one after the other.

    ValueError if the batch cannot be split into equal ones. Batch normalisation normalises each by itself, and its
    running statistics move with each.
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

    # Each takes every count-th picture, so that of each the devices have what they have of the whole.
    parts = {name: array.reshape(-1, count, *array.shape[1:]).swapaxes(0, 1) for name, array in batch.items()}
    start = jax.tree.map(jnp.zeros_like, state.params), state.batch_stats
    # XLA computes convolutions within a loop five times as slowly on a CPU.
    (total, batch_stats), losses = lax.scan(add, start, parts, unroll=jax.default_backend() == "cpu")
    return losses.mean(0), jax.tree.map(lambda gradient: gradient / count, total), batch_stats


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    """One step of gradient descent. Pure; the memory of the state that goes in is used for the one that comes out.

    batch: {"image": uint8 RGB [B, H, W, 3], "objects": [B, N, 6] in pixels}, device or numpy arrays. Where there are
    several devices, each computes its part of the batch, and XLA sums over all of them, batch normalisation's
    statistics included: the result is that of one device. With several processes each gives its share of the batch.
    Metrics: the three losses and their sum (means over the batch), the norm of all gradients together before they are
    clipped, and the learning rate of this step.
    """
    return _compiled(jax.default_backend(), jax.tree.leaves(state.params)[0].dtype)(state, shard_batch(batch))


@cache
def _compiled(platform: str, dtype: jnp.dtype):
    on_each = NamedSharding(mesh_of(jax.devices()), P()) if jax.device_count() > 1 else None
    options = {"donate_argnums": 0, "compiler_options": compiler_options(platform, dtype)}
    return jax.jit(_train_step, out_shardings=on_each, **options)


def _train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    losses, gradients, batch_stats = mean_loss_and_gradients(state, batch)
    gradients, norm = clip_by_global_norm(gradients, state.recipe.clip_norm)
    updates, opt_state = create_optimizer(state.recipe).update(gradients, state.opt_state, state.params)
    metrics = dict(zip(("heatmap", "offset", "size"), losses, strict=True))
    metrics |= {"loss": losses.sum(), "gradient_norm": norm}
    metrics |= {"learning_rate": learning_rate(state.step, state.recipe)}
    params = optax.apply_updates(state.params, updates)
    variables = {"params": params, "batch_stats": batch_stats}
    ema = update_ema(state.ema, variables, ema_decay(state.step, state.recipe))
    return state.replace(step=state.step + 1, **variables, opt_state=opt_state, ema=ema), metrics
