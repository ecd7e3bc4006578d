"""`centernet data fetch`, against a server on this machine that stands in place of all others."""

import json
import re
import zipfile
from importlib import resources
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from centernet.commands.known_data import KNOWN_DATA
from centernet.download import MIRROR
from centernet.lock import only_writer
from centernet.presets import PRESETS
from centernet_data.readers.description import read_description
from centernet_data.source import open_dataset
from helpers.file_server import Served, serving
from helpers.small_data import refused, run
from helpers.voc import item, xml

BCCD = KNOWN_DATA["bccd"].archives[0]


def jpeg():
    buffer = BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "jpeg")
    return buffer.getvalue()


def zip_of(files):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def blood(tmp_path, monkeypatch):
    """A server of a small BCCD; the working folder is empty."""
    files = {
        "Annotations/a.xml": xml(item("RBC", 3, 4, 20, 15)),
        "JPEGImages/a.jpg": jpeg(),
        "ImageSets/Main/train.txt": "a\n",
        "ImageSets/Main/val.txt": "a\n",
    }
    packed = zip_of({BCCD.inside + name: content for name, content in files.items()} | {"README.md": "all"})
    served = Served(packed, says_length=False)
    monkeypatch.chdir(tmp_path)
    with serving({urlsplit(BCCD.remote.url).path: served}) as server:
        monkeypatch.setenv(MIRROR, server)
        yield served


def test_an_archive_becomes_a_data_set(blood, capsys):
    assert run("data", "fetch", "bccd") == 0
    said = capsys.readouterr().out
    assert "terms of use: MIT licence" in said
    assert "data/bccd/BCCD: 4 files; 1 others of the archive left out" in said
    assert "ready: centernet train --image-size 256 --depth 34 --epochs 85 --data data/bccd/bccd.toml" in said
    assert sorted(path.name for path in Path("data/bccd").iterdir()) == ["BCCD", "bccd.toml"]
    assert open_dataset("data/bccd/bccd.toml", "train").classes == ("RBC",)
    assert run("data", "fetch", "bccd") == 0
    assert "data/bccd/BCCD: is there already" in capsys.readouterr().out
    assert len(blood.asked) == 1


def test_a_file_brought_by_hand_is_used_and_kept_and_so_is_a_toml_file(blood, capsys):
    archive, toml = Path("mine", BCCD.remote.name), Path("mine/bccd.toml")
    archive.parent.mkdir()
    archive.write_bytes(blood.content)
    toml.write_text("mine")
    assert run("data", "fetch", "bccd", "--out", "mine") == 0
    assert "mine/bccd.toml: is there already with other content; kept as it is" in capsys.readouterr().out
    assert (archive.read_bytes(), toml.read_text(), blood.asked) == (blood.content, "mine", [])


def test_a_dry_run_fetches_nothing(blood, capsys):
    assert run("data", "fetch", "bccd", "--dry-run") == 0
    said = capsys.readouterr().out
    assert f"{BCCD.remote.address} (size not published, no hash published)" in said
    assert 'data/bccd/bccd.toml:\n  format = "voc"' in said
    assert blood.asked == []
    assert list(Path().iterdir()) == []


def test_two_at_once(blood, capsys):
    with only_writer(Path("data/bccd")):
        assert "is writing there; wait for its end" in refused(capsys, "data", "fetch", "bccd")


def test_what_is_no_archive_is_refused_and_leaves_no_folder(blood, capsys):
    blood.content = b"not an archive"
    assert "damaged, or no archive that can be read" in refused(capsys, "data", "fetch", "bccd")
    assert [path.name for path in Path("data/bccd").iterdir()] == [BCCD.remote.name]
    blood.status = 404
    message = refused(capsys, "data", "fetch", "bccd", "--out", "new")
    assert "the server says 404" in message
    assert f"brought by hand belongs at new/{BCCD.remote.name}" in message
    assert "the server says 404" in refused(capsys, "data", "fetch", "tiny_coco", "--out", "new")
    assert not Path("new").exists()


def packaged():
    return json.loads(resources.files("centernet_data").joinpath("tiny_coco.json").read_text(encoding="utf-8"))


def test_single_pictures(tiny_coco, tmp_path, monkeypatch, capsys):
    content = packaged()
    files = {
        urlsplit(image["coco_url"]).path: Served((tiny_coco / "images" / image["file_name"]).read_bytes())
        for image in content["images"]
    }
    with serving(files) as server:
        monkeypatch.setenv(MIRROR, server)
        assert run("data", "fetch", "tiny_coco", "--out", tmp_path / "tiny") == 0
        assert run("data", "fetch", "tiny_coco", "--out", tmp_path / "tiny") == 0
    assert all(len(served.asked) == 1 for served in files.values())
    assert f"ready: centernet train --preset tiny_coco --data {tmp_path}/tiny/tiny_coco.toml" in capsys.readouterr().out
    dataset = open_dataset(tmp_path / "tiny/tiny_coco.toml", "train")
    assert (len(dataset), dataset.classes) == (16, ("person",))


def test_the_packaged_boxes_are_cocos(tiny_coco):
    ours, theirs = packaged(), json.loads((tiny_coco / "instances.json").read_text())
    for key in ("images", "annotations"):
        assert len(ours[key]) == len(theirs[key])
        for record, whole in zip(ours[key], theirs[key], strict=True):
            assert record == {**{name: whole[name] for name in whole.keys() & record.keys()}, **extra(record)}
    assert ours["categories"] == theirs["categories"]
    assert "CC BY 4.0" in ours["info"]["credit"]


def extra(record):
    """What the packaged records of pictures have besides COCO's."""
    return {name: record[name] for name in ("bytes", "sha256") if name in record}


@pytest.mark.parametrize("name", KNOWN_DATA)
def test_the_table(name, tmp_path):
    known = KNOWN_DATA[name]
    (tmp_path / "data.toml").write_text(known.toml)
    description = read_description(tmp_path / "data.toml")
    folders = {
        value.partition("/")[0] for split in description.sections for value in description.section(split).values()
    }
    assert {archive.folder for archive in known.archives} <= folders
    for archive in known.archives:
        assert re.fullmatch("[0-9a-f]{64}", archive.remote.sha256 or "0" * 64)
        assert not archive.inside or archive.inside.endswith("/")
    preset = known.options.removeprefix("--preset ")
    assert preset in PRESETS or preset == known.options
