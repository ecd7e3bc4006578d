"""Steps of training in both backends: from the same batches, and from the same gradients."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import centernet_jax
import centernet_jax.optimizer
import centernet_jax.train
import centernet_torch
import centernet_torch.optimizer
import centernet_torch.train
from centernet_data.batches import Batch
from centernet_data.contract.checkpoint import part_of
from centernet_data.contract.recipe import Recipe, Schedule
from centernet_jax.weights import to_flax
from centernet_torch.weights import copy_weights
from parity import stages
from parity.difference import Difference, difference, worst
from parity.pair import Pair
from parity.stages import Tensors

Metrics = dict[str, np.ndarray]


def compare_learning_rates(recipe: Recipe) -> Iterator[Difference]:
    """Both schedules, at every step and some after the last."""
    steps, ours, theirs = range(recipe.total_steps + 3), {}, {}
    for schedule in get_args(Schedule):
        scheduled = replace(recipe, schedule=schedule)
        # optax counts in int32
        own = jax.vmap(partial(centernet_jax.optimizer.learning_rate, recipe=scheduled))(jnp.array(steps, jnp.int32))
        ours[schedule] = np.asarray(own, float)
        theirs[schedule] = np.array([centernet_torch.optimizer.learning_rate(step, scheduled) for step in steps], float)
    bound = 1e-12 if jnp.result_type(float) == jnp.float64 else 1e-6
    yield difference("learning rate", ours, theirs, bound)


def train(pair: Pair, batches: Sequence[Batch]) -> tuple[Pair, Metrics, Metrics]:
    """Takes a step on each batch in both backends. Leaves the given states unchanged.

    Returns the new states, then JAX's and torch's metrics of all steps by name.
    """
    ours, theirs = stages.jax_copy(pair.jax), copy.deepcopy(pair.torch)
    history = []
    for batch in batches:
        ours, metrics = centernet_jax.train_step(ours, batch)
        theirs, other = centernet_torch.train_step(theirs, batch)
        history.append((jax.device_get(metrics), other))
    return Pair(pair.config, ours, theirs), *_by_metric(history)


def _by_metric(history: Sequence[tuple[dict, dict]]) -> tuple[Metrics, Metrics]:
    names = history[0][1]
    own, other = ({name: np.array([float(line[side][name]) for line in history]) for name in names} for side in (0, 1))
    return own, other


def apply_made_up_gradients(pair: Pair, steps: int) -> tuple[Pair, Metrics, Metrics]:
    """The same as `train`, but with made-up gradients and running statistics, the same in both backends: no ReLU can
    flip and no rounding of a network comes in. Every other gradient's norm is half the recipe's limit, the rest are
    twice as large as that limit."""
    ours, theirs = stages.jax_copy(pair.jax), copy.deepcopy(pair.torch)
    apply, history = jax.jit(centernet_jax.train.apply_gradients), []
    for step in range(steps):
        tensors = _made_up_gradients(pair, step)
        variables = to_flax(tensors)
        ours, metrics = apply(ours, variables["params"], variables["batch_stats"])
        _give(theirs.model, tensors)
        theirs, other = centernet_torch.train.apply_gradients(theirs)
        history.append((jax.device_get(metrics), other))
    return Pair(pair.config, ours, theirs), *_by_metric(history)


def _made_up_gradients(pair: Pair, step: int) -> Tensors:
    """By torch's names: a gradient for every parameter, and running statistics."""
    rng = np.random.default_rng(step)
    model = pair.torch.model
    shapes = {name: tuple(tensor.shape) for name, tensor in copy_weights(model).items()}
    # At most some thousand numbers of each are not 0: torch's float32 sum of the squares of a million is off by 3e-5.
    drawn = {name: _sparse(rng, shape) for name, shape in shapes.items()}
    norm = sum(float((drawn[name] ** 2).sum()) for name, _ in model.named_parameters()) ** 0.5
    scale = pair.torch.recipe.clip_norm / norm * (0.5 if step % 2 else 2)
    made_up = {n: 0.5 + np.abs(tensor) if "running" in n else scale * tensor for n, tensor in drawn.items()}
    return {name: tensor.astype(pair.dtype) for name, tensor in made_up.items()}


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.zeros(math.prod(shape), np.float32)
    numbers[:: math.ceil(numbers.size / 2000)] = 1
    return (numbers * rng.standard_normal(numbers.size, np.float32)).reshape(shape)


