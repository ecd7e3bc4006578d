"""The benchmark of data loading: what it reports, not how fast the machine is."""

import json
import resource
from unittest.mock import ANY

import numpy as np
import pytest

from centernet.cli import main
from centernet.commands.data_bench_work import (
    _peak_memory,
    milliseconds_by_stage,
    pictures_per_second,
    seconds_of_reading,
)
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.synthetic.shapes import ShapesDataset
from helpers.small_data import refused
from parity.data_loader import by_data_loader

BATCHES = Batches(ShapesDataset(count=4, size=(48, 64)), 2, (32, 32), "letterbox", Augmentation(), seed=0)


def test_the_stages_are_all_there_and_take_time():
    stages = milliseconds_by_stage(BATCHES, 2)
    assert list(stages) == [
        "order",
        "window",
        "objects",
        "reading and decoding",
        "warping",
        "colour",
        "all, with stacking",
    ]
    assert min(stages.values()) > 0


def test_without_torch_there_is_nothing_to_compare_with(monkeypatch):
    monkeypatch.setattr("centernet.commands.data_bench_work.open_data_loader", lambda: None)
    numbers = pictures_per_second(BATCHES, (0,), 2)
    assert numbers[0].keys() == {"pictures_per_second"}
    assert numbers[0]["pictures_per_second"] > 0


def test_torchs_loader_makes_the_same_batches():
    for step, batch in enumerate(by_data_loader(BATCHES, 3, 6, workers=0), start=3):
        for name, values in BATCHES[step].items():
            np.testing.assert_array_equal(batch[name].numpy(), values)
    assert step == 5


def test_the_command_prints_its_tables_and_writes_the_numbers(tmp_path, capsys):
    path = tmp_path / "bench.json"
    options = ["--image-size", "32", "--batch-size", "2", "--batches", "1", "--workers", "0"]
    assert main(["data", "bench", "shapes", *options, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    for text in ("shapes: 4000 pictures; 32 x 32, batches of 2", "warping", "threads", "torch's DataLoader"):
        assert text in printed
    numbers = json.loads(path.read_text())
    assert numbers["workers"]["0"].keys() == {"pictures_per_second", "data_loader", "ratio"}
    assert numbers["stages"].keys() >= {"warping", "colour"}
    assert numbers["start"].keys() >= {"reading the annotations"}
    assert any(name.startswith("first batch") for name in numbers["start"])


def test_memory_for_reading_is_that_of_the_process(monkeypatch):
    peak = _peak_memory()
    if peak is None:
        pytest.skip("only Linux tells it")
    assert peak == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rel=0.05)
    monkeypatch.setattr("centernet.commands.data_bench_work._peak_memory", iter([100.0, 130.0]).__next__)
    assert seconds_of_reading(lambda: "opened") == ("opened", {"reading the annotations": ANY, "memory for that": 30})


@pytest.mark.parametrize("option", [("--workers", "-1"), ("--batches", "0"), ("--batch-size", "0")])
def test_bad_settings_are_refused(option, capsys):
    message = refused(capsys, "data", "bench", "shapes", *option)
    assert "must be at least 1, --workers at least 0" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shapes", "--json", "absent/a.json"), "its folder does not exist"),
        (("absent.toml",), "absent.toml: neither a file nor"),
        (("shapes", "--split", "test"), "there is no split 'test'"),
    ],
)
def test_bad_data_is_refused_in_one_line(arguments, message, capsys):
    assert main(["data", "bench", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1
