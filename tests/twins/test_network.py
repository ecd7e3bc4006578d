"""The layers: compared with plain forms and with the other framework, and their edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen as nn

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.backbone import BatchNorm
from centernet_jax.weights import to_flax, to_torch
from helpers.arrays import nchw, random
from helpers.twins import WRONG


def test_batch_norm_keeps_torchs_statistics():
    with jax.enable_x64(True):
        ours, theirs = BatchNorm(), torch.nn.BatchNorm2d(5).double()
        x = jnp.asarray(random(3, 4, 6, 5) * 3 + 1)
        variables = jax.tree.map(lambda v: v.astype(float), ours.init(jax.random.key(0), x))
        for _ in range(3):
            y, updates = ours.apply(variables, x, train=True, mutable=["batch_stats"])
            variables = variables | updates
            expected = theirs(nchw(x))
        np.testing.assert_allclose(nchw(y), expected.detach(), rtol=1e-12, atol=1e-12)
        stats = variables["batch_stats"]
        np.testing.assert_allclose(stats["mean"], theirs.running_mean, rtol=1e-12)
        np.testing.assert_allclose(stats["var"], theirs.running_var, rtol=1e-12)
        resting = ours.apply(variables, x)
        np.testing.assert_allclose(nchw(resting), theirs.eval()(nchw(x)).detach(), rtol=1e-12, atol=1e-12)


def test_batch_norm_normalises_like_flax():
    x = jnp.asarray(random(3, 4, 6, 5), jnp.float32)
    ours, flax = BatchNorm(), nn.BatchNorm(momentum=0.9)
    y, _ = ours.apply(ours.init(jax.random.key(0), x), x, train=True, mutable=["batch_stats"])
    variables = flax.init(jax.random.key(0), x, use_running_average=False)
    expected, _ = flax.apply(variables, x, use_running_average=False, mutable=["batch_stats"])
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.fixture(scope="module")
def small():
    """The same small network in both frameworks, in float64, with statistics away from 0 and 1."""
    with jax.enable_x64(True):
        options = {"head_kwargs": {"c_classes": 3}, "backbone_kwargs": {"depth": 18, "kernel_size": 4}}
        model = centernet_jax.CenterNet(**{k: nn.FrozenDict(v) for k, v in options.items()})
        twin = centernet_torch.CenterNet(**options).double().eval()
        rng = np.random.default_rng(0)
        state = {k: v.numpy() for k, v in twin.state_dict().items() if "num_batches" not in k}
        for name, value in state.items():
            if name.endswith(("running_mean", "bias")):
                state[name] = value + rng.normal(size=value.shape) * 0.1
            if name.endswith("running_var"):
                state[name] = value * rng.uniform(0.5, 2, value.shape)
        twin.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
        return model, to_flax(state), twin


def test_the_twins_agree_on_a_rectangular_image(small):
    model, variables, twin = small
    with jax.enable_x64(True):
        images = random(2, 64, 96, 3)
        points = jax.jit(model.apply)(variables, images)
        expected = twin(nchw(images)).detach()
        assert points.shape == (2, 16, 24, 7)
        np.testing.assert_allclose(nchw(points), expected, rtol=1e-9, atol=1e-11)
        objects = jax.jit(lambda v, x: model.apply(v, x, return_objects=True))(variables, images)
        np.testing.assert_allclose(objects, twin(nchw(images), return_objects=True).detach(), rtol=1e-9, atol=1e-9)
        assert objects.shape == (2, 42, 6)
        assert (objects[..., 5] > 0).any()


def test_weights_go_to_torch_and_back_bit_for_bit(small):
    _, variables, twin = small
    with jax.enable_x64(True):
        there = to_torch(variables)
        names = {name for name in twin.state_dict() if not name.endswith("num_batches_tracked")}
        assert set(there) == names
        jax.tree.map(np.testing.assert_array_equal, to_flax(there), variables)


def test_names_are_torchvisions():
    names = set(centernet_torch.HeadlessResnet34().state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.2.bn2.weight", "layer3.5.conv1.weight"} <= names
    assert {"layer2.0.downsample.0.weight", "layer4.0.downsample.1.running_var"} <= names
    assert not any(name.startswith(("fc", "layer1.0.downsample")) for name in names)
    assert centernet_torch.HeadlessResnet34().layer4[2].conv2.weight.shape == (512, 512, 3, 3)


def test_parameter_count_is_that_of_resnet34_without_classifier():
    count = sum(p.numel() for p in centernet_torch.HeadlessResnet34().parameters())
    assert count == 21_797_672 - (512 * 1000 + 1000)  # torchvision's resnet34


def test_authors_plain_resnet_is_a_setting():
    neck = centernet_torch.ResnetBackbone(out_channels=256, hidden_channels=(256, 256), kernel_size=4).upscale
    assert [tuple(layer.conv.weight.shape) for layer in neck] == [(512, 256, 4, 4), (256, 256, 4, 4), (256, 256, 4, 4)]
    ours = centernet_jax.ResnetBackbone(out_channels=256, hidden_channels=(256, 256), kernel_size=4)
    variables = jax.eval_shape(ours.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert variables["params"]["upscale_2"]["conv"]["kernel"].shape == (4, 4, 256, 256)


def test_a_fresh_network_takes_nearly_everything_for_background(twin):
    config = ModelConfig(("a", "b"), (64, 64), depth=18)
    state = twin.package.create_state(config, Recipe(learning_rate=1e-3, total_steps=1))
    detector = twin.package.Detector.of(state, config)
    heat = detector.heatmap(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8))
    assert heat.shape == (1, 16, 16)
    assert abs(heat.mean() - 0.1) < 0.05


def test_sizes_that_are_no_multiple_of_32_are_refused(twin):
    with pytest.raises(ValueError, match="multiples of 32, not 64 x 80"):
        run(twin, twin.package.CenterNet(), np.zeros((1, 64, 80, 3), np.float32))


def test_one_value_per_channel_is_refused_in_training():
    """The image is of 1 x 1 at the end of the ResNet; torch's own words are nearly the same."""
    images = jnp.zeros((1, 32, 32, 3))
    model = centernet_jax.CenterNet(backbone_kwargs={"depth": 18})
    with pytest.raises(ValueError, match="more than one value per channel"):
        jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, train=True))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        centernet_torch.CenterNet(backbone_kwargs={"depth": 18}).train()(torch.zeros(1, 3, 32, 32))


