"""What commands leave: the run folder, metrics, evaluations, drawn pictures, and the same in both backends."""

import contextlib
import io
import json
import shutil
import tomllib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import centernet_jax
import centernet_torch
from centernet.training.run_folder import FILES
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.evaluation import NAMES
from centernet_data.imaging.decoding import read_picture
from centernet_data.source import open_train_and_val
from helpers.run_folders import read_metrics
from helpers.small_data import CLASSES, TINY, make_data, run

pytestmark = pytest.mark.usefixtures("quick_compilation")

Run = namedtuple("Run", "folder data output")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run by each backend on the same data."""
    folder = tmp_path_factory.mktemp("runs")
    data = make_data(folder)

    def train(backend):
        output, out = io.StringIO(), folder / backend
        with contextlib.redirect_stdout(output):
            assert run("train", "--data", data, "--out", out, "--backend", backend, "--seed", 3, *TINY) == 0
        return Run(out, data, output.getvalue())

    return {backend: train(backend) for backend in ("jax", "torch")}


def test_the_run_folder(runs, backend):
    folder, data, output = runs[backend]
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"tensorboard"}  # written on request
    config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    assert (config["data"], config["out"], config["backend"]) == (str(data), str(folder), backend)
    assert (config["seed"], config["epochs"], config["depth"], config["image_size"]) == (3, 2, 18, [64])
    assert config["augmentation"]["scale"] == [0.6, 1.4]
    for name in ("curves.png", "predictions.png"):
        assert read_picture(folder / name).shape[2] == 3
    assert "3 pictures to train on, 3 to validate on; 2 classes" in " ".join(output.split())  # rich breaks lines
    assert f"the run is in {folder}" in output


def test_metrics(runs, backend):
    lines = read_metrics(runs[backend].folder)
    assert [line["step"] for line in lines] == [0, 1, 2, 3]  # 2 epochs of 3 pictures in batches of 2, and evaluation
    for line in lines[:-1]:
        assert line["loss"] == pytest.approx(line["heatmap"] + line["offset"] + line["size"], rel=1e-5)
        assert np.isfinite(line["loss"])
        assert line["epoch"] == pytest.approx((line["step"] + 1) * 2 / 3)
    assert lines[-1]["epoch"] == 2
    assert {*NAMES, "per_class"} < set(lines[-1])
    assert set(lines[-1]["per_class"]) == set(CLASSES)


def test_eval(runs, backend, tmp_path, capsys):
    folder, data, _ = runs[backend]
    out = tmp_path / "ap.json"
    assert run("eval", folder / "model.safetensors", "--data", data, "--json", out, "--backend", backend) == 0
    results = json.loads(out.read_text())
    assert results.pop("written_by") == "centernet eval"
    assert set(results) == {*NAMES, "per_class"}
    assert 0 <= results["AP"] <= 1
    metrics = read_metrics(folder)[-1]
    assert {name: metrics[name] for name in results} == results
    assert "AP by class" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "backend"), [(c, b) for c in ("eval", "predict") for b in ("jax", "torch")] + [("train", "torch")]
)
def test_options_reach_the_detector(runs, backend, command, tmp_path, monkeypatch):
    folder, data, _ = runs[backend]
    model, seen = folder / "model.safetensors", []

    def detect(self, images):
        seen.append((self.flip_test, self.precision))
        return np.zeros((len(images), 100, 6), np.float32)

    monkeypatch.setattr((centernet_jax if backend == "jax" else centernet_torch).Detector, "detect", detect)
    arguments = {
        "train": ("--data", data, "--out", tmp_path / "run", *TINY, "--precision", "bfloat16"),
        "eval": (model, "--data", data, "--precision", "bfloat16"),
        "predict": (model, data.parent / "images", "--out", tmp_path / "drawn", "--precision", "bfloat16"),
    }[command]
    assert run(command, *arguments, "--backend", backend, "--flip-test") == 0
    assert set(seen) == {(True, "float32" if command == "train" else "bfloat16")}


def test_predict(runs, backend, tmp_path, capsys):
    folder, data, _ = runs[backend]
    Image.fromarray(np.full((50, 90, 3), 120, np.uint8)).save(tmp_path / "wide.jpg")
    pictures = (data.parent / "images", tmp_path / "wide.jpg")
    options = ("--out", tmp_path / "drawn", "--min-confidence", 0.001, "--backend", backend)
    assert run("predict", folder / "model.safetensors", *pictures, *options) == 0
    names = ["0.png", "1.png", "2.png", "wide.jpg"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [*names[:3], "detections.json", "wide.jpg"]
    for name in names:
        read_picture(tmp_path / "drawn" / name)
    records = json.loads((tmp_path / "drawn/detections.json").read_text())
    assert {Path(record["file_name"]).name for record in records} == set(names)
    for record in records:
        x, y, width, height = record["box"]
        right, bottom = (90, 50) if record["file_name"].endswith("wide.jpg") else (64, 64)
        assert 0 <= x <= x + width <= right + 0.02  # rounded to a hundredth
        assert 0 <= y <= y + height <= bottom + 0.02
        assert record["class"] in CLASSES
        assert 0.001 <= record["score"] <= 1
    assert "wide.jpg: " in capsys.readouterr().out


def without_partner(objects, others):
    """Rows without a match in `others`: the same class, within 1e-3 pixels and 1e-4 of the score."""
    return [row for row in objects if not (np.abs(others - row) <= [1e-3, 1e-3, 1e-3, 1e-3, 0, 1e-4]).all(1).any()]


def test_a_model_of_one_backend_finds_the_same_in_the_other(runs, backend):
    path = runs[backend].folder / "model.safetensors"
    pictures = [read_picture(picture) for picture in sorted(runs[backend].data.parent.glob("images/*.png"))]
    found = [side.load(path)(pictures, 0.001) for side in (centernet_jax, centernet_torch)]
    for one, other in zip(*found, strict=True):
        assert len(one) > 10
        for objects, others in ((one, other), (other, one)):
            least = others[:, 5].min()  # of two equal scores, only one may be among the best hundred
            assert without_partner(objects[objects[:, 5] > least + 1e-4], others) == []


def test_the_same_seed_gives_the_same_model_and_overwrite_replaces_a_run(runs, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(runs["torch"].folder, out, dirs_exist_ok=True)
    for name in ("tensorboard/events.out.tfevents.1", "checkpoints/1.json", ".1-curves.png", ".centernet-0123abcd.png"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("an older run\n")
    (out / "notes.txt").write_text("mine")
    arguments = ("--data", runs["jax"].data, "--out", out, "--seed", 3, *TINY)
    assert run("train", *arguments, "--overwrite") == 0
    first, second = (load_file(folder / "model.safetensors") for folder in (runs["jax"].folder, out))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)
    assert len(read_metrics(out)) == 4
    assert (out / "notes.txt").read_text() == "mine"
    assert {path.name for path in out.iterdir()} == {*FILES, "notes.txt"} - {"tensorboard"}
    assert not (out / "checkpoints/1.json").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_pictures(tmp_path, refused):
    data = make_data(tmp_path)
    arguments = ("--data", data, "--out", tmp_path / "run", "--backend", "torch", *TINY, "--learning-rate", 1e30)
    message = refused("train", *arguments)
    assert "the loss became nan at step 1; a lower --learning-rate may help" in message
    pictures, _ = open_train_and_val(str(data))
    batches = Batches(pictures, 2, (64, 64), "letterbox", Augmentation(), seed=0)
    names = [pictures.sample(batches.index(1, slot)).name for slot in (0, 1)]
    assert message.endswith(f"of that step: {', '.join(names)}; there is no checkpoint yet\n")
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [0]  # the earlier steps are kept


def test_training_on_the_same_data_as_tfds_keeps_it(runs, tmp_path):
    assert run("data", "convert", runs["torch"].data, "--format", "tfds", "--out", tmp_path / "tfds") == 0
    arguments = ("--data", f"tfds:{tmp_path / 'tfds'}", "--out", tmp_path / "run", "--backend", "torch", "--seed", 3)
    assert run("train", *arguments, *TINY) == 0
    losses = [
        [line.get("loss", 0) for line in read_metrics(folder)] for folder in (runs["torch"].folder, tmp_path / "run")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(losses[1]) == 4
