"""The training step and detection lower to programs for accelerators that this machine lacks."""

import jax
import numpy as np
import pytest

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.detection import COCO_DECODING
from centernet_jax import create_model, create_state
from centernet_jax.detector import detect
from centernet_jax.train import _train_step

CONFIG = ModelConfig(("a", "b"), (64, 96), depth=18)
IMAGES = jax.ShapeDtypeStruct((2, 64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def state():
    return create_state(CONFIG, Recipe(learning_rate=1e-3, total_steps=10))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_training_step_lowers(state, platform):
    batch = {"image": IMAGES, "objects": jax.ShapeDtypeStruct((2, 5, 6), np.float32)}

    def step(variables, opt_state, ema, batch):
        stepped, metrics = _train_step(state.replace(**variables, opt_state=opt_state, ema=ema), batch)
        return stepped.variables, stepped.opt_state, stepped.ema, metrics

    arguments = (state.variables, state.opt_state, state.ema, batch)
    program = jax.export.export(jax.jit(step), platforms=[platform])(*arguments)
    assert program.platforms == (platform,)
    assert "stablehlo.convolution" in program.mlir_module()


@pytest.mark.parametrize("flip_test", [False, True], ids=["plain", "flip test"])
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_detection_lowers(state, platform, flip_test):
    model = create_model(CONFIG, points_to_objects_kwargs=COCO_DECODING)
    program = jax.export.export(detect, platforms=[platform])(model, state.variables, IMAGES, flip_test)
    assert program.platforms == (platform,)
    (objects,) = program.out_avals
    assert objects.shape == (2, COCO_DECODING["objects_per_image"], 6)
