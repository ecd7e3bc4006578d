"""No command replaces what it did not write, unless it is told to; what it wrote itself it replaces."""

import json
import os

import pytest
from PIL import Image

from centernet.training.run_folder import RunFolder
from centernet_data.contract.authors import is_written_by
from helpers.fake_backend import fake_backend  # noqa: F401 (a fixture)
from helpers.small_data import make_data, refused, run

pytestmark = pytest.mark.usefixtures("fake_backend")
SMALL = ("--epochs", 1, "--batch-size", 2, "--image-size", 32)


def contents(folder):
    """What is in a folder: for each link where it leads, for each file what it holds."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def pictures(tmp_path):
    """A folder with a.webp, beside a picture of the user's."""
    (tmp_path / "s").mkdir()
    for name in ("s/a.webp", "user.png"):
        Image.new("RGB", (40, 30), "white").save(tmp_path / name)
    return tmp_path / "s"


def copy_of_users(path):
    path.write_bytes((path.parents[1] / "user.png").read_bytes())


IN_THE_WAY = {
    "a picture": copy_of_users,
    "a link": lambda path: path.symlink_to("../user.png"),
    "a broken link": lambda path: path.symlink_to("nowhere"),
    "a hard link to the input": lambda path: os.link(path.with_name("a.webp"), path),
    "an empty file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("what", IN_THE_WAY)
@pytest.mark.parametrize("name", ["a.png", "detections.json"])
def test_predict_replaces_nothing_of_the_users(pictures, capfd, name, what):
    IN_THE_WAY[what](pictures / name)
    before = contents(pictures)
    assert str(pictures / name) in refused(capfd, "predict", "m", pictures / "a.webp", "--out", pictures)
    assert contents(pictures) == before
    again = run("predict", "m", pictures / "a.webp", "--out", pictures, "--overwrite")
    assert again == (2 if what in ("a folder", "a pipe") else 0)
    assert (contents(pictures) == before) == (again == 2)
    assert contents(pictures)["a.webp"] == before["a.webp"]


def test_predict_replaces_its_own_and_leaves_it_out_of_what_it_looks_at(pictures, capsys):
    for _ in range(2):
        assert run("predict", "m", pictures, "--out", pictures) == 0
    assert sorted(contents(pictures)) == ["a.png", "a.webp", "detections.json"]
    assert "left out 2 (a.png, detections.json): written by an earlier run" in capsys.readouterr().out
    assert run("predict", "m", pictures, "--recursive", "--out", pictures / "drawn") == 2  # a.png and a.webp: one name
    (pictures / "detections.json").write_text("[]")  # as it is where nothing is found
    assert run("predict", "m", pictures / "a.webp", "--out", pictures) == 0


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_predict_does_not_draw_over_its_input_by_another_name(pictures, tmp_path, capfd, link):
    Image.new("RGB", (40, 30)).save(pictures / "b.png")
    (tmp_path / "drawn").mkdir()
    link(pictures / "b.png", tmp_path / "drawn/b.png")
    before = contents(tmp_path)
    assert "b.png: " in refused(capfd, "predict", "m", pictures / "b.png", "--out", tmp_path / "drawn")
    assert contents(tmp_path) == before


def test_names_that_differ_in_case_clash_only_where_the_disk_says_so(pictures, monkeypatch, capfd):
    for name in ("x.JPG", "x.jpg"):
        Image.new("RGB", (40, 30)).save(pictures / name)
    assert run("predict", "m", pictures, "--out", pictures.parent / "drawn") == 0
    monkeypatch.setattr("centernet.commands.predict_work.ignores_case", lambda folder: True)
    assert "would both be drawn to" in refused(capfd, "predict", "m", pictures, "--out", pictures.parent / "drawn")


def test_a_file_in_the_place_of_a_sub_folder_is_named_before_anything_is_computed(pictures, tmp_path, capfd):
    (pictures / "b").mkdir()
    Image.new("RGB", (40, 30)).save(pictures / "b/x.png")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/b").touch()
    said = refused(capfd, "predict", "m", pictures, "--recursive", "--out", tmp_path / "drawn")
    assert "drawn/b: a file, not a folder" in said


NOT_OURS = ("data.toml", "boxes.json", "model", "images", "others.json", "linked.json", "/dev/null", "none/x.json")


@pytest.mark.parametrize(
    "command", ["eval m --data DATA", "data check DATA --out sheet.png", "data bench DATA", "parity", "bench"]
)
def test_numbers_replace_no_file_of_another(tmp_path, capfd, monkeypatch, command):
    data = make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").write_bytes(b"weights")
    (tmp_path / "others.json").write_text(json.dumps({"written_by": "centernet predict"}))
    (tmp_path / "linked.json").symlink_to("boxes.json")
    before = contents(tmp_path)
    arguments = command.replace("DATA", str(data)).split()
    for name in NOT_OURS:
        assert str(tmp_path / name) in refused(capfd, *arguments, "--json", tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", ["eval m --data DATA", "data check DATA --out sheet.png"])
def test_numbers_replace_those_of_the_same_command(tmp_path, monkeypatch, command):
    arguments = command.replace("DATA", str(make_data(tmp_path))).split()
    monkeypatch.chdir(tmp_path)
    others = tmp_path / "others.json"
    others.write_text("[]")
    for path, *overwrite in (("new.json",), ("new.json",), ("others.json", "--overwrite")):
        run(*arguments, "--json", path, *overwrite)
        assert arguments[0] in json.loads((tmp_path / path).read_text())["written_by"]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_sheet_of_pictures_replaces_no_file_of_another(tmp_path, capfd, suffix):
    data, sheet = make_data(tmp_path / "data"), tmp_path / f"sheet{suffix}"
    Image.new("RGB", (40, 30)).save(sheet)
    assert f"{sheet}: there is a file that `centernet data check`" in refused(
        capfd, "data", "check", data, "--out", sheet
    )
    sheet.unlink()
    for _ in range(2):
        assert run("data", "check", data, "--out", sheet) == 1
    assert is_written_by(sheet, "centernet data check")
    assert not is_written_by(sheet, "centernet predict")
    assert "cannot be the same file" in refused(capfd, "data", "check", data, "--out", sheet, "--json", sheet)


def test_a_file_that_only_speaks_of_a_command_is_not_its_own(tmp_path):
    (tmp_path / "a.toml").write_text('# evaluate with centernet eval\nformat = "coco"\n')
    (tmp_path / "a.json").write_text('{"note": "centernet eval", "written_by": "centernet eval"}')
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"tEXtSoftware\0centernet eval")
    assert not any(is_written_by(path, "centernet eval") for path in tmp_path.iterdir())


def users_model(run_folder):
    run_folder.mkdir()
    (run_folder / "model.safetensors").write_bytes(b"mine")


def users_config(run_folder):
    run_folder.mkdir()
    (run_folder / "config.toml").write_text('title = "mine"')


def in_a_run(change):
    def make(out):
        folder = RunFolder(out)
        folder.begin({"data": "shapes", "seed": 0, "epochs": 1, "batch_size": 2})
        for path in (folder.checkpoints, folder.tensorboard):
            path.mkdir()
        for path in (folder.model, folder.curves, folder.checkpoints / "1.json"):
            path.write_bytes(b"of a run")
        change(out)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (users_model, "run: holds model.safetensors, but not a run's config.toml"),
        (users_config, "run: holds config.toml, but not a run's config.toml"),
        (
            in_a_run(lambda out: (out / "checkpoints/mine.txt").touch()),
            "checkpoints: holds what no run wrote (mine.txt)",
        ),
        (in_a_run(lambda out: (out / "tensorboard/notes").mkdir()), "tensorboard: holds what no run wrote (notes)"),
        (in_a_run(lambda out: (out / "curves.png").unlink() or (out / "curves.png").mkdir()), "curves.png: a folder"),
    ],
)
def test_overwriting_a_run_removes_nothing_of_the_users(tmp_path, capfd, make, message):
    data, out = make_data(tmp_path / "data"), tmp_path / "run"
    make(out)
    before = contents(out)
    assert message in refused(capfd, "train", "--data", data, "--out", out, "--overwrite", *SMALL)
    assert contents(out) == before


def test_a_run_does_not_replace_the_weights_that_it_starts_from(tmp_path, capfd):
    data, out = make_data(tmp_path / "data"), tmp_path / "run"
    in_a_run(lambda out: None)(out)
    before = contents(out)
    train = ("train", "--data", data, "--out", out, "--overwrite", *SMALL)
    for weights in ("model.safetensors", "checkpoints/1.json"):
        assert f"{weights}: the run in {out} would replace it" in refused(capfd, *train, "--pretrained", out / weights)
    assert contents(out) == before
    assert run(*train) == 0
