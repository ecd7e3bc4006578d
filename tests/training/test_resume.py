"""A run that is stopped, killed or loses its newest checkpoint ends with the results of an undisturbed run."""

import contextlib
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import centernet_jax
import centernet_torch
from centernet.cli import main
from centernet.training import loop
from centernet.training.checkpoints import CheckpointFolder, CheckpointInfo
from centernet.training.run_folder import RunFolder
from centernet_data.contract.checkpoint import read_arrays, write_arrays
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from helpers.run_folders import SIX_STEPS, arrays_of, differences, metrics_of
from helpers.small_data import make_data, refused

pytestmark = pytest.mark.usefixtures("quick_compilation")
ROOT = Path(__file__).parents[2]
STEPS = 6
RECIPE = Recipe(learning_rate=1e-3, total_steps=1)
PACKAGES = {"jax": centernet_jax, "torch": centernet_torch}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def train(data, out, backend, *more):
    """The status of a run, its stdout and its stderr."""
    arguments = ["train", "--data", data, "--out", out, "--backend", backend, *SIX_STEPS, *more]
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as error:
        status = main([str(argument) for argument in arguments])
    return status, output.getvalue(), error.getvalue()


@pytest.fixture(scope="module")
def references(data, tmp_path_factory):
    """One undisturbed run by each backend."""
    folders = {backend: tmp_path_factory.mktemp("reference") / backend for backend in ("jax", "torch")}
    for backend, folder in folders.items():
        assert train(data, folder, backend)[::2] == (0, "")
    return folders


@pytest.fixture
def at_step(monkeypatch):
    """Arranges for a function to be called after a step, before its line of metrics is written."""

    def arrange(step, act):
        def append(folder, line, original=RunFolder.append_metrics):
            if line["step"] == step - 1:
                act()
            original(folder, line)

        monkeypatch.setattr(RunFolder, "append_metrics", append)

    return arrange


def send(number):
    """Sends a signal to this process, and waits for it to arrive."""
    os.kill(os.getpid(), number)
    time.sleep(0.05)


def test_a_run_that_is_stopped_again_and_again_ends_as_an_undisturbed_one(
    data, references, tmp_path, at_step, monkeypatch, backend
):
    out = tmp_path / "my run"
    at_step(1, lambda: send(signal.SIGTERM))
    status, _, error = train(data, out, backend)
    command = f"centernet train --data {data} --out '{out}' --backend {backend} {' '.join(SIX_STEPS)} --resume"
    assert (status, error) == (143, f"centernet: stopped, state saved; resume with: {command}\n")
    assert len(metrics_of(out)) == 1

    with contextlib.ExitStack() as until_here:
        at_step(3, lambda: until_here.enter_context(no_room()))
        status, output, error = train(data, out, backend, "--resume")
    assert "resuming from the checkpoint of step 1\n" in output
    message = f"centernet: {out}/checkpoints: the checkpoint of step 3 cannot be saved (File too large); "
    assert (status, error) == (2, message + "the last one, of step 1, is complete\n")

    monkeypatch.undo()
    evaluate = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: send(signal.SIGINT) or evaluate(*arguments))
    status, output, error = train(data, out, backend, "--resume")
    assert "resuming from the checkpoint of step 1\n" in output
    assert (status, error) == (130, f"centernet: stopped, state saved; resume with: {command}\n")

    monkeypatch.undo()
    truncate(out / f"checkpoints/{STEPS}.safetensors")
    status, output, error = train(data, out, backend, "--resume")
    assert (status, error) == (0, "")
    lines = [line for line in output.splitlines() if "checkpoint" in line]
    assert re.fullmatch(rf"the checkpoint of step {STEPS} is damaged \(.+\)", lines[0])
    assert lines[1:] == ["resuming from the checkpoint of step 3"]
    assert differences(out, references[backend]) == []


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_a_run_stopped_in_an_evaluation_on_the_way_evaluates_again(data, tmp_path, monkeypatch, backend):
    option = ("--evaluate-every", "2")
    assert train(data, tmp_path / "undisturbed", backend, *option)[::2] == (0, "")
    lines = metrics_of(tmp_path / "undisturbed")
    assert [line["step"] for line in lines if "AP" in line] == [3, STEPS]  # of 3 pictures, 2 a step
    out, evaluate = tmp_path / "run", loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: send(signal.SIGINT) or evaluate(*arguments))
    assert train(data, out, backend, *option)[0] == 130
    assert [line["step"] for line in metrics_of(out)] == [0, 1, 2]
    monkeypatch.undo()
    assert train(data, out, backend, *option, "--resume")[::2] == (0, "")
    assert differences(out, tmp_path / "undisturbed") == []


