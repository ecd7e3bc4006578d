"""Every stage of both backends on the same weights and the same input, in inference and in training."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_jax.weights import to_flax
from centernet_torch.weights import copy_weights
from helpers.parity_cases import CLASSES, KINDS, RECIPE, SMALL, assert_all_agree, batch
from parity import stages
from parity.bounds import BOUNDS
from parity.compare import compare_forward, compare_gradients, compare_targets
from parity.numerics import numerics
from parity.pair import Pair
from parity.transfer import to_jax_state, to_torch_state

# (dtype, configuration, target mode): every value of every option, the full ResNet-34 at its own widths in float64.
CASES = {
    "float64, small": ("float64", SMALL, RECIPE.targets),
    "float64, 34, 64 x 96, kernel 3, adaptive": ("float64", ModelConfig(CLASSES, (64, 96)), "adaptive"),
    "float64, 18, 64 x 64, kernel 4, exact": (
        "float64",
        ModelConfig(CLASSES, (64, 64), depth=18, kernel_size=4),
        "exact",
    ),
    "float64, 18, 96 x 32, kernel 3, fixed": (
        "float64",
        ModelConfig(CLASSES, (96, 32), depth=18, hidden_channels=(32, 24), out_channels=16, head_channels=12),
        "fixed",
    ),
    "float32, 34, 64 x 64, kernel 4, adaptive": ("float32", ModelConfig(CLASSES, (64, 64), kernel_size=4), "adaptive"),
    "float32, 18, 64 x 96, kernel 3, fixed": ("float32", ModelConfig(CLASSES, (64, 96), depth=18), "fixed"),
}
QUICK = "float64, small"


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in CASES]
)
def case(request):
    """A pair with random weights everywhere, in the case's precision, which holds while the test runs."""
    dtype, config, mode = CASES[request.param]
    with numerics(dtype):
        yield random_pair(config, mode, dtype), BOUNDS[dtype]


def random_pair(config, mode, dtype) -> Pair:
    """Fresh weights made general: no scale is 1, no bias is 0, running statistics are a batch's, scores spread out."""
    recipe = replace(RECIPE, targets=mode)
    pair = Pair.fresh(config, recipe, dtype=dtype)
    rng = np.random.default_rng(0)

    def general(path, value):
        name = "/".join(key.key for key in path)
        if name.endswith("scale"):
            value = rng.uniform(0.5, 1.5, value.shape)
        elif name.endswith("bias"):
            value = value + rng.normal(0, 0.2, value.shape)
        elif "head/" in name and "conv2/kernel" in name:
            value = rng.normal(0, 1 / np.sqrt(value.shape[2]), value.shape)
        return jax.numpy.asarray(value, dtype)

    state = pair.jax.replace(params=jax.tree_util.tree_map_with_path(general, pair.jax.params))
    _, _, after = stages.jax_gradients(state, four("full", pair, seed=9))
    # One batch moves them a tenth of the way from (0, 1) to its own statistics: go the whole way.
    after = to_flax(after)["batch_stats"]
    statistics = jax.tree.map(lambda old, new: old + 10 * (new - old), state.batch_stats, after)
    state = state.replace(batch_stats=statistics)
    return Pair(config, state, to_torch_state(state, config))


def four(kind, pair, seed=0):
    """A batch of the size that test_parity_faults.py compares: so the compiled programs of SMALL are the same."""
    return batch(kind, pair.config.image_size, 4, seed)


def test_no_stage_is_dead_or_saturated(case):
    """Comparing constants would prove nothing."""
    pair, _ = case
    for train in (True, False):
        outputs = stages.jax_forward(pair.jax, four("full", pair)["image"], train)
        for stage, module in stages.forward_stages(pair.config.depth).items():
            value = outputs[module]
            assert np.isfinite(value).all(), stage
            assert np.mean(value != 0) > 0.3, stage
            assert 0.05 < value.std() < 50, stage
        scores = outputs["head"][..., :-4]
        assert -15 < scores.min() < scores.max() < 10


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_the_forward_pass(case, train):
    pair, bounds = case
    assert_all_agree(compare_forward(pair, four("full", pair)["image"], train, bounds.forward))


@pytest.mark.parametrize("kind", KINDS)
def test_targets(case, kind):
    pair, bounds = case
    assert_all_agree(compare_targets(pair, four(kind, pair)["objects"], bounds.forward))


@pytest.mark.parametrize("kind", KINDS)
def test_losses_gradients_and_running_statistics(case, kind):
    pair, bounds = case
    assert_all_agree(compare_gradients(pair, four(kind, pair), bounds))


@pytest.mark.slow
def test_weights_that_come_from_torch(case):
    """The other direction of the transfer: torch draws the weights and takes a step, then they move to JAX."""
    pair, bounds = case
    state = centernet_torch.create_state(pair.config, pair.torch.recipe, seed=1)
    model = state.model.to(next(pair.torch.model.parameters()).dtype)
    optimizer = centernet_torch.optimizer.create_optimizer(model, state.recipe)
    state, _ = centernet_torch.train_step(
        state._replace(model=model, optimizer=optimizer, ema=copy_weights(model)),
        four("full", pair, seed=5),
    )
    drawn = Pair(pair.config, to_jax_state(state, pair.config), state)
    assert_all_agree(compare_gradients(drawn, four("full", pair), bounds))
