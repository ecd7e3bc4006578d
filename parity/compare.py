"""Both backends on the same weights and the same input, stage by stage, each after the stages that it depends on.

The first stage that exceeds its bound is where the two differ; the stages after it may differ because of it.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
import torch

import centernet_jax
import centernet_torch
from centernet_data.batches import Batch
from centernet_jax.weights import to_torch
from centernet_torch.weights import to_numpy
from parity import stages
from parity.bounds import Bounds
from parity.detections import compare_detections
from parity.difference import Difference, difference
from parity.made_up import compare_decoding, compare_losses, compare_target_modes
from parity.numerics import torch_device
from parity.pair import Pair, same_weights
from parity.settings import compare_update, small_pair
from parity.stages import nhwc
from parity.start import compare_fresh_weights, compare_pretrained
from parity.training import compare_learning_rates, compare_trained, train


def compare(
    pair: Pair, batches: Sequence[Batch], pictures: Sequence[np.ndarray], bounds: Bounds
) -> Iterator[Difference]:
    """All stages of one run in order, each computed only when it is asked for; `settings.compare_small_runs` has more.

    Single passes use the first of `batches`; training takes one step on each. Both detectors then look at `pictures`
    (uint8 RGB of any sizes) with the weights after the last step.
    """
    yield from compare_fresh_weights(pair.config, pair.jax.recipe)
    yield from compare_pretrained(pair.config, pair.jax.recipe)
    yield difference("weights", to_torch(pair.jax.variables), to_numpy(pair.torch.model), 0)
    yield from compare_forward(pair, batches[0]["image"], True, bounds.forward)
    yield from compare_targets(pair, batches[0]["objects"], bounds.forward)
    yield from compare_target_modes(pair.dtype, bounds.forward)
    yield from compare_gradients(pair, batches[0], bounds)
    yield from compare_losses(pair.dtype, bounds.forward)
    yield from compare_learning_rates(pair.jax.recipe)
    yield from compare_update(small_pair(pair.dtype), bounds.update)
    yield from compare_trained(*train(pair, batches[:1]), bounds.step, "step 1", bounds.metrics)
    trained = train(pair, batches)
    yield from compare_trained(*trained, bounds.training, f"step {len(batches)}")
    yield from compare_decoding(pair.config.image_size, len(pair.config.classes), pair.dtype)
    yield from compare_inference(same_weights(trained[0]), batches[0]["image"], pictures, bounds, "")


def compare_inference(
    pair: Pair, images: np.ndarray, pictures: Sequence[np.ndarray], bounds: Bounds, prefix: str
) -> Iterator[Difference]:
    """The forward pass with running statistics, then whole detectors. `prefix` starts the names of the stages."""
    yield from compare_forward(pair, images, False, bounds.forward, f"{prefix}eval: ")
    yield from compare_detections(pair, pictures, bounds.forward, f"{prefix}detections")


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
        own, other = (stages.of_stage(gradients, stage) for gradients in (ours[1], theirs[1]))
        yield difference(f"gradient of {stage}", own, other, bounds.gradients)
    yield difference("running statistics", ours[2], theirs[2], bounds.forward)
