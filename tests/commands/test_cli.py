"""The command line: the answer to every mistake, and the files that a run writes."""

import contextlib
import functools
import io
import json
import tomllib
from collections import namedtuple
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import centernet_jax
import centernet_torch
from centernet.cli import main
from centernet.commands.eval import Eval
from centernet.commands.predict import Predict
from centernet.commands.train import Train
from centernet.training.run_folder import FILES
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe, RecipeOptions
from centernet_data.contract.weights_file import read_model_file, write_model_file
from centernet_data.evaluation import NAMES
from centernet_data.imaging.decoding import read_picture
from centernet_data.source import open_train_and_val
from helpers import small_data
from helpers.json_changes import change_json
from helpers.run_folders import read_metrics
from helpers.small_data import CLASSES, TINY, make_data, run

pytestmark = pytest.mark.usefixtures("quick_compilation")


def spoil_json(change):
    """A function that changes the content of boxes.json in a folder."""
    return lambda folder: change_json(folder / "boxes.json", change)


def with_boxes_of(text):
    return lambda folder: (folder / "boxes.json").write_text(text, encoding="utf-8")


def spoil_box(key, value):
    return spoil_json(lambda content: content["annotations"][1].update({key: value}))


def spoil_picture(change):
    def spoil(folder):
        path = folder / "images" / "1.png"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def spoil_toml(old, new):
    def spoil(folder):
        path = folder / "data.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def other_classes_in_val(folder):
    content = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
    content["categories"][0]["name"] = "green"
    (folder / "other.json").write_text(json.dumps(content), encoding="utf-8")
    head, tail = (folder / "data.toml").read_text(encoding="utf-8").split("[val]")
    (folder / "data.toml").write_text(head + "[val]" + tail.replace("boxes", "other"), encoding="utf-8")


def no_pictures(content):
    content.update(images=[], annotations=[])


def no_objects(content):
    content.update(annotations=[])


