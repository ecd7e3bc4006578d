"""What a training starts from: weights that each backend draws by itself, and a trunk that each reads from a file."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.stats import ks_2samp, norm

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.weights import to_torch
from centernet_torch.weights import to_numpy
from parity.difference import Difference, difference
from parity.numerics import device_kind
from parity.stages import Tensors

STANDARD_ERRORS = 5.0  # between two fresh kernels drawn by different generators
SAMPLE = 100_000  # of a kernel's numbers are enough to tell two distributions apart, and sorted in a moment
TRUNK = "backbone.resnet."


def compare_fresh_weights(config: ModelConfig, recipe: Recipe) -> Iterator[Difference]:
    """What each backend draws by itself: equal constants, and kernels of the same mean, spread and distribution.

    The random number generators differ, so the difference is counted in standard errors.
    """
    device = device_kind()
    ours = to_torch(centernet_jax.create_state(config, recipe, device=device).variables)
    theirs = to_numpy(centernet_torch.create_state(config, recipe, device=device).model)
    yield _drawn("fresh weights", ours, theirs)
    # Of a few classes, the head's last kernels are too small to tell one distribution from another.
    head = centernet_jax.CenterNetHead(k_in_channels=32, c_classes=500, hidden_channels=32)
    ours = jax.jit(head.init)(jax.random.key(0), jnp.zeros((1, 1, 1, 32)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = to_numpy(centernet_torch.CenterNetHead(k_in_channels=32, c_classes=500, hidden_channels=32))
    yield _drawn("fresh head", to_torch(ours), theirs)


def _drawn(stage: str, ours: Tensors, theirs: Tensors) -> Difference:
    """The tensor that differs most by its standard errors."""
    errors, name = max((_standard_errors(ours[name], theirs[name]), name) for name in theirs)
    spread = abs(float(ours[name].std() - theirs[name].std()))
    return Difference(stage, f"{name} (in standard errors)", spread, errors, STANDARD_ERRORS)


def _standard_errors(ours: np.ndarray, theirs: np.ndarray) -> float:
    """By how many standard errors two normal samples differ in mean, spread or distribution; infinite for unequal
    constants."""
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return 0.0 if np.array_equal(ours, theirs) else math.inf
    root = math.sqrt(ours.size)
    mean = abs(float(ours.mean() - theirs.mean())) / float(theirs.std()) * root / math.sqrt(2)
    errors = max(mean, abs(math.log(ours.std() / theirs.std())) * root, _distribution(ours, theirs))
    return math.inf if math.isnan(errors) else errors


def _distribution(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The probability of two samples so unlike each other, if of one distribution, in standard errors of a normal
    one. By Kolmogorov and Smirnov, so that it sees any shape: uniform or cut off where it should be normal."""
    _, probability = np.array(ks_2samp(ours.ravel()[:SAMPLE], theirs.ravel()[:SAMPLE], method="asymp"), float)
    return float(norm.isf(probability / 2))


def compare_pretrained(config: ModelConfig, recipe: Recipe) -> Iterator[Difference]:
    """The trunk of a new training state that reads it from a torchvision-format file: weights, running statistics and
    the average of both, to the bit."""
    device = device_kind()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "resnet.safetensors"
        save_file(_made_up_trunk(config), path)
        states = [package.create_state(config, recipe, pretrained=path, device=device) for package in BACKENDS]
    arrays = [package.to_arrays(state) for package, state in zip(BACKENDS, states, strict=True)]
    # JAX's may be float64, which holds every number of the file.
    ours, theirs = ({name: a.astype(float) for name, a in side.items() if f".{TRUNK}" in name} for side in arrays)
    yield difference("pretrained trunk", ours, theirs, 0)


BACKENDS = (centernet_jax, centernet_torch)


def _made_up_trunk(config: ModelConfig) -> dict[str, np.ndarray]:
    """A trunk of `config`'s depth in which no tensor is what a fresh one has."""
    rng = np.random.default_rng(0)
    network = centernet_torch.HeadlessResnet34(config.depth)
    return {name: rng.uniform(0.5, 1.5, t.shape).astype(np.float32) for name, t in to_numpy(network).items()}
