"""Both backends on the same weights and the same input, stage by stage, each after the stages that it depends on.

The first stage that exceeds its bound is where the two differ; the stages after it may differ because of it.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import centernet_jax
import centernet_jax.network
import centernet_jax.optimizer
import centernet_torch
import centernet_torch.network
import centernet_torch.optimizer
from centernet_data.batches import Batch
from centernet_data.contract.checkpoint import part_of
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe, Schedule
from centernet_data.evaluation import Detect
from centernet_jax.weights import to_torch
from centernet_torch.weights import to_numpy
from parity import stages
from parity.difference import Difference, difference, worst
from parity.match import in_the_same_order
from parity.numerics import torch_device
from parity.pair import Pair
from parity.stages import nhwc
from parity.transfer import to_torch_state


@dataclass(frozen=True)
class Bounds:
    """Largest allowed differences, relative to the largest value of the stage: for a forward pass and its losses, for
    gradients, after one training step, and after many."""

    forward: float
    gradients: float
    step: float
    training: float


# README.md explains those of float32: each backend's own rounding, the ReLUs that it flips, and Adam.
BOUNDS = {"float64": Bounds(1e-10, 1e-10, 1e-8, 1e-8), "float32": Bounds(1e-4, 0.25, 0.25, math.inf)}
STANDARD_ERRORS = 5.0  # between the spread of two fresh kernels drawn by different generators


def compare(
    pair: Pair, batches: Sequence[Batch], pictures: Sequence[np.ndarray], bounds: Bounds
) -> Iterator[Difference]:
    """All stages in order, each computed only when it is asked for.

    Single passes use the first of `batches`; training takes one step on each. Both detectors then look at `pictures`
    (uint8 RGB of any sizes) with the weights after the last step.
    """
    yield from compare_fresh_weights(pair.config, pair.jax.recipe)
    yield difference("weights", to_torch(pair.jax.variables), to_numpy(pair.torch.model), 0)
    yield from compare_forward(pair, batches[0]["image"], True, bounds.forward)
    yield from compare_targets(pair, batches[0]["objects"], bounds.forward)
    yield from compare_gradients(pair, batches[0], bounds)
    yield from compare_learning_rates(pair.jax.recipe)
    yield from compare_trained(*train(pair, batches[:1]), bounds.step, "step 1")
    trained = train(pair, batches)
    yield from compare_trained(*trained, bounds.training, f"step {len(batches)}")
    same = Pair(pair.config, trained[0].jax, to_torch_state(trained[0].jax, pair.config))
    yield from compare_decoding(pair.config.image_size, len(pair.config.classes), pair.dtype)
    yield from compare_inference(same, batches[0]["image"], pictures, bounds, "")


def compare_inference(
    pair: Pair, images: np.ndarray, pictures: Sequence[np.ndarray], bounds: Bounds, prefix: str
) -> Iterator[Difference]:
    """The forward pass with running statistics, then whole detectors. `prefix` starts the names of the stages."""
    yield from compare_forward(pair, images, False, bounds.forward, f"{prefix}eval: ")
    yield from compare_detections(pair, pictures, bounds.forward, prefix)


def compare_fresh_weights(config: ModelConfig, recipe: Recipe) -> Iterator[Difference]:
    """What each backend draws by itself: equal constants, and kernels of the same mean and spread.

    The random number generators differ, so the difference is counted in standard errors.
    """
    ours = to_torch(centernet_jax.create_state(config, recipe).variables)
    theirs = to_numpy(centernet_torch.create_state(config, recipe).model)
    errors, name = max((_standard_errors(ours[name], theirs[name]), name) for name in theirs)
    spread = abs(float(ours[name].std() - theirs[name].std()))
    yield Difference("fresh weights", f"{name} (in standard errors)", spread, errors, STANDARD_ERRORS)


def _standard_errors(ours: np.ndarray, theirs: np.ndarray) -> float:
    """By how many standard errors mean or spread of two normal samples differ; infinite for unequal constants."""
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return 0.0 if np.array_equal(ours, theirs) else math.inf
    root = math.sqrt(ours.size)
    mean = abs(float(ours.mean() - theirs.mean())) / float(theirs.std()) * root / math.sqrt(2)
    errors = max(mean, abs(math.log(ours.std() / theirs.std())) * root)
    return math.inf if math.isnan(errors) else errors


def compare_forward(
    pair: Pair, images: np.ndarray, train: bool, bound: float, prefix: str = ""
) -> Iterator[Difference]:
    """The normalised images, the stem, each stage of the trunk and the neck, and the head's logits."""
    ours, theirs = stages.jax_forward(pair.jax, images, train), stages.torch_forward(pair.torch, images, train)
    for stage, module in ({"images": "images"} | stages.forward_stages(pair.config.depth)).items():
        yield difference(prefix + stage, {module: ours[module]}, {module: theirs[module]}, bound)


