"""`centernet train --preset`: its settings, and that explicit options override them."""

import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from centernet.cli import parse
from centernet.commands.train import Train
from centernet.presets import PRESETS
from centernet_data.contract.recipe import Recipe
from helpers.small_data import TINY, make_data, run

TRAINING = Path(__file__).parents[2] / "docs" / "training.md"
all_presets = pytest.mark.parametrize("name", PRESETS)


def train(*arguments):
    return parse(["train", *map(str, arguments)])


def test_each_preset_can_be_chosen():
    names, _ = get_args(get_type_hints(Train)["preset"])
    assert get_args(names) == tuple(PRESETS)
    assert {name: train("--preset", name) for name in PRESETS} == {n: p.settings for n, p in PRESETS.items()}
    assert train() == Train()


@all_presets
def test_explicit_options_override_the_preset(name):
    given = ("--learning-rate", 0.5, "--augment", "--no-flip-test", "--image-size", 64, 96, "--weight-decay", 0.25)
    settings = PRESETS[name].settings
    expected = replace(
        settings,
        recipe=replace(settings.recipe, learning_rate=0.5, weight_decay=0.25),
        augment=True,
        flip_test=False,
        image_size=(64, 96),
        data="mine.toml",
    )
    assert train("--preset", name, *given, "--data", "mine.toml") == expected
    assert train("--data=mine.toml", *given, f"--preset={name}") == expected


@all_presets
def test_the_training_page_has_what_help_says(name, capsys):
    preset = PRESETS[name]
    assert f"| `{preset.command}` | {preset.source} | {preset.expected} |" in TRAINING.read_text(encoding="utf-8")
    command = parse(shlex.split(preset.command)[1:])
    assert replace(command, pretrained=None) == preset.settings
    with pytest.raises(SystemExit) as exit_:
        train("--preset", name, "--help")
    assert exit_.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for told in (
        preset.command,
        preset.source,
        preset.expected,
        f"--epochs FLOAT How often each picture is shown. (default: {preset.settings.epochs})",
    ):
        assert told in text


@pytest.mark.parametrize(("name", "epochs"), [("coco", (90, 120)), ("voc", (45, 60))])
def test_the_authors_drops_fall_where_theirs_do(name, epochs):
    settings, per_epoch = PRESETS[name].settings, 1000
    recipe = Recipe(**vars(settings.recipe), total_steps=int(settings.epochs * per_epoch))
    assert settings.recipe.schedule == "drops"
    assert recipe.drop_steps == tuple(epoch * per_epoch for epoch in epochs)


@pytest.mark.parametrize("arguments", [("train", "--preset", "cocoo"), ("runs", "--preset", "coco")])
def test_unknown_presets_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(arguments)
    assert exit_.value.code == 2
    assert "--preset" in capsys.readouterr().err


def test_a_run_lists_all_settings_and_the_same_command_resumes_it(tmp_path, capsys):
    data, out = make_data(tmp_path), tmp_path / "run"
    given = ("--data", data, "--out", out, "--backend", "torch", *TINY)
    assert run("train", "--preset", "voc", *given) == 0
    written = tomllib.loads((out / "config.toml").read_text(encoding="utf-8"))
    assert written.keys() == train("--preset", "voc", *given).as_toml().keys()
    assert (written["preset"], written["learning_rate"], written["epochs"]) == ("voc", 1.25e-4, 2)
    assert run("train", "--preset", "voc", *given, "--resume") == 0
    assert "resuming from the checkpoint of step 3" in capsys.readouterr().out
    assert run("train", *given, "--resume") == 2
    assert (
        "was started with different settings: evaluate-every 5 (now 0), flip-test True (now False),"
        in capsys.readouterr().err
    )
