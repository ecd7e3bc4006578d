"""YOLO's data.yaml: names, paths, and what is wrong with one."""

from pathlib import Path

import numpy as np
import pytest

from centernet_data.readers.yolo_yaml import read_yolo_yaml
from centernet_data.source import how_data_is_taken, open_dataset, split_names
from helpers.yolo import YAML, write_yolo


def yaml_file(folder, text):
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return folder / "data.yaml"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [red, blue]", ["red", "blue"]),
        ("names: {1: blue, 0: red}", ["red", "blue"]),
        ("names:\n  '0': red\n  '1': blue\nnc: 2", ["red", "blue"]),
        ("nc: 2", ["class_0", "class_1"]),
        ("names: [1, 2.5]", ["1", "2.5"]),
    ],
)
def test_names(tmp_path, text, names):
    options, sections = read_yolo_yaml(yaml_file(tmp_path, f"{text}\ntrain: images\n"))
    assert options == {"names": names}
    assert sections == {"train": {"images": [str(tmp_path / "images")]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "YOLO's YAML file should have keys such as train and names, not None"),
        ("- 1", "YOLO's YAML file should have keys"),
        ("train: [", "not YAML: "),
        ("train: a\n\tnc: 1", "not YAML: "),
        ("train: a\nnc: 1\ntrain: b", "not YAML: two values for 'train'.* line 1"),
        ("train: a", "'names' is missing"),
        ("nc: 1", "there is no split"),
        ("nc: 0\ntrain: a", "'nc' should be the number of classes, but is 0"),
        ("nc: 3\nnames: [a, b]\ntrain: a", "'nc' says 3 classes, but 'names' has 2: a, b"),
        ("names: {0: a, 2: b}\ntrain: a", "'names' should number the classes from 0 without gaps, but has 0, 2"),
        ("names: [yes, no]\ntrain: a", "YAML reads a class name as True; write it in quotes"),
        ("names: [a, a]\ntrain: images/train", "duplicate names: a"),
        ("names: 3\ntrain: a", "'names' should be a list or a mapping of class names, but is 3"),
        ("nc: 1\ntrain: 3", "'train' should be a folder or a list of folders, but is 3"),
        ("nc: 1\ntrain: https://x.org/a.zip", "'train' is an address, https://x.org/a.zip; download it"),
        ("nc: 1\npath: 3\ntrain: a", "'path' should be a folder, but is 3"),
        ("nc: 1\ntrain: a\nval: b\nvalid: c", "val, valid say the same"),
        ("nc: 1\ntrain: a\nkpt_shape: 17", "'kpt_shape' should be two positive numbers, but is 17"),
    ],
)
def test_bad_yaml_files(tmp_path, text, message):
    write_yolo(tmp_path, {"a.png": ""})
    with pytest.raises(ValueError, match=rf"data\.yaml: {message}") as error:
        open_dataset(yaml_file(tmp_path, text), "train")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("head", "train"),
    [
        ("", "images/train"),
        ("path: .\n", "images/train"),
        ("path: {folder}\n", "images/train"),
        ("path: images\n", "train"),  # beside the file
        ("path: set/images\n", "train"),  # in the current folder
        ("", "../images/train"),  # as Roboflow writes
        ("path: /elsewhere/set\n", "images/train"),  # the folder was moved
        ("", "[images/train, images/val]"),
        ("", "{folder}/images/train"),
    ],
)
def test_paths(tmp_path, monkeypatch, head, train):
    folder = write_yolo(tmp_path / "set", {"a.png": "1 .5 .5 .1 .1"})
    write_yolo(folder, {"b.png": "1 .5 .5 .1 .1"}, "val")
    monkeypatch.chdir(tmp_path)
    text = (head + f"train: {train}\n").replace("{folder}", str(folder))
    dataset = open_dataset(yaml_file(folder, f"{text}names: [red, blue]\ndownload: import os; os.abort()\n"), "train")
    names = ["train/a.png", "val/b.png"][: 1 + ("[" in train)]
    assert [sample.name for sample in dataset.samples] == names
    for relative in (Path("set"), Path("set/data.yaml")):
        assert [sample.name for sample in open_dataset(relative, "train").samples] == names


def test_a_yaml_file_and_a_toml_file_say_the_same(tmp_path):
    write_yolo(tmp_path, {"a.png": "1 .5 .5 .1 .1"})
    write_yolo(tmp_path, {"b.png": "0 .5 .5 .1 .1"}, "val")
    toml = (
        'format = "yolo"\nnames = ["red", "blue"]\n[train]\nimages = "images/train"\n[val]\nimages = ["images/val"]\n'
    )
    (tmp_path / "data.toml").write_text(toml)
    yaml = yaml_file(tmp_path, YAML.replace("path: .\n", ""))
    assert split_names(yaml) == split_names(tmp_path / "data.toml") == ("train", "val")
    for split in ("train", "val"):
        one, other = open_dataset(yaml, split), open_dataset(tmp_path / "data.toml", split)
        assert one.classes == other.classes == ("red", "blue")
        np.testing.assert_array_equal(one.sample(0).objects, other.sample(0).objects)
    (tmp_path / "data.toml").write_text('classes = ["blue"]\n' + toml)
    assert open_dataset(tmp_path / "data.toml", "train").sample(0).objects[:, 4].tolist() == [0]
    assert (
        "objects left out because their class was not selected: 1" in open_dataset(tmp_path / "data.toml", "val").notes
    )


def test_a_remote_folder_is_refused(tmp_path):
    (tmp_path / "data.yaml").write_text("path: ul://x/a\ntrain: images/train\nnames: [a]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: 'path' is an address, ul://x/a; download it"):
        read_yolo_yaml(tmp_path / "data.yaml")


def test_keypoints_by_either_file(tmp_path):
    write_yolo(tmp_path, {"a.png": "1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 0"})
    yaml = yaml_file(tmp_path, "train: images/train\nnames: [red, blue]\nkpt_shape: [2, 3]\n")
    lines = how_data_is_taken(yaml).rpartition("such as: ")[2].replace("; ", "\n")
    (tmp_path / "data.toml").write_text(lines)
    for data in (yaml, tmp_path / "data.toml"):
        np.testing.assert_allclose(open_dataset(data, "train").sample(0).objects, [[10, 20, 10, 20, 1, 1]])
