"""A detector whose network computes in bfloat16: close to the float32 one, with boxes placed in float32."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import centernet_jax
import centernet_torch
from centernet_data.contract.precision import require_precision
from helpers.parity_cases import SMALL, random_model
from helpers.twins import WRONG

CONFIG = replace(
    SMALL, image_size=(288, 32)
)  # 72 cells high: from the 65th on, bfloat16 cannot represent their centres
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *CONFIG.image_size, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model.safetensors with random weights, whose offset is (0.25, 0.5) everywhere."""
    return random_model(tmp_path_factory.mktemp("bfloat16") / "model.safetensors", CONFIG)


@pytest.mark.parametrize("flip_test", [False, True], ids=["plain", "flip test"])
def test_its_heatmap_is_close_to_that_of_float32_but_not_equal(twin, model, flip_test):
    narrow, wide = (
        twin.package.load(model, flip_test, precision).heatmap(IMAGES) for precision in ("bfloat16", "float32")
    )
    assert narrow.dtype == np.float32
    assert (narrow.view(np.uint32) & 0xFFFF).any(), "scores are no bfloat16 numbers"
    assert wide.std() > 1e-3
    assert 1e-6 < np.abs(narrow - wide).max() < 0.02


def test_boxes_are_made_in_float32(twin, model):
    objects = twin.package.load(model, precision="bfloat16").detect(IMAGES)
    assert objects.dtype == np.float32
    assert (objects[..., 0] > 256).any()
    np.testing.assert_array_equal(objects[..., 0] % 4, 1)
    np.testing.assert_array_equal(objects[..., 1] % 4, 2)


def test_other_precisions_are_refused(twin, model):
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, not 'float16'"):
        require_precision("float16")
    with pytest.raises(WRONG, match="float16"):
        twin.package.load(model, precision="float16")


def test_the_networks_convolutions_compute_in_it(model):
    ours, theirs = (package.load(model, precision="bfloat16") for package in (centernet_jax, centernet_torch))
    program = centernet_jax.detector.detect.lower(ours.model, ours.variables, jnp.asarray(IMAGES), False, "bfloat16")
    convolutions = [line for line in program.as_text().splitlines() if "stablehlo.convolution" in line]
    assert convolutions
    assert not any("xf32>" in line for line in convolutions)

    dtypes = set()
    for module in theirs.model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda module, images, result: dtypes.add(result.dtype))
    theirs.detect(IMAGES)
    assert dtypes == {torch.bfloat16}
