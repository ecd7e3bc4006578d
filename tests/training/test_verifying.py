"""What `centernet train` says of verified pictures, and what a damaged one does that was not verified."""

import io

import numpy as np
import pytest
from PIL import Image

from centernet.terminal import PlainConsole
from centernet.training.verifying import verify_splits
from centernet_data.source import open_dataset
from helpers.fake_backend import fake_backend  # noqa: F401 (a fixture)
from helpers.small_data import make_data, refused, run

LINE = "verified 6 pictures"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("CENTERNET_CACHE_DIR", str(tmp_path / "cache"))
    return make_data(tmp_path)


@pytest.fixture
def train(data, capsys, fake_backend):  # noqa: F811
    """Trains for two steps. Returns stdout and stderr."""

    def train(*options):
        arguments = ("--data", data, "--out", data.parent / "run", "--overwrite", "--image-size", 32, "--epochs", 1)
        assert run("train", *arguments, "--batch-size", 2, *options) == 0
        return capsys.readouterr()

    return train


def spoil(data):
    path = data.parent / "images/1.png"
    path.write_bytes(path.read_bytes()[:1000])


def test_a_second_start_knows_the_pictures(train, data):
    said, _ = train()
    assert f"{LINE} (3 read, 3 known from earlier)\n" in said  # val has the pictures of train
    said, _ = train()
    assert f"{LINE} (0 read, 6 known from earlier)\n" in said
    (data.parent / "images/0.png").touch()
    assert f"{LINE} (1 read, 5 known from earlier)\n" in train()[0]
    assert [path.name for path in (data.parent / "cache").iterdir()] == ["verified_pictures.sqlite"]


def test_a_memory_that_cannot_be_used_is_said_once(train, data):
    (data.parent / "cache").touch()
    said, complaint = train()
    assert f"{LINE}\n" in said
    assert complaint.count("verified_pictures.sqlite: cannot be used to remember verified pictures (") == 1
    assert complaint.endswith("); all pictures are verified at each start\n")
    assert len(complaint.splitlines()) == 1


def test_an_empty_variable_means_that_nothing_is_remembered(train, data, monkeypatch):
    monkeypatch.setenv("CENTERNET_CACHE_DIR", "")
    assert [f"{LINE}\n" in train()[0] for _ in range(2)] == [True, True]
    assert not (data.parent / "cache").exists()


def test_unverified_a_damaged_picture_is_named_when_it_is_reached(train, data, capsys):
    said, _ = train("--no-verify")
    assert "the pictures are not verified (--no-verify)" in said
    assert "verified 6" not in said
    spoil(data)
    arguments = ("train", "--data", data, "--out", data.parent / "other", "--image-size", 32)
    for options in ((), ("--no-verify",)):
        assert "images/1.png: the picture cannot be decoded" in refused(capsys, *arguments, *options)


def test_of_several_processes_each_verifies_its_share_and_all_stop(data):
    spoil(data)
    splits, shown = {"train": open_dataset(data, "train")}, io.StringIO()
    console = PlainConsole()
    console.file = shown
    gathered = []

    def all_gather(values):
        gathered.append(values)
        return np.array([[2, 0, 0], values]) if len(gathered) == 1 else np.array([values, [0, 0, 1]])

    with pytest.raises(ValueError, match=r"images/1\.png"):
        verify_splits(splits, console, (1, 2), all_gather)
    with pytest.raises(ValueError, match="another process found a picture that cannot be used"):
        verify_splits(splits, console, (0, 2), all_gather)
    assert [values.tolist() for values in gathered] == [[0, 0, 1], [2, 0, 0]]
    Image.new("RGB", (64, 64)).save(data.parent / "images/1.png")
    verify_splits(splits, console, (1, 2), lambda values: np.array([[0, 2, 0], values]))
    assert shown.getvalue() == "verified 3 pictures (1 read, 2 known from earlier)\n"
