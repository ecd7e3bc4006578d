"""torchvision-format ResNet files into either backend."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import centernet_jax
import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_jax.weights import to_torch

pytestmark = pytest.mark.usefixtures("quick_compilation")
CONFIG, RECIPE = ModelConfig(("a", "b"), (32, 32), depth=18), Recipe(learning_rate=1e-3, total_steps=1)


@pytest.fixture(scope="module")
def resnet18():
    """The state dict of torchvision's resnet18: the trunk and its classifier."""
    torch.manual_seed(0)
    trunk = {name: torch.randn_like(t) if t.is_floating_point() else t for name, t in trunk_state().items()}
    return trunk | {"fc.weight": torch.randn(1000, 512), "fc.bias": torch.randn(1000)}


def trunk_state(depth=18):
    return centernet_torch.HeadlessResnet34(depth).state_dict()


def save(tensors, path):
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization="legacy" not in path.name)
    return path


def trunk_of(twin, path):
    state = twin.package.create_state(CONFIG, RECIPE, pretrained=path)
    tensors = to_torch(state.variables) if twin.name == "jax" else centernet_torch.weights.to_numpy(state.model)
    prefix = "backbone.resnet."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@pytest.mark.parametrize("file", ["resnet.pth", "resnet_legacy.pth", "resnet.safetensors"])
@pytest.mark.parametrize("classifier", [True, False])
def test_the_trunk_is_loaded(twin, tmp_path, resnet18, file, classifier):
    tensors = {name: t for name, t in resnet18.items() if classifier or not name.startswith("fc.")}
    trunk = trunk_of(twin, save(tensors, tmp_path / file))
    assert len(trunk) == len([name for name in trunk_state() if "num_batches" not in name])
    for name, tensor in trunk.items():
        np.testing.assert_array_equal(tensor, resnet18[name].numpy())


@pytest.mark.slow
def test_flax_init_and_torch_constructors_load_it_too(tmp_path, resnet18):
    path = save(resnet18, tmp_path / "resnet.pth")
    image, key = jnp.zeros((1, 32, 32, 3)), jax.random.key(0)
    options = {"depth": 18}
    network = centernet_jax.CenterNet(path, backbone_kwargs=options)
    whole = to_torch(network.init(key, image))["backbone.resnet.layer2.0.conv1.weight"]
    part = to_torch(centernet_jax.ResnetBackbone(path, **options).init(key, image))["resnet.layer2.0.conv1.weight"]
    other = centernet_torch.CenterNet(path, backbone_kwargs=options).backbone.resnet.layer2[0].conv1.weight
    for loaded in (whole, part, other.detach()):
        np.testing.assert_array_equal(loaded, resnet18["layer2.0.conv1.weight"])


def test_weights_of_half_precision_are_widened(twin, tmp_path, resnet18):
    half = {name: t.half() if t.is_floating_point() else t for name, t in resnet18.items()}
    for name, tensor in trunk_of(twin, save(half, tmp_path / "resnet.pth")).items():
        assert tensor.dtype == np.float32, name
        np.testing.assert_array_equal(tensor, half[name].float().numpy())


def test_files_that_do_not_fit_are_refused_by_name(twin, tmp_path, resnet18):
    missing = {name: t for name, t in resnet18.items() if name != "layer3.1.bn2.weight"}
    extra = resnet18 | {"layer9.weight": torch.zeros(1)}
    misshapen = resnet18 | {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    for tensors, message in (
        (missing, r"missing tensor .*layer3\.1\.bn2\.weight"),
        (extra, r"unknown tensor .*layer9\.weight"),
        (misshapen, r"conv1\.weight has shape \(64, 3, 3, 3\)"),
        (trunk_state(34), "unknown tensor"),
        (resnet18 | {"bn1.bias": torch.full((64,), torch.nan)}, r"tensor .*bn1\.bias holds values that are not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            twin.package.create_state(CONFIG, RECIPE, pretrained=save(tensors, tmp_path / "resnet.pth"))


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 damaged"])
@pytest.mark.parametrize("file", ["resnet.pth", "resnet.safetensors"])
def test_damaged_files_are_refused_by_name(twin, tmp_path, file, content):
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ValueError, match=file):
        twin.package.create_state(CONFIG, RECIPE, pretrained=path)


def test_a_missing_file(twin, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        twin.package.create_state(CONFIG, RECIPE, pretrained=tmp_path / "none.pth")
