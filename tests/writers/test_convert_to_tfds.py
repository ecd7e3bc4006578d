"""Converting to TFDS replaces only a TFDS data set, and stores pictures of any name."""

import json
import os

import pytest

from centernet_data.source import open_dataset, split_names
from helpers.small_data import make_data, refused, run

pytest.importorskip("tensorflow_datasets")


def to_tfds(data, folder):
    return "data", "convert", data, "--format", "tfds", "--out", folder, "--name", "small"


def test_overwriting_removes_nothing_that_no_tfds_data_set_has(tmp_path, capfd):
    prepare = (*to_tfds(make_data(tmp_path / "d"), tmp_path), "--overwrite")
    folder = tmp_path / "small/1.0.0"
    (folder / "mine").mkdir(parents=True)
    assert f"{folder}: holds what no TFDS data set has (mine)" in refused(capfd, *prepare)
    (folder / "mine").rmdir()
    for _ in range(2):
        assert run(*prepare) == 0
    (folder / "notes.txt").touch()
    assert "(notes.txt)" in refused(capfd, *prepare)
    assert (folder / "notes.txt").exists()


def test_a_file_name_that_is_not_utf8_is_stored_with_escapes(tmp_path):
    data, odd = make_data(tmp_path / "d"), os.fsdecode(b"Stra\xdfe.png")
    (tmp_path / "d/images/0.png").rename(tmp_path / "d/images" / odd)
    content = json.loads((tmp_path / "d/boxes.json").read_text())
    content["images"][0]["file_name"] = odd
    (tmp_path / "d/boxes.json").write_text(json.dumps(content))
    assert run(*to_tfds(data, tmp_path)) == 0
    stored = open_dataset(f"tfds:{tmp_path / 'small'}", "train")
    assert stored.sample(0).name == "Stra\\udcdfe.png"


def test_chosen_pictures(tmp_path, capfd):
    data = make_data(tmp_path / "d")
    (tmp_path / "ids.txt").write_text("2\n0\n")
    assert run(*to_tfds(data, tmp_path), "--ids", tmp_path / "ids.txt", "--split", "val") == 0
    assert capfd.readouterr().out.startswith("val: 2 pictures with 2 objects\n")
    stored = open_dataset(f"tfds:{tmp_path / 'small'}", "val")
    assert [sample.name for sample in stored.samples] == ["0.png", "2.png"]
    assert split_names(f"tfds:{tmp_path / 'small'}") == ("val",)
