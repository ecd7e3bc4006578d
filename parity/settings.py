"""The settings of a recipe that the run of `parity.check` leaves out, each in a few steps of a small network."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np

import centernet_jax.train
import centernet_torch
from centernet_data.batches import Batch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import DType
from centernet_data.contract.recipe import Recipe
from centernet_torch.weights import save_weights
from parity import stages
from parity.bounds import Bounds
from parity.detections import by_picture, compare_detections, detectors
from parity.difference import Difference, difference
from parity.made_up import NUM_CLASSES, made_up_objects
from parity.numerics import device_kind, numerics
from parity.pair import Pair, same_weights
from parity.training import apply_made_up_gradients, compare_resumed, compare_trained, resumed, train

# Every layer of a ResNet-18 in a narrow neck and head: quick to compile.
SMALL = ModelConfig(
    tuple(f"class {i}" for i in range(NUM_CLASSES)),
    (32, 64),
    depth=18,
    hidden_channels=(24, 16),
    out_channels=8,
    head_channels=8,
)
STEPS = 4  # the rate drops to a tenth before the third, and to a hundredth before the fourth
DROPS = Recipe(
    learning_rate=1e-3,
    total_steps=3,
    warmup=0.0,
    schedule="drops",
    backbone_rate=0.5,
    weight_decay=0.01,
    clip_norm=5.0,
    ema_decay=0.2,  # reached at the third step
)
REMAT = replace(DROPS, remat=True, targets="exact", normalization="image")
FROZEN = replace(DROPS, backbone_rate=0.0, targets="fixed")
BFLOAT16 = replace(DROPS, precision="bfloat16")


# Of losses, statistics and scores. A bfloat16 number is rounded by 2^-9 of itself; some thirty layers make that 1e-2.
# Gradients differ by more than half of themselves, and are not bounded.
BFLOAT16_BOUND = 0.05


def small_pair(dtype: DType) -> Pair:
    """Weights drawn by torch, to be trained by `DROPS`; `Pair.with_recipe` gives it another recipe."""
    device = device_kind()
    drawn = centernet_torch.create_state(SMALL, DROPS, device=device)
    with TemporaryDirectory() as folder:  # through a file, because JAX need then compile nothing to have a state
        path = Path(folder) / "small.safetensors"
        save_weights(path, drawn.model, SMALL)
        return Pair.load(path, DROPS, dtype, device)


def compare_update(small: Pair, bound: float) -> Iterator[Difference]:
    """Some steps from made-up gradients: clipping, AdamW with the rate's drops, and the average."""
    yield from compare_trained(*apply_made_up_gradients(small, STEPS), bound, "update")


def compare_small_runs(dtype: DType, bounds: Bounds) -> Iterator[Difference]:
    """All further settings, each computed only when it is asked for."""
    small = small_pair(dtype)
    yield from compare_settings(small, bounds)
    yield from compare_bfloat16(small)


def compare_settings(small: Pair, bounds: Bounds) -> Iterator[Difference]:
    """A run with `REMAT`, interrupted and resumed in the middle, what its weights detect, and a step with a frozen
    trunk."""
    batches, fresh = made_up_batches(STEPS), small.with_recipe(REMAT)
    half, *_ = train(fresh, batches[: STEPS // 2])
    yield from compare_resumed(half, fresh)
    trained = train(resumed(half, fresh), batches[STEPS // 2 :])
    yield from compare_trained(*trained, bounds.training, "drops")
    yield from compare_flipped(same_weights(trained[0]), bounds.forward)
    frozen = train(small.with_recipe(FROZEN), batches[:1])
    yield from compare_trained(*frozen, bounds.step, "frozen trunk", bounds.metrics)


def compare_flipped(trained: Pair, bound: float) -> Iterator[Difference]:
    """Whole detectors with the flip test, and their heatmaps, of the same weights in both."""
    images = made_up_batches(1)[0]["image"]
    pictures = [*images[:2], *images[2:, :, :40]]  # the latter with margins on the left and right
    yield from compare_detections(trained, pictures, bound, "detections with flip test", flip_test=True)
    ours, theirs = (by_picture(detector.heatmaps(pictures)) for detector in detectors(trained, flip_test=True))
    yield difference("heatmaps with flip test", ours, theirs, bound)


def made_up_batches(steps: int, images: int = 4) -> list[Batch]:
    """Batches for `SMALL`: noise with objects of many sizes; the last image of each has none."""
    objects = made_up_objects(images, SMALL.image_size, "float32", 6)
    rng = np.random.default_rng(0)
    shape = (images, *SMALL.image_size, 3)
    return [{"image": rng.integers(0, 256, shape, np.uint8), "objects": objects} for _ in range(steps)]


def compare_bfloat16(small: Pair) -> Iterator[Difference]:
    """Training and detection in bfloat16: that each backend does compute in it, and how far the two agree."""
    with numerics("float32", device_kind()):  # of the weights
        pair = small.with_dtype("float32").with_recipe(BFLOAT16)
        found = [*_training_in_bfloat16(pair), *_detection_in_bfloat16(pair)]
    yield from found


def _training_in_bfloat16(pair: Pair) -> Iterator[Difference]:
    (batch,) = made_up_batches(1)
    exactly = {"xla_allow_excess_precision": False}  # or XLA leaves out roundings that the program asks for
    gradients = jax.jit(centernet_jax.train.loss_and_gradients, compiler_options=exactly)
    ours = stages.by_torch_name(*jax.device_get(gradients(pair.jax, batch)))
    theirs = stages.torch_gradients(pair.torch, batch)
    for backend, gradients in (("JAX", ours[1]), ("torch", theirs[1])):
        kernels = {name: gradient for name, gradient in gradients.items() if gradient.ndim == 4}
        yield difference(f"bfloat16: kernels' gradients in {backend}", kernels, in_bfloat16(kernels), 0)
    yield difference("bfloat16: losses", ours[0], theirs[0], BFLOAT16_BOUND)
    yield difference("bfloat16: running statistics", ours[2], theirs[2], BFLOAT16_BOUND)


def _detection_in_bfloat16(pair: Pair) -> Iterator[Difference]:
    images = made_up_batches(1)[0]["image"]
    found = [detector.detect(images) for detector in detectors(pair, precision="bfloat16")]
    for backend, objects in zip(("JAX", "torch"), found, strict=True):
        sizes = by_picture(objects[..., 2:4])
        yield difference(f"bfloat16: sizes of boxes in {backend}", sizes, in_bfloat16(sizes), 0)
    ours, theirs = (by_picture(objects[..., 5]) for objects in found)
    yield difference("bfloat16: scores", ours, theirs, BFLOAT16_BOUND)


def in_bfloat16(tensors: stages.Tensors) -> stages.Tensors:
    """Rounded to bfloat16: unchanged if that is what they were computed in, whatever holds them now."""
    return {name: np.asarray(jnp.asarray(t).astype(jnp.bfloat16).astype(t.dtype)) for name, t in tensors.items()}
