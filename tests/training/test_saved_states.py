"""Saved states: on a full disk, on other devices, and as older versions wrote them."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import centernet_jax
from centernet.training.checkpoints import CheckpointFolder, CheckpointInfo
from centernet_data.contract.checkpoint import write_arrays
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from helpers.saved_states import PACKAGES, no_room

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(learning_rate=1e-3, total_steps=1)


def small_state(backend, seed):
    config = ModelConfig(("a",), (32, 32), depth=18, hidden_channels=(8, 8), out_channels=8, head_channels=8)
    return PACKAGES[backend].create_state(config, RECIPE, seed)


def kernel_of(backend, state):
    return PACKAGES[backend].to_arrays(state)["model.backbone.resnet.conv1.weight"]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_good_checkpoint_survives(tmp_path, backend, capfd):
    folder = CheckpointFolder(tmp_path / "checkpoints", PACKAGES[backend])
    folder.save(1, small_state(backend, 1), CheckpointInfo({}, 1))
    folder.wait()

    def save():
        folder.save(2, small_state(backend, 2), CheckpointInfo({}, 2))
        folder.wait()

    with no_room(), pytest.raises(ValueError, match="step 2 cannot be saved") as error:
        save()
    assert str(error.value).endswith("(File too large); the last one, of step 1, is complete")
    assert folder.steps == [1]
    folder.wait()
    assert sorted(path.name for path in folder.path.iterdir()) == ["1.json", "1.safetensors"]
    step, state, _ = folder.restore(small_state(backend, 0), {}, pytest.fail)
    assert step == 1
    np.testing.assert_array_equal(kernel_of(backend, state), kernel_of(backend, small_state(backend, 1)))
    save()
    assert folder.steps == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_state_can_be_pickled_and_copied(backend):
    state = small_state(backend, 1)
    arrays = PACKAGES[backend].to_arrays(state)
    for again in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        found = PACKAGES[backend].to_arrays(again)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


OTHER_DEVICES = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 4)
import numpy as np
import centernet_jax
from centernet_data.contract.checkpoint import read_arrays
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe

config = ModelConfig(("a",), (32, 32), depth=18, hidden_channels=(8, 8), out_channels=8, head_channels=8)
fresh = centernet_jax.create_state(config, Recipe(learning_rate=1e-3, total_steps=1), seed=1)
state = centernet_jax.from_arrays(fresh, read_arrays(Path(sys.argv[1])))
assert all(len(leaf.sharding.device_set) == 4 for leaf in jax.tree.leaves(state))
np.save(sys.argv[2], centernet_jax.to_arrays(state)["model.backbone.resnet.conv1.weight"])
"""


@pytest.mark.slow
def test_a_checkpoint_of_one_device_is_restored_onto_four(tmp_path):
    state = small_state("jax", 5)
    write_arrays(tmp_path / "5.safetensors", centernet_jax.to_arrays(state))
    command = [sys.executable, "-c", OTHER_DEVICES, tmp_path / "5.safetensors", tmp_path / "kernel.npy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "kernel.npy"), kernel_of("jax", state))


def older_jax(path, state):
    """Writes a state as versions before 0.2 did, by Orbax."""
    import orbax.checkpoint as ocp
    from flax.serialization import to_state_dict

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, to_state_dict(state))


def older_torch(path, state):
    """Writes a state as versions before 0.2 did, by torch.save."""
    content = {"step": state.step, "model": state.model.state_dict(), "optimizer": state.optimizer.state_dict()}
    torch.save(content | {"ema": state.ema}, path)


@pytest.mark.parametrize(
    ("backend", "write"), [pytest.param("jax", older_jax, marks=pytest.mark.slow), ("torch", older_torch)]
)
def test_a_state_of_an_older_version_is_read(tmp_path, backend, write):
    package, state = PACKAGES[backend], small_state(backend, 1)
    batch = {"image": np.zeros((2, 32, 32, 3), np.uint8), "objects": np.float32([[[16, 16, 8, 8, 0, 1]]] * 2)}
    for _ in range(2):
        state, _ = package.train_step(state, batch)
    write(tmp_path / "2.state", state)
    expected = package.to_arrays(state)
    found = package.to_arrays(package.read_older(tmp_path / "2.state", small_state(backend, 0)))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
