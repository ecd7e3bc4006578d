"""One picture, or one file, that fails does not cost the others; the status is then 1."""

import errno
import io
import json
import os
import signal
import sys
import time
import warnings

import numpy as np
import pytest
from PIL import Image

from centernet.commands import check as check_command
from centernet.commands import predict_work
from centernet.training import run as training_run
from centernet_data.imaging.decoding import read_picture
from helpers.fake_backend import fake_backend  # noqa: F401 (a fixture)
from helpers.small_data import make_data, run

pytestmark = pytest.mark.usefixtures("fake_backend")
LONGEST = 251 * "n" + ".bmp"
TOO_LONG = 253 * "n"  # with .png


def save(path, format=None):
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(picture).save(path, format)


def files_and_names(out):
    records = json.loads((out / "detections.json").read_text())
    return sorted(path.name for path in out.iterdir()), [record["file_name"].rpartition("/")[2] for record in records]


def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_pictures_that_cannot_be_read_or_drawn_are_named_and_counted(tmp_path, capfd):
    pictures, out = tmp_path / "s", tmp_path / "drawn"
    pictures.mkdir()
    for name in ("a.png", "b.png", LONGEST):
        save(pictures / name)
    save(pictures / TOO_LONG, "PNG")
    (pictures / "b.png").write_bytes((pictures / "a.png").read_bytes()[:200])
    (pictures / "c.jpg").touch()
    (pictures / "d.jpg").symlink_to("nowhere")
    assert run("predict", "m", pictures, pictures / TOO_LONG, "--out", out) == 1
    assert files_and_names(out) == (
        ["a.png", "detections.json", LONGEST.replace(".bmp", ".png")],
        ["a.png", LONGEST, TOO_LONG],
    )
    said = capfd.readouterr()
    assert [line.split(": ")[1].rpartition("/")[2] for line in said.err.splitlines()[:3]] == ["b.png", "c.jpg", "d.jpg"]
    assert said.err.splitlines()[3].endswith(f"{TOO_LONG}.png'")
    assert "3 of 6 pictures were looked at; 4 failures are named above" in said.out


def test_a_full_disk_costs_the_drawings_and_not_the_detections(tmp_path, capfd, monkeypatch):
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    monkeypatch.setattr(predict_work, "write_picture", no_room)
    assert run("predict", "m", tmp_path, "--out", tmp_path / "drawn") == 1
    assert files_and_names(tmp_path / "drawn") == (["detections.json"], ["a.png", "b.png"])
    assert capfd.readouterr().err.count("No space left on device") == 2


def test_without_a_single_picture_nothing_is_written(tmp_path, capfd):
    for name in ("a.png", "b.heic"):
        (tmp_path / name).write_bytes(b"no picture")
    assert run("predict", "m", tmp_path / "a.png", tmp_path / "b.heic", "--out", tmp_path / "drawn") == 2
    said = capfd.readouterr().err
    assert "b.heic: not an image file, or its header is damaged; HEIC is not decoded here: convert it" in said
    assert "none of the 2 pictures could be looked at; nothing was written" in said
    assert not (tmp_path / "drawn").exists()


class LeftByItsReader(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reader_that_leaves_does_not_cost_the_results(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    monkeypatch.setattr(sys, "stdout", LeftByItsReader())
    assert run("predict", "m", tmp_path, "--out", tmp_path / "drawn") == 0
    assert files_and_names(tmp_path / "drawn") == (["a.png", "b.png", "detections.json"], ["a.png", "b.png"])


@pytest.mark.parametrize("fails", ["save_curves", "write_picture"])
def test_a_run_whose_drawings_fail_has_its_model_and_says_so(tmp_path, capfd, monkeypatch, fails):
    monkeypatch.setattr(training_run, fails, no_room)
    data, out = make_data(tmp_path / "data"), tmp_path / "run"
    assert run("train", "--data", data, "--out", out, "--epochs", 1, "--batch-size", 2, "--image-size", 32) == 1
    left = {"save_curves": "predictions.png", "write_picture": "curves.png"}[fails]
    assert {path.name for path in out.iterdir()} == {
        *("model.safetensors", "checkpoints", "config.toml", "metrics.jsonl"),
        left,
    }
    said = capfd.readouterr().err.splitlines()
    assert "No space left on device" in said[0]
    assert said[1] == f"centernet: the model is saved in {out / 'model.safetensors'}, but what is named above failed"


def test_a_sheet_that_fails_does_not_cost_the_numbers(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("centernet_data.imaging.encoding.write_picture", no_room)
    data, numbers = make_data(tmp_path / "data"), tmp_path / "numbers.json"
    assert run("data", "check", data, "--out", tmp_path / "sheet.png", "--json", numbers) == 1
    assert json.loads(numbers.read_text())["written_by"] == check_command.AUTHOR
    assert "No space left on device" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_predict_after_the_picture_at_hand_and_keeps_what_was_found(tmp_path, capfd, monkeypatch, number):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / name)

    def read(path):
        if path.name == "b.png":
            os.kill(os.getpid(), number)
            time.sleep(0.2)  # until the thread that watches has seen it
        return read_picture(path)

    monkeypatch.setattr(predict_work, "read", read)
    assert run("predict", "m", tmp_path, "--out", tmp_path / "drawn") == 128 + number
    assert files_and_names(tmp_path / "drawn") == (["a.png", "b.png", "detections.json"], ["a.png", "b.png"])
    assert "stopped by a signal: 2 of 3 pictures were looked at" in capfd.readouterr().err


def test_a_warning_about_a_picture_is_one_line(tmp_path, capfd):
    Image.fromarray(np.full((40, 30), 4000, np.uint16)).save(tmp_path / "dark.png")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *of: sys.stderr.write(warnings.formatwarning(*of[:4]))  # pytest records them
        assert run("predict", "m", tmp_path, "--out", tmp_path / "drawn") == 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"centernet: {tmp_path / 'dark.png'}: its 16-bit levels end at 4000")
