"""A run that is stopped, killed or loses its newest checkpoint ends with the results of an undisturbed run."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from centernet.cli import main
from centernet.training import loop
from centernet.training.checkpoints import CheckpointFolder
from centernet.training.run_folder import RunFolder
from centernet_data.contract.checkpoint import read_arrays, write_arrays
from centernet_data.contract.recipe import Recipe
from helpers.run_folders import SIX_STEPS, arrays_of, differences, metrics_of
from helpers.saved_states import PACKAGES, no_room
from helpers.small_data import make_data, refused

pytestmark = pytest.mark.usefixtures("quick_compilation")
ROOT = Path(__file__).parents[2]
STEPS = 6
by_each_backend = pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
RECIPE = Recipe(learning_rate=1e-3, total_steps=1)


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
def reference(data, tmp_path_factory):
    """The folder of an undisturbed run by a backend."""

    @cache
    def of(backend):
        folder = tmp_path_factory.mktemp("reference") / backend
        assert train(data, folder, backend)[::2] == (0, "")
        return folder

    return of


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


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_run_that_is_stopped_again_and_again_ends_as_an_undisturbed_one(
    data, reference, tmp_path, at_step, monkeypatch, backend
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
    assert differences(out, reference(backend)) == []


@by_each_backend
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


def test_without_a_checkpoint_it_starts_from_the_beginning(data, reference, tmp_path, at_step, monkeypatch):
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
    assert differences(out, reference("torch")) == []


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda out: None, ("--seed", 1, "--batch-size", 3),
         "config.toml: was started with different settings: batch-size 2 (now 3), seed 0 (now 1)"),
        (lambda out: None, ("--backend", "jax"), "started with different settings: backend torch (now jax);"),
        (lambda out: (out / "config.toml").unlink(), (), "run: holds model.safetensors, but not a run's config.toml"),
        (lambda out: shutil.rmtree(out / "checkpoints"), (), "run: holds a model, but no checkpoint to resume from"),
        (lambda out: (out / "metrics.jsonl").write_text("{}\n"), (), "metrics.jsonl: has fewer than the 6 lines"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_resumed_are_refused(data, reference, tmp_path, change, more, message):
    out = tmp_path / "run"
    shutil.copytree(reference("torch"), out)
    change(out)
    names = sorted(path.name for path in out.rglob("*"))
    status, _, error = train(data, out, "torch", "--resume", *more)
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(path.name for path in out.rglob("*")) == names


def test_other_data_under_the_same_name_is_refused(data, reference, tmp_path):
    out, text = tmp_path / "run", data.read_text()
    shutil.copytree(reference("torch"), out)
    data.write_text('classes = ["red"]\n' + text)
    try:
        status, _, error = train(data, out, "torch", "--resume")
    finally:
        data.write_text(text)
    assert status == 2
    assert "step 6: was started with different settings: classes red blue (now red);" in error


def test_resuming_and_overwriting_exclude_each_other(data, tmp_path, capsys):
    assert "give one of them" in refused(capsys, "train", "--resume", "--overwrite")


@by_each_backend
def test_the_best_checkpoint_knows_its_ap(reference, backend):
    folder = reference(backend)
    checkpoints = CheckpointFolder(folder / "checkpoints", PACKAGES[backend])
    assert checkpoints.steps == [3, STEPS]
    assert checkpoints.info(STEPS).ap == metrics_of(folder)[-1]["AP"]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kills"), [("jax", 5), ("torch", 2)])
def test_killed_runs_end_as_undisturbed_ones(backend, kills):
    command = [sys.executable, ROOT / "tests/kill_often.py", "--kills", str(kills), "--backend", backend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills, " in done.stdout


@by_each_backend
def test_the_comparison_can_fail(reference, tmp_path, backend):
    folder, other = reference(backend), tmp_path / backend
    assert differences(folder, folder) == []
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
