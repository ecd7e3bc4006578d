"""The answer of eval and predict to every mistake: bad models, data and pictures."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

import centernet_torch
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe
from centernet_data.contract.weights_file import read_model_file, write_model_file
from helpers.small_data import CLASSES, make_data
from helpers.spoil import no_pictures, spoil_json, spoil_picture, spoil_toml

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A freshly initialised model.safetensors with the right classes."""
    path = tmp_path_factory.mktemp("untrained") / "model.safetensors"
    config = ModelConfig(CLASSES, (64, 64), depth=18)
    centernet_torch.Detector.of(
        centernet_torch.create_state(config, Recipe(learning_rate=1e-3, total_steps=1)), config
    ).save(path)
    return path


def missing_model(folder, untrained):
    return folder / "none.safetensors"


def text_for_a_model(folder, untrained):
    (folder / "bad.safetensors").write_text("no model")
    return folder / "bad.safetensors"


def another_kind(folder, untrained):
    save_file({"layer.weight": np.zeros(3)}, folder / "bad.safetensors", {"format": "pt"})
    return folder / "bad.safetensors"


def without_tensors(folder, untrained):
    tensors, config = read_model_file(untrained)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    assert len(kept) < len(tensors)
    write_model_file(folder / "bad.safetensors", kept, config)
    return folder / "bad.safetensors"


def with_more_classes(folder, untrained):
    tensors, config = read_model_file(untrained)
    write_model_file(folder / "bad.safetensors", tensors, replace(config, classes=(*CLASSES, "green")))
    return folder / "bad.safetensors"


@pytest.mark.parametrize("command", ["eval", "predict"])
@pytest.mark.parametrize(
    ("make_model", "message"),
    [
        (missing_model, "none.safetensors: there is no such file; give a model.safetensors"),
        (text_for_a_model, "bad.safetensors: not a model.safetensors that training wrote"),
        (another_kind, "bad.safetensors: a safetensors file, but not a model that this project wrote"),
        (without_tensors, "bad.safetensors: missing tensor head."),
        (with_more_classes, "bad.safetensors: tensor head."),
    ],
)
def test_bad_models_are_refused(tmp_path, refused, untrained, backend, command, make_model, message):
    data, out = make_data(tmp_path), tmp_path / "out"
    rest = ("--data", data, "--json", out) if command == "eval" else (tmp_path / "images", "--out", out)
    assert message in refused(command, make_model(tmp_path, untrained), *rest, "--backend", backend)
    assert not out.exists()


@pytest.mark.parametrize(
    ("spoil", "split", "message"),
    [
        (
            spoil_toml("format", 'classes = ["blue", "red"]\nformat'),
            "val",
            "data.toml: its classes (blue, red) differ",
        ),
        (lambda folder: None, "test", "data.toml: there is no section [test]"),
        (spoil_json(no_pictures), "val", "data.toml: [val] has no pictures"),
        (spoil_picture(lambda content: content[:90]), "val", "1.png"),
    ],
)
def test_eval_refuses_bad_data(tmp_path, refused, untrained, spoil, split, message):
    data, out = make_data(tmp_path), tmp_path / "ap.json"
    spoil(tmp_path)
    arguments = ("--data", data, "--split", split, "--json", out, "--backend", "torch")
    assert message in refused("eval", untrained, *arguments)
    assert not out.exists()


def double_picture(folder):
    (folder / "images/0.bmp").write_bytes((folder / "images/0.png").read_bytes())
    return [folder / "images"]


def empty_folder(folder):
    (folder / "empty").mkdir()
    return [folder / "empty"]


@pytest.mark.parametrize(
    ("make_pictures", "options", "message"),
    [
        (lambda folder: [folder / "none.png"], (), "none.png: there is no such file or folder"),
        (empty_folder, (), "empty: the folder contains no pictures"),
        (double_picture, (), "0.png would both be drawn to"),
        (lambda folder: [], (), "no picture was given"),
        (lambda folder: [folder / "boxes.json"], (), "boxes.json: not an image file"),
    ],
)
def test_predict_refuses_bad_pictures(tmp_path, refused, untrained, make_pictures, options, message):
    make_data(tmp_path)
    out = tmp_path / "drawn"
    arguments = (*make_pictures(tmp_path), "--out", out, "--backend", "torch", *options)
    assert message in refused("predict", untrained, *arguments)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize("value", [1.5, "nan"])
def test_a_confidence_out_of_range_is_refused(refused, value):
    message = refused("predict", "model.safetensors", "picture.png", "--min-confidence", value)
    assert f"--min-confidence must be between 0 and 1, not {value}" in message


def test_predict_does_not_draw_over_its_input(tmp_path, refused, untrained):
    make_data(tmp_path)
    before = (tmp_path / "images/0.png").read_bytes()
    message = refused("predict", untrained, tmp_path / "images", "--out", tmp_path / "images", "--backend", "torch")
    assert "0.png: would be overwritten by the drawn picture" in message
    assert (tmp_path / "images/0.png").read_bytes() == before
    assert not (tmp_path / "images/detections.json").exists()
