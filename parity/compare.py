"""Both backends on the same weights and the same input, stage by stage, in the order in which one follows from another.

The first difference that breaks its bound is the stage where the two part; what follows from it may differ too.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import centernet_jax
import centernet_torch
from centernet_data.batches import Batch
from centernet_data.contract.checkpoint import part_of
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device
from centernet_data.contract.recipe import Recipe
from centernet_data.evaluation import Detect
from centernet_jax.train import TrainState as JaxState
from centernet_jax.weights import to_torch
from centernet_torch.train import TrainState as TorchState
from centernet_torch.weights import copy_weights, to_numpy
from parity import stages
from parity.difference import Difference, difference, worst
from parity.match import in_the_same_order
from parity.numerics import torch_device
from parity.stages import nhwc
from parity.transfer import cast, to_torch_state


@dataclass(frozen=True)
class Bounds:
    """Greatest differences, relative to the largest value of their stage: of a forward pass with its losses, of the
    gradients, behind one training step, and of what many of them add up to."""

    forward: float
    gradients: float
    step: float
    training: float


# README.md says why those of float32 are as they are: each backend's own rounding, ReLUs that flip by it, and Adam.
BOUNDS = {"float64": Bounds(1e-10, 1e-10, 1e-8, 1e-8), "float32": Bounds(1e-4, 0.25, 0.25, math.inf)}
STANDARD_ERRORS = 5.0  # between the spread of two fresh kernels drawn by different generators


Tree = TypeVar("Tree")


class Pair(NamedTuple):
    """A training state in both backends."""

    config: ModelConfig
    jax: JaxState
    torch: TorchState

    @classmethod
    def fresh(
        cls, config: ModelConfig, recipe: Recipe, seed: int = 0, dtype: str = "float32", device: Device = "cpu"
    ) -> "Pair":
        """Weights drawn by JAX, moved to torch."""
        state = cast(centernet_jax.create_state(config, recipe, seed, device=device), dtype)
        return cls(config, state, to_torch_state(state, config))

    @classmethod
    def load(cls, path: str | Path, recipe: Recipe, dtype: str = "float32", device: Device = "cpu") -> "Pair":
        """The weights of a `model.safetensors` as each backend itself reads them, with a fresh optimizer.

        Raises ValueError, naming the file, if it holds no such model.
        """
        detector, other = centernet_jax.load(path, device=device), centernet_torch.load(path, device=device)
        params, batch_stats = (cast(detector.variables[part], dtype) for part in ("params", "batch_stats"))
        opt_state = centernet_jax.optimizer.create_optimizer(recipe).init(params)
        network = centernet_jax.create_model(detector.config)
        ema = jax.tree.map(jnp.copy, {"params": params, "batch_stats": batch_stats})
        ours = JaxState(jnp.zeros((), int), params, batch_stats, opt_state, ema, network, recipe)
        model = centernet_torch.create_model(detector.config, device=device).to(getattr(torch, dtype))
        model.load_state_dict(other.model.state_dict())
        optimizer = centernet_torch.optimizer.create_optimizer(model, recipe)
        theirs = TorchState(0, model, optimizer, copy_weights(model), recipe)
        return cls(detector.config, ours, theirs)


def compare(
    pair: Pair, batches: Sequence[Batch], pictures: Sequence[np.ndarray], bounds: Bounds
) -> Iterator[Difference]:
    """All stages, one after the other; each is computed when it is asked for.

    `batches`: the first one for the single passes, all of them for as many training steps. `pictures` (uint8 RGB
    of any sizes) go through both detectors, with the weights that training ended on.
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
    yield from compare_decoding(pair.config.image_size, len(pair.config.classes), dtype_of(pair))
    yield from compare_inference(same, batches[0]["image"], pictures, bounds, "")


def compare_inference(
    pair: Pair, images: np.ndarray, pictures: Sequence[np.ndarray], bounds: Bounds, prefix: str
) -> Iterator[Difference]:
    """The forward pass with running statistics, then whole detectors. `prefix` goes before the stages' names."""
    yield from compare_forward(pair, images, False, bounds.forward, f"{prefix}eval: ")
    yield from compare_detections(pair, pictures, bounds.forward, prefix)