def test_uint8_images_are_refused_by_the_network_itself(twin):
    with pytest.raises(WRONG, match="images"):
        run(twin, twin.package.CenterNet(), np.zeros((1, 64, 64, 3), np.uint8))


def run(twin, model, images):
    if twin.name == "jax":
        return jax.eval_shape(model.init, jax.random.key(0), images)
    return model(nchw(images))


@pytest.mark.parametrize("options", [(8, 8, 3, 1, 0), (8, 8, 4, 1, 1), (8, 8, 1, 0, 1)])
def test_upscalings_that_do_not_double_are_refused(twin, options):
    with pytest.raises(ValueError, match="the size doubles only if"):
        run(twin, twin.package.UpscaleTwiceLayer(*options), np.zeros((1, 4, 4, 8), np.float32))


def test_other_depths_are_refused(twin):
    with pytest.raises(ValueError, match=r"depth must be one of \[18, 34\], not 50"):
        run(twin, twin.package.HeadlessResnet34(depth=50), np.zeros((1, 64, 64, 3), np.float32))


def test_normalisation_is_imagenets_in_rgb(twin):
    images = np.zeros((1, 1, 2, 3), np.uint8)
    images[0, 0, 1] = (255, 128, 0)
    if twin.name == "jax":
        found = np.asarray(centernet_jax.normalize_images(jnp.asarray(images)))
    else:
        found = centernet_torch.normalize_images(torch.tensor(images)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found[0, 0, 0], [-2.1179, -2.0357, -1.8044], atol=1e-4)
    np.testing.assert_allclose(found[0, 0, 1], [2.2489, 0.2052, -1.8044], atol=1e-4)