def compare_targets(pair: Pair, objects: np.ndarray, bound: float) -> Iterator[Difference]:
    """The dense targets drawn from the objects."""
    height, width = pair.config.image_size
    cells = objects.astype(pair.dtype) / np.array([4, 4, 4, 4, 1, 1], pair.dtype)
    options = {"hw": (height // 4, width // 4), "num_classes": len(pair.config.classes)}
    options["targets"] = pair.jax.recipe.targets
    ours = np.asarray(jax.jit(centernet_jax.ObjectsToPoints(**options).__call__)(cells))
    theirs = nhwc(centernet_torch.ObjectsToPoints(**options)(torch.as_tensor(cells, device=torch_device())))
    channels = {"heatmap": slice(0, -4), "offset": slice(-4, -2), "size": slice(-2, None)}
    for name, which in channels.items():
        yield difference(f"{name} target", {name: ours[..., which]}, {name: theirs[..., which]}, bound)


def compare_gradients(pair: Pair, batch: Batch, bounds: Bounds) -> Iterator[Difference]:
    """The three losses, the gradients of all parameters from the head back to the stem, and the running statistics."""
    ours, theirs = stages.jax_gradients(pair.jax, batch), stages.torch_gradients(pair.torch, batch)
    for name in theirs[0]:
        yield difference(f"{name} loss", {name: ours[0][name]}, {name: theirs[0][name]}, bounds.forward)
    for stage in reversed(stages.forward_stages(pair.config.depth)):
        own, other = (_of_stage(gradients, stage) for gradients in (ours[1], theirs[1]))
        yield difference(f"gradient of {stage}", own, other, bounds.gradients)
    yield difference("running statistics", ours[2], theirs[2], bounds.forward)


def _of_stage(tensors: dict[str, np.ndarray], stage: str) -> dict[str, np.ndarray]:
    return {name: tensor for name, tensor in tensors.items() if stages.parameter_stage(name) == stage}


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


def train(pair: Pair, batches: Sequence[Batch]) -> tuple[Pair, dict, dict]:
    """Takes a step on each batch in both backends. Leaves the given states unchanged.

    Returns the new states, then JAX's and torch's metrics of all steps by name.
    """
    ours, theirs = stages.jax_copy(pair.jax), copy.deepcopy(pair.torch)
    history = []
    for batch in batches:
        ours, metrics = centernet_jax.train_step(ours, batch)
        theirs, other = centernet_torch.train_step(theirs, batch)
        history.append((jax.device_get(metrics), {name: float(value) for name, value in other.items()}))
    names = history[0][1]
    own, other = ({name: np.array([line[side][name] for line in history], float) for name in names} for side in (0, 1))
    return Pair(pair.config, ours, theirs), own, other


def compare_trained(pair: Pair, ours: dict, theirs: dict, bound: float, name: str) -> Iterator[Difference]:
    """Metrics of all steps, then the state after the last: Adam's moments, parameters, running statistics, the average
    of both, and the step counts."""
    for metric in ("learning_rate", "loss", "gradient_norm"):
        yield difference(f"{name}: {metric}", {metric: ours[metric]}, {metric: theirs[metric]}, bound)
    arrays, others = centernet_jax.to_arrays(pair.jax), centernet_torch.to_arrays(pair.torch)
    for key in ("exp_avg", "exp_avg_sq"):
        moment, other = part_of(arrays, key), part_of(others, key)
        # Each stage against its own largest value: squared gradients of the trunk are tiny compared with the head's.
        yield worst(
            difference(f"{name}: {key}", _of_stage(moment, stage), _of_stage(other, stage), bound)
            for stage in stages.forward_stages(pair.config.depth)
        )
    weights, other = part_of(arrays, "model"), part_of(others, "model")
    for kind, is_statistic in (("parameters", False), ("running statistics", True)):
        own, theirs_ = (
            {n: t for n, t in side.items() if ("running" in n) == is_statistic} for side in (weights, other)
        )
        yield difference(f"{name}: {kind}", own, theirs_, bound)
    yield difference(f"{name}: average", part_of(arrays, "ema"), part_of(others, "ema"), bound)
    counts = {"step": int(pair.jax.step)}
    for path, count in optax.tree_utils.tree_get_all_with_path(pair.jax.opt_state, "count"):
        counts[f"of the optimizer{jax.tree_util.keystr(path)}"] = int(count)
    moved = [p for p in pair.torch.model.parameters() if p.grad is not None]
    (step,) = {int(pair.torch.optimizer.state[p]["step"]) for p in moved}
    yield difference(f"{name}: count", counts, dict.fromkeys(counts, step) | {"step": pair.torch.step}, 0)


def compare_decoding(image_size: tuple[int, int], num_classes: int, dtype: str) -> Iterator[Difference]:
    """The flip test's average, peaks and boxes of a synthetic map full of plateaus and ties: bit-identical."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, image_size[0] // 4, image_size[1] // 4, num_classes + 4)).astype(dtype)
    points[..., :-4] = rng.integers(0, 9, points[..., :-4].shape) / 8
    tensor = torch.as_tensor(points, device=torch_device()).permute(0, 3, 1, 2)
    ours = np.asarray(jax.jit(centernet_jax.network.average_flipped)(points, points[::-1]))
    theirs = nhwc(centernet_torch.network.average_flipped(tensor, tensor.flip(0)))
    yield difference("flip test", {"points": ours}, {"points": theirs}, 0)
    ours = np.asarray(jax.jit(centernet_jax.PointsNonMaxSuppression().__call__)(points))
    peaks = centernet_torch.PointsNonMaxSuppression()(tensor)
    yield difference("peaks", {"points": ours}, {"points": nhwc(peaks)}, 0)
    # One box fewer than the first image has cells of that confidence: there ties decide, in the other the threshold.
    options = {"objects_per_image": int((ours[0, ..., :-4] >= 0.875).sum()) - 1, "min_confidence": 0.875}
    scaled = jax.jit(lambda p: centernet_jax.ScaleObjects()(centernet_jax.PointsToObjects(**options)(p)))
    boxes = centernet_torch.ScaleObjects()(centernet_torch.PointsToObjects(**options)(peaks))
    yield difference("boxes", {"objects": np.asarray(scaled(ours))}, {"objects": boxes.cpu().numpy()}, 0)


def detectors_of(pair: Pair, flip_test: bool = False) -> tuple[Detect, Detect]:
    """Both detectors, with no threshold on the score."""
    ours = centernet_jax.Detector.of(pair.jax, pair.config, flip_test)
    theirs = centernet_torch.Detector.of(pair.torch, pair.config, flip_test)
    return partial(ours, min_confidence=0.0), partial(theirs, min_confidence=0.0)


def compare_detections(
    pair: Pair, pictures: Sequence[np.ndarray], bound: float, prefix: str = ""
) -> Iterator[Difference]:
    """Whole detectors: from uint8 pictures to boxes in the pictures' own pixels."""
    ours, theirs = (detect(pictures) for detect in detectors_of(pair))
    yield from compare_boxes(ours, theirs, pair.dtype, bound, f"{prefix}detections")


def compare_boxes(ours: Sequence, theirs: Sequence, dtype: str, bound: float, name: str) -> Iterator[Difference]:
    """All boxes of all pictures, best first (in float32 matched by class and position): pixels, classes and scores."""
    if dtype == "float32":  # scores that differ in the last bit may change the order
        ours, theirs = zip(*map(in_the_same_order, ours, theirs), strict=True)
    columns = {"boxes": (slice(0, 4), bound), "classes": (4, 0), "scores": (5, bound)}
    nothing = not any(len(rows) for rows in theirs)
    for what, (column, limit) in columns.items():
        own, other = ({f"picture {i}": rows[:, column] for i, rows in enumerate(side)} for side in (ours, theirs))
        found = difference(f"{name}: {what}", own, other, limit)
        yield replace(found, where="nothing was detected", max_rel=math.inf) if nothing else found
