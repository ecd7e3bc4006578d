"""What can be seen of a run while it trains: where its time goes, TensorBoard, and the curves."""

import errno
import io
import json
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import centernet_torch
from centernet.cli import main
from centernet.training import loop
from centernet.training.curves import save_curves
from centernet.training.run_folder import RunFolder
from centernet_data.batches import Batches
from centernet_data.imaging.decoding import read_picture
from helpers.absent import hide
from helpers.event_files import expected, shown
from helpers.run_folders import TIMES, differences, read_metrics
from helpers.small_data import make_data

TINY = (
    "--image-size",
    "32",
    "--depth",
    "18",
    "--batch-size",
    "2",
    "--epochs",
    "2",
    "--checkpoint-every",
    "2",
    "--backend",
    "torch",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def train(data, out, *more):
    return main(["train", "--data", str(data), "--out", str(out), *TINY, *more])


def test_time_between_steps_counts_neither_as_waiting_nor_as_computing(data, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def taking(seconds, function):
        def timed(*arguments):
            clock.now += seconds
            return function(*arguments)

        return timed

    def prefetched(batches, first, last, workers):
        for step in range(first, last):
            clock.now += 2
            yield batches[step]

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Batches, "prefetched", prefetched)
    monkeypatch.setattr(centernet_torch, "train_step", taking(3, centernet_torch.train_step))
    monkeypatch.setattr(RunFolder, "append_metrics", taking(100, RunFolder.append_metrics))
    assert train(data, tmp_path / "run") == 0
    lines = [line for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert [(line["seconds_waiting"], line["seconds_computing"]) for line in lines] == [(2, 3)] * 3
    assert [line["images_per_second"] for line in lines] == [None, 0.4, 0.4]


def assert_shown(out):
    """TensorBoard has all that metrics.jsonl has, once. Returns the steps of its pictures."""
    numbers = expected(read_metrics(out))
    for preempting in (False, True):
        series = shown(out / "tensorboard", preempting)
        pictures = series.pop("predictions")
        found = {tag.partition("/")[2]: own for tag, own in series.items()}
        assert found.keys() == numbers.keys()
        if preempting:  # the first step after resuming has none, so the older one stays
            del found["images_per_second"]
        for name in found:
            np.testing.assert_allclose(found[name], numbers[name], rtol=1e-6, err_msg=name)
    return [step for step, _ in pictures]


EVALUATING = ("--evaluate-every", "1")  # after the second of the three steps


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert train(data, out, "--tensorboard", *EVALUATING) == 0
    return out


def test_tensorboard_shows_what_metrics_jsonl_has_and_pictures(undisturbed):
    assert assert_shown(undisturbed) == [2, 3]
    series = shown(undisturbed / "tensorboard")
    assert {"losses/loss", "optimizer/learning_rate", "optimizer/gradient_norm"} < series.keys()
    assert {"AP/AP", "per_class/red"} | {f"speed/{name}" for name in TIMES} < series.keys()
    drawn = np.asarray(Image.open(io.BytesIO(series["predictions"][-1][1])), float)
    assert np.abs(drawn - read_picture(undisturbed / "predictions.png")).mean() < 3


@pytest.mark.parametrize(
    "first",
    [pytest.param(("--tensorboard",), marks=pytest.mark.slow), ()],
    ids=["from the first", "later"],
)
def test_a_resumed_run_shows_no_gap_and_no_repeat(data, undisturbed, tmp_path, monkeypatch, first):
    """It fails after its third step, which TensorBoard already has; the checkpoint is from the second. test_resume.py
    does the same with killed runs."""
    out, advance = tmp_path / "run", loop.Run.advance

    def advance_and_fail(run, state, line):
        advance(run, state, line)
        if line["step"] == 2:
            raise ValueError("a mishap")

    monkeypatch.setattr(loop.Run, "advance", advance_and_fail)
    assert train(data, out, *first, *EVALUATING) == 2
    steps = [line["step"] for line in read_metrics(out)]
    assert steps == [0, 1, 2, 2]
    monkeypatch.undo()
    assert train(data, out, "--resume", *({"--tensorboard"} - set(first)), *EVALUATING) == 0
    assert assert_shown(out) == [2, 3]
    assert differences(out, undisturbed) == []


def test_without_tensorboardx_it_is_one_line(data, tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "tensorboardX")
    monkeypatch.setattr(centernet_torch, "create_state", None)  # it is refused before
    assert train(data, tmp_path / "run", "--tensorboard") == 2
    message = 'needs the package tensorboardX, which is not installed (pip install -e ".[tensorboard]")'
    assert capsys.readouterr().err == f"centernet: --tensorboard {message}\n"
    assert not (tmp_path / "run").exists()


def test_a_full_disk_ends_the_run_in_one_line(data, tmp_path, monkeypatch, capsys):
    """And it does not hang."""

    def no_room(writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tensorboardX.record_writer.RecordWriter.flush", no_room)
    assert train(data, tmp_path / "run", "--tensorboard") == 2
    assert capsys.readouterr().err == (
        f"centernet: [Errno {errno.ENOSPC}] No space left on device: '{tmp_path / 'run/tensorboard'}'\n"
    )


@pytest.fixture
def stopped_in_the_second_step(monkeypatch):
    def append(folder, line, original=RunFolder.append_metrics):
        original(folder, line)
        if line["step"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    monkeypatch.setattr(RunFolder, "append_metrics", append)


@pytest.mark.usefixtures("stopped_in_the_second_step")
def test_a_run_that_is_stopped_leaves_its_curves(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(data, out) == 143
    assert "resume with: centernet train" in capsys.readouterr().err
    with Image.open(out / "curves.png") as curves:
        drawn = np.asarray(curves.convert("RGB"))
    save_curves(read_metrics(out), tmp_path / "again.png")
    with Image.open(tmp_path / "again.png") as curves:
        np.testing.assert_array_equal(drawn, np.asarray(curves.convert("RGB")))


@pytest.mark.usefixtures("stopped_in_the_second_step")
def test_curves_that_cannot_be_drawn_do_not_hide_how_to_resume(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "save_curves", lambda *_: json.loads("no curves"))
    assert train(data, tmp_path / "run") == 143
    said = capsys.readouterr()
    assert f"{tmp_path / 'run/curves.png'} could not be drawn: Expecting value" in said.out
    assert "stopped, state saved; resume with: centernet train" in said.err
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["2.json", "2.safetensors"]
