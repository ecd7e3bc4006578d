"""The command line: the answer to every mistake, and the files that a run writes."""

import json
from dataclasses import fields

import pytest
import torch

import centernet_torch
from centernet.cli import main
from centernet.commands.eval import Eval
from centernet.commands.predict import Predict
from centernet.commands.runs import Runs
from centernet.commands.train import Train
from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.recipe import RecipeOptions
from helpers.small_data import TINY, make_data, run
from helpers.spoil import no_pictures, spoil_json, spoil_picture, spoil_toml

pytestmark = pytest.mark.usefixtures("quick_compilation")


def with_boxes_of(text):
    return lambda folder: (folder / "boxes.json").write_text(text, encoding="utf-8")


def spoil_box(key, value):
    return spoil_json(lambda content: content["annotations"][1].update({key: value}))


def other_classes_in_val(folder):
    content = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
    content["categories"][0]["name"] = "green"
    (folder / "other.json").write_text(json.dumps(content), encoding="utf-8")
    head, tail = (folder / "data.toml").read_text(encoding="utf-8").split("[val]")
    (folder / "data.toml").write_text(head + "[val]" + tail.replace("boxes", "other"), encoding="utf-8")


def no_objects(content):
    content.update(annotations=[])


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
        (("--image-size", 32, "--batch-size", 1), "--batch-size 1 with --image-size 32 leaves a single value"),
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
        (("--no-augment", "--augmentation.turn"), "--no-augment turns all augmentation off, so the --augmentation"),
        (("--val-share", 2), "--val-share must be between 0 and 1, such as 0.2, not 2.0"),
        (("--val-group", "a"), "--val-group says which pictures --val-share keeps together: give both"),
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
    said = refused("train", "--data", data, "--out", out, *TINY)
    assert f"{out}: holds metrics.jsonl, but not a run's config.toml" in said
    assert "--overwrite" not in said  # which would be refused
    (out / "config.toml").write_text('data = ""\nseed = 0\nepochs = 1\nbatch_size = 2\n')
    said = refused("train", "--data", data, "--out", out, *TINY)
    assert f"{out}: already holds a run" in said
    assert "--overwrite" in said
    assert (out / "metrics.jsonl").read_text() == "kept\n"
    (tmp_path / "file").touch()
    assert "file: a file, not a folder" in refused("train", "--data", data, "--out", tmp_path / "file", *TINY)


def test_errors_of_several_lines_come_out_as_one(tmp_path, refused):
    path = tmp_path / "none\nat all.toml"
    assert "none at all.toml: neither a file" in refused("train", "--data", path, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lack_of_memory_is_one_line(monkeypatch, refused, error):
    monkeypatch.setattr(Runs, "run", lambda self: (_ for _ in ()).throw(error))
    assert "out of memory; a smaller --batch-size" in refused("runs")


def test_other_errors_of_a_framework_are_not_hidden(monkeypatch):
    monkeypatch.setattr(Runs, "run", lambda self: (_ for _ in ()).throw(RuntimeError("INTERNAL: a fault")))
    with pytest.raises(RuntimeError, match="INTERNAL"):
        main(["runs"])


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