def test_without_a_checkpoint_it_starts_from_the_beginning(data, references, tmp_path, at_step, monkeypatch):
    def fail():
        raise ValueError("a mishap")

    at_step(2, fail)
    out = tmp_path / "run"
    for step, text in ((0, "no checkpoint in {}: starting from the beginning"), (1, "no checkpoint in {}: starting")):
        status, output, error = train(data, out, "torch", "--resume")
        assert (status, error) == (2, "centernet: a mishap\n")
        assert text.format(out) in output
        assert len(metrics_of(out)) == 1, step
    (out / ".77-model.safetensors").touch()  # as a killed process leaves it
    monkeypatch.undo()
    assert train(data, out, "torch", "--resume")[0] == 0
    assert differences(out, references["torch"]) == []


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda out: None, ("--seed", 1, "--batch-size", 3),
         "config.toml: was started with different settings: batch-size 2 (now 3), seed 0 (now 1)"),
        (lambda out: None, ("--backend", "jax"), "started with different settings: backend torch (now jax);"),
        (lambda out: (out / "config.toml").unlink(), (), "already holds a run (model.safetensors)"),
        (lambda out: shutil.rmtree(out / "checkpoints"), (), "run: holds a model, but no checkpoint to resume from"),
        (lambda out: (out / "metrics.jsonl").write_text("{}\n"), (), "metrics.jsonl: has fewer than the 6 lines"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_resumed_are_refused(data, references, tmp_path, change, more, message):
    out = tmp_path / "run"
    shutil.copytree(references["torch"], out)
    change(out)
    names = sorted(path.name for path in out.rglob("*"))
    status, _, error = train(data, out, "torch", "--resume", *more)
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(path.name for path in out.rglob("*")) == names


def test_other_data_under_the_same_name_is_refused(data, references, tmp_path):
    out, text = tmp_path / "run", data.read_text()
    shutil.copytree(references["torch"], out)
    data.write_text('classes = ["red"]\n' + text)
    try:
        status, _, error = train(data, out, "torch", "--resume")
    finally:
        data.write_text(text)
    assert status == 2
    assert "step 6: was started with different settings: classes red blue (now red);" in error


def test_resuming_and_overwriting_exclude_each_other(data, tmp_path, capsys):
    assert "give one of them" in refused(capsys, "train", "--resume", "--overwrite")


def small_state(backend, seed):
    config = ModelConfig(("a",), (32, 32), depth=18, hidden_channels=(8, 8), out_channels=8, head_channels=8)
    return PACKAGES[backend].create_state(config, RECIPE, seed)


def kernel_of(backend, state):
    return PACKAGES[backend].to_arrays(state)["model.backbone.resnet.conv1.weight"]


@contextlib.contextmanager
def no_room():
    """No file may grow beyond a few bytes: like a full disk, with another errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


def test_the_best_checkpoint_knows_its_ap(references):
    for backend, folder in references.items():
        checkpoints = CheckpointFolder(folder / "checkpoints", PACKAGES[backend])
        assert checkpoints.steps == [3, STEPS]
        assert checkpoints.info(STEPS).ap == metrics_of(folder)[-1]["AP"]


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


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kills"), [("jax", 5), ("torch", 2)])
def test_killed_runs_end_as_undisturbed_ones(backend, kills):
    command = [sys.executable, ROOT / "tests/kill_often.py", "--kills", str(kills), "--backend", backend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills, " in done.stdout


def test_the_comparison_can_fail(references, tmp_path):
    for backend, folder in references.items():
        assert differences(folder, folder) == []
        other = tmp_path / backend
        shutil.copytree(folder, other)
        (other / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().replace('"step": 3', '"step": 4'))
        path = other / f"checkpoints/{STEPS}.safetensors"
        arrays = read_arrays(path)
        arrays.pop("step")
        write_arrays(path, arrays)
        wrong = differences(other, folder)
        assert wrong[0] == "metrics.jsonl"
        assert arrays_of(other).keys() != arrays_of(folder).keys()
        assert len(wrong) > 1


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


@pytest.mark.parametrize(("backend", "write"), [("jax", older_jax), ("torch", older_torch)])
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