def _give(model: torch.nn.Module, tensors: Tensors) -> None:
    """Puts made-up gradients and running statistics in their places."""
    for name, parameter in model.named_parameters():
        parameter.grad = torch.from_numpy(tensors[name]).to(parameter.device)
    statistics = {name: torch.from_numpy(tensor) for name, tensor in tensors.items() if "running" in name}
    model.load_state_dict(statistics, strict=False)


def compare_trained(
    pair: Pair, ours: Metrics, theirs: Metrics, bound: float, name: str, of_metrics: float | None = None
) -> Iterator[Difference]:
    """Metrics of all steps, then the state after the last: Adam's moments, parameters, running statistics, the average
    of both, and the step counts. `of_metrics`: the bound of the metrics, if theirs is another."""
    of_metrics = bound if of_metrics is None else of_metrics
    for metric in ("learning_rate", "loss", "gradient_norm"):
        if metric in theirs:
            yield difference(f"{name}: {metric}", {metric: ours[metric]}, {metric: theirs[metric]}, of_metrics)
    arrays, others = centernet_jax.to_arrays(pair.jax), centernet_torch.to_arrays(pair.torch)
    for key in ("exp_avg", "exp_avg_sq"):
        moment, other = part_of(arrays, key), part_of(others, key)
        # Each stage against its own largest value: squared gradients of the trunk are tiny compared with the head's.
        yield worst(
            difference(f"{name}: {key}", stages.of_stage(moment, stage), stages.of_stage(other, stage), bound)
            for stage in stages.forward_stages(pair.config.depth)
        )
    weights, other = part_of(arrays, "model"), part_of(others, "model")
    for kind, is_statistic in (("parameters", False), ("running statistics", True)):
        own, theirs_ = (
            {n: t for n, t in side.items() if ("running" in n) == is_statistic} for side in (weights, other)
        )
        yield difference(f"{name}: {kind}", own, theirs_, bound)
    yield difference(f"{name}: average", part_of(arrays, "ema"), part_of(others, "ema"), bound)
    yield _counts(pair, name)


def _counts(pair: Pair, name: str) -> Difference:
    """How many steps each backend counts, its optimizer included."""
    counts = {"step": int(pair.jax.step)}
    for path, count in optax.tree_utils.tree_get_all_with_path(pair.jax.opt_state, "count"):
        counts[f"of the optimizer{jax.tree_util.keystr(path)}"] = int(count)
    moved = [p for p in pair.torch.model.parameters() if p.grad is not None]
    (step,) = {int(pair.torch.optimizer.state[p]["step"]) for p in moved}
    return difference(f"{name}: count", counts, dict.fromkeys(counts, step) | {"step": pair.torch.step}, 0)


def resumed(trained: Pair, fresh: Pair) -> Pair:
    """The trained states as a resumed run has them: through the named arrays of a checkpoint into fresh states."""
    ours = centernet_jax.from_arrays(fresh.jax, centernet_jax.to_arrays(trained.jax))
    theirs = centernet_torch.from_arrays(copy.deepcopy(fresh.torch), centernet_torch.to_arrays(trained.torch))
    return Pair(trained.config, ours, theirs)


def compare_resumed(trained: Pair, fresh: Pair) -> Iterator[Difference]:
    """Each backend's state before it is written and after it is read again, in all its parts, to the bit."""
    again = resumed(trained, fresh)
    sides = {
        "JAX": (centernet_jax.to_arrays(again.jax), centernet_jax.to_arrays(trained.jax)),
        "torch": (centernet_torch.to_arrays(again.torch), centernet_torch.to_arrays(trained.torch)),
    }
    for backend, (after, before) in sides.items():
        yield difference(f"resumed in {backend}", after, before, 0)