@pytest.fixture
def refused(capfd):
    """Runs a command that must end with status 2 and one line on stderr. Returns that line."""
    return functools.partial(small_data.refused, capfd)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "data.toml").unlink(), "data.toml: neither a file nor"),
        (lambda folder: (folder / "data.toml").write_text("format = coco"), "data.toml: not TOML: "),
        (lambda folder: (folder / "boxes.json").unlink(), "boxes.json: the annotation file does not exist"),
        (lambda folder: (folder / "images/1.png").unlink(), "1.png"),
        (spoil_picture(lambda content: content[: len(content) // 2]), "1.png: the picture cannot be decoded"),
        (spoil_picture(lambda content: b""), "1.png: the file is empty"),
        (spoil_picture(lambda content: b"a letter\nof two lines"), "1.png: not an image file"),
        (with_boxes_of("[]"), "boxes.json: not COCO: "),
        (with_boxes_of('{"boxes": []}'), "boxes.json: not COCO: 'images' is missing"),
        (spoil_box("image_id", 77), "boxes.json: annotation 20: its image_id 77 is not among the images"),
        (spoil_box("category_id", 9), "boxes.json: annotation 20: its category_id 9 is not among the categories"),
        (spoil_box("bbox", [1, 2, float("nan"), 4]), "boxes.json: annotation 20: 'bbox' should be four finite numbers"),
        (spoil_box("bbox", [1, 2, 3, -4]), "boxes.json: annotation 20: the width or height of its 'bbox' is negative"),
        (spoil_toml("[train]", 'classes = ["hen"]\n[train]'), "boxes.json: no such class: hen; there are: red, blue"),
        (spoil_toml("[train]", "[training]"), "data.toml: there is no section [train]"),
        (spoil_json(no_pictures), "data.toml: [train] has no pictures"),
        (spoil_json(no_objects), "data.toml: [train] has no objects in any of its 3 pictures"),
        (other_classes_in_val, "data.toml: the classes of [train] and [val] differ"),
    ],
)
def test_bad_data_is_refused_before_anything_is_written(tmp_path, refused, spoil, message):
    data = make_data(tmp_path)
    spoil(tmp_path)
    assert message in refused("train", "--data", data, "--out", tmp_path / "run", "--backend", "torch", *TINY)
    assert not (tmp_path / "run").exists()


def resnet_file(path, depth):
    """A ResNet file with the right names and shapes but few bytes: each tensor is one zero, repeated."""
    trunk = centernet_torch.HeadlessResnet34(depth).state_dict()
    torch.save({name: torch.zeros(()).expand(tensor.shape) for name, tensor in trunk.items()}, path)
    return path


def test_bad_pretrained_files_are_refused(tmp_path, refused, backend):
    data, out = make_data(tmp_path), tmp_path / "run"
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    for path, message in (
        (tmp_path / "none.pth", "none.pth: there is no such file"),
        (tmp_path / "page.pth", "page.pth: not a file of named tensors"),
        (resnet_file(tmp_path / "r34.pth", 34), "r34.pth: unknown tensor "),
    ):
        train = ("train", "--data", data, "--out", out, "--backend", backend, "--pretrained", path, *TINY)
        assert message in refused(*train)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image-size", 60), "--image-size must be one or two multiples of 32, not 60"),
        (("--image-size", 64, 90), "--image-size must be one or two multiples of 32, not 64 90"),
        (("--image-size", 0), "--image-size must be one or two multiples of 32, not 0"),
        (("--epochs", 0), "--epochs must be greater than 0"),
        (("--epochs", "inf"), "--epochs must be greater than 0"),
        (("--backbone-rate", -1), "--backbone-rate must be at least 0 and finite"),
        (("--backbone-rate", 0), "--backbone-rate 0 freezes the ResNet, so it needs a --pretrained one"),
        (("--accumulate", 0), "--accumulate must be greater than 0"),
        (("--batch-size", -1), "--batch-size must be greater than 0"),
        (("--checkpoint-every", 0), "--checkpoint-every must be greater than 0"),
        (("--learning-rate", "nan"), "--learning-rate must be greater than 0"),
        (("--ema-decay", 1), "--ema-decay must be at least 0 and less than 1, not 1.0"),
        (("--warmup", 1), "--warmup must be at least 0 and less than 1"),
        (("--weight-decay", "nan"), "--weight-decay must be at least 0 and finite, not nan"),
        (("--seed", -1), "--seed must be at least 0, not -1"),
        (("--workers", -1), "--workers must be at least 0, not -1"),
        (("--augmentation.colour", 2), "its colour at least 0 and less than 1"),
    ],
)
def test_bad_settings_are_refused(tmp_path, refused, arguments, message):
    assert message in refused("train", "--data", make_data(tmp_path), "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [("--depth", 50), ("--batch-size", "many"), ("--bogus", 1)])
def test_what_tyro_cannot_parse_is_named_with_status_2(capfd, arguments):
    with pytest.raises(SystemExit) as exit_:
        run("train", *arguments)
    assert exit_.value.code == 2
    shown = capfd.readouterr().err
    assert arguments[0] in shown
    assert "Traceback" not in shown


def test_a_folder_with_a_run_is_refused(tmp_path, refused):
    data, out = make_data(tmp_path), tmp_path / "run"
    out.mkdir()
    (out / "metrics.jsonl").write_text("kept\n")
    assert f"{out}: already holds a run" in refused("train", "--data", data, "--out", out, *TINY)
    assert (out / "metrics.jsonl").read_text() == "kept\n"
    (tmp_path / "file").touch()
    assert "file: a file, not a folder" in refused("train", "--data", data, "--out", tmp_path / "file", *TINY)


def test_errors_of_several_lines_come_out_as_one(tmp_path, refused):
    path = tmp_path / "none\nat all.toml"
    assert "none at all.toml: neither a file" in refused("train", "--data", path, "--out", tmp_path / "run")


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
        (missing_model, "none.safetensors: there is no such model file"),
        (text_for_a_model, "bad.safetensors: not a model.safetensors file"),
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
        (lambda folder: [folder / "images/0.png"] * 2, (), "0.png would both be drawn to"),
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


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("train", [*fields(Train), *fields(RecipeOptions), *fields(Augmentation)]),
        ("eval", fields(Eval)),
        ("predict", fields(Predict)),
    ],
)
def test_help_names_every_option(capsys, command, settings):
    with pytest.raises(SystemExit) as exit_:  # as every command's --help does
        main([command, "--help"])
    assert exit_.value.code == 0
    text, positional = capsys.readouterr().out, {"model": "model.safetensors", "pictures": "PICTURE"}
    for setting in settings:
        if setting.name == "recipe":  # its own fields are options without a prefix
            continue
        name = setting.name.replace("_", "-")
        is_nested = setting in fields(Augmentation)
        assert positional.get(setting.name, f"--augmentation.{name}" if is_nested else f"--{name}") in text


# What works

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
    out.mkdir()
    for name in FILES:
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
    assert run("data", "prepare", runs["torch"].data, "--tfds-dir", tmp_path / "tfds") == 0
    arguments = ("--data", f"tfds:{tmp_path / 'tfds'}", "--out", tmp_path / "run", "--backend", "torch", "--seed", 3)
    assert run("train", *arguments, *TINY) == 0
    losses = [
        [line.get("loss", 0) for line in read_metrics(folder)] for folder in (runs["torch"].folder, tmp_path / "run")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(losses[1]) == 4