def dtype_of(pair: Pair) -> str:
    return str(jax.tree.leaves(pair.jax.params)[0].dtype)


def compare_fresh_weights(config: ModelConfig, recipe: Recipe) -> Iterator[Difference]:
    """What each backend draws by itself: constants are equal, kernels have the same mean and spread, within so many
    standard errors; the two generators are not the same."""
    ours = to_torch(centernet_jax.create_state(config, recipe).variables)
    theirs = to_numpy(centernet_torch.create_state(config, recipe).model)
    errors, name = max((_standard_errors(ours[name], theirs[name]), name) for name in theirs)
    spread = abs(float(ours[name].std() - theirs[name].std()))
    yield Difference("fresh weights", f"{name} (in standard errors)", spread, errors, STANDARD_ERRORS)


def _standard_errors(ours: np.ndarray, theirs: np.ndarray) -> float:
    """By how many standard errors mean and spread of two normal samples differ; constants must be the same."""
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
    """The dense targets that the objects are drawn as."""
    height, width = pair.config.image_size
    cells = objects.astype(dtype_of(pair)) / np.array([4, 4, 4, 4, 1, 1], dtype_of(pair))
    options = {"hw": (height // 4, width // 4), "num_classes": len(pair.config.classes)}
    options["targets"] = pair.jax.recipe.targets
    ours = np.asarray(jax.jit(centernet_jax.ObjectsToPoints(**options).__call__)(cells))
    theirs = nhwc(centernet_torch.ObjectsToPoints(**options)(torch.as_tensor(cells, device=torch_device())))
    parts = {"heatmap": slice(0, -4), "offset": slice(-4, -2), "size": slice(-2, None)}
    for name, part in parts.items():
        yield difference(f"{name} target", {name: ours[..., part]}, {name: theirs[..., part]}, bound)


def compare_gradients(pair: Pair, batch: Batch, bounds: Bounds) -> Iterator[Difference]:
    """The three losses, the gradient of every parameter from the head back to the stem, the running statistics."""
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
    """Both schedules, at every step and some behind their end."""
    steps, ours, theirs = range(recipe.total_steps + 3), {}, {}
    for schedule in ("cosine", "drops"):
        scheduled = replace(recipe, schedule=schedule)
        # optax counts in int32
        own = jax.vmap(partial(centernet_jax.optimizer.learning_rate, recipe=scheduled))(jnp.array(steps, jnp.int32))
        ours[schedule] = np.asarray(own, float)
        theirs[schedule] = np.array([centernet_torch.optimizer.learning_rate(step, scheduled) for step in steps], float)
    bound = 1e-12 if jax.config.jax_enable_x64 else 1e-6
    yield difference("learning rate", ours, theirs, bound)


def train(pair: Pair, batches: Sequence[Batch]) -> tuple[Pair, dict, dict]:
    """Takes a step on each batch in both backends. Returns the new states and both series of metrics.

    The states that go in stay as they are."""
    ours, theirs = stages.jax_copy(pair.jax), copy.deepcopy(pair.torch)
    history = []
    for batch in batches:
        ours, metrics = centernet_jax.train_step(ours, batch)
        theirs, other = centernet_torch.train_step(theirs, batch)
        history.append((jax.device_get(metrics), {name: float(value) for name, value in other.items()}))
    series = [{k: np.array([line[side][k] for line in history], float) for k in history[0][1]} for side in (0, 1)]
    return Pair(pair.config, ours, theirs), *series


def compare_trained(pair: Pair, ours: dict, theirs: dict, bound: float, name: str) -> Iterator[Difference]:
    """Metrics of all steps, then Adam's moments, parameters, running statistics and the average of both behind the
    last one."""
    for part in ("learning_rate", "loss", "gradient_norm"):
        yield difference(f"{name}: {part}", {part: ours[part]}, {part: theirs[part]}, bound)
    arrays, others = centernet_jax.to_arrays(pair.jax), centernet_torch.to_arrays(pair.torch)
    for key in ("exp_avg", "exp_avg_sq"):
        moment, other = part_of(arrays, key), part_of(others, key)
        # Each stage by itself: a squared gradient of the trunk is nothing beside one of the head.
        parts = [(_of_stage(moment, part), _of_stage(other, part)) for part in stages.forward_stages(pair.config.depth)]
        yield worst(difference(f"{name}: {key}", *sides, bound) for sides in parts)
    weights, other = part_of(arrays, "model"), part_of(others, "model")
    parts = {"parameters": lambda n: "running" not in n, "running statistics": lambda n: "running" in n}
    for part, belongs in parts.items():
        own, others = ({n: t for n, t in side.items() if belongs(n)} for side in (weights, other))
        yield difference(f"{name}: {part}", own, others, bound)
    yield difference(f"{name}: average", part_of(arrays, "ema"), part_of(others, "ema"), bound)
    counts = {"step": int(pair.jax.step)}
    for path, count in optax.tree_utils.tree_get_all_with_path(pair.jax.opt_state, "count"):
        counts[f"of the optimizer{jax.tree_util.keystr(path)}"] = int(count)
    moved = [p for p in pair.torch.model.parameters() if p.grad is not None]
    (step,) = {int(pair.torch.optimizer.state[p]["step"]) for p in moved}
    yield difference(f"{name}: count", counts, dict.fromkeys(counts, step) | {"step": pair.torch.step}, 0)


def compare_decoding(image_size: tuple[int, int], num_classes: int, dtype: str) -> Iterator[Difference]:
    """The flip test's average, peaks and boxes of a made-up map full of plateaus and ties: the same bits."""
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
    # One box fewer than the first image has cells at the least confidence: ties decide there, the bound in the other.
    options = {"objects_per_image": int((ours[0, ..., :-4] >= 0.875).sum()) - 1, "min_confidence": 0.875}
    scaled = jax.jit(lambda p: centernet_jax.ScaleObjects()(centernet_jax.PointsToObjects(**options)(p)))
    boxes = centernet_torch.ScaleObjects()(centernet_torch.PointsToObjects(**options)(peaks))
    yield difference("boxes", {"objects": np.asarray(scaled(ours))}, {"objects": boxes.cpu().numpy()}, 0)


def detectors_of(pair: Pair, flip_test: bool = False) -> tuple[Detect, Detect]:
    """Both detectors, which leave out no box for its score."""
    packages = ((centernet_jax, pair.jax), (centernet_torch, pair.torch))
    detectors = (package.Detector.of(state, pair.config, flip_test) for package, state in packages)
    return tuple(partial(detector, min_confidence=0.0) for detector in detectors)


def compare_detections(
    pair: Pair, pictures: Sequence[np.ndarray], bound: float, prefix: str = ""
) -> Iterator[Difference]:
    """Whole detectors: uint8 pictures in, boxes in the pictures' own pixels out."""
    ours, theirs = (detect(pictures) for detect in detectors_of(pair))
    yield from compare_boxes(ours, theirs, dtype_of(pair), bound, f"{prefix}detections")


def compare_boxes(ours: Sequence, theirs: Sequence, dtype: str, bound: float, name: str) -> Iterator[Difference]:
    """Every box of every picture, best first (in float32 matched by class and place): pixels, classes, scores."""
    if dtype == "float32":  # what differs by the last bit may change places
        ours, theirs = zip(*map(in_the_same_order, ours, theirs), strict=True)
    columns = {"boxes": (slice(0, 4), bound), "classes": (4, 0), "scores": (5, bound)}
    for part, (column, limit) in columns.items():
        named = [{f"picture {i}": rows[:, column] for i, rows in enumerate(side)} for side in (ours, theirs)]
        found = difference(f"{name}: {part}", *named, limit)
        nothing = not any(len(rows) for rows in theirs)
        yield replace(found, where="nothing was detected", max_rel=math.inf) if nothing else found
