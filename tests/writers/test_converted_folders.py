"""What is written where: names of pictures, links, what is replaced, and what is refused before anything is written."""

import json
import os

import pytest
import yaml

from centernet_data.source import open_dataset
from centernet_data.writers.parts import Part
from centernet_data.writers.pictures import file_names, file_names_in_one_folder
from helpers.coco import box, coco, write_json, write_toml
from helpers.datasets import Plain
from helpers.json_changes import change_json
from helpers.small_data import make_data, refused, run
from helpers.tfds_data import picture

FORMATS = pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "source")


def to(kind, data, out, *options):
    return "data", "convert", data, "--format", kind, "--out", out, *options


def part(*names):
    return Part(Plain((((9, 9, 4, 4, 0, 1),),) * len(names), names=names), range(len(names)))


@pytest.mark.parametrize(
    ("names", "by_stem", "expected"),
    [
        (["a.jpg", "b/a.PNG", "車 é.gif", "1"], False, ["a.png", "b/a.png", "車 é.png", "1.png"]),
        (["a.jpg", "a.png", "a-2.png", "a.bmp"], False, ["a.png", "a-2.png", "a-2-2.png", "a-3.png"]),
        (["C:\\x\\a.jpg", "x\\b.jpg", "/x/c.jpg", "../../d.jpg", "./e.jpg", "/"], False,
         ["a.png", "x/b.png", "c.png", "d.png", "e.png", "picture.png"]),
        (["a\nb.jpg", "\udcdf.jpg", ".a/._b.jpg", " a /b .jpg", ".jpg"], False,
         ["a_b.png", "_.png", "_a/__b.png", "a/b.png", "_jpg.png"]),
        (["e\u0301.jpg", "\xe9.jpg"], True, ["e\u0301.png", "\xe9-2.png"]),
        (["images/images.jpg", "images_/images.jpg"], True, ["images_/images.png", "images_/images-2.png"]),
        (["a.b.jpg", "v1.5"], True, ["a.b.png", "v1.5.png"]),
    ],
)  # fmt: skip
def test_names(names, by_stem, expected):
    assert file_names(part(*names), by_stem, avoid="images") == expected


def test_splits_in_one_folder_are_apart_where_they_must_be():
    splits = {"train": part("a.jpg", "b.jpg"), "val": part("c.jpg")}
    assert file_names_in_one_folder(splits) == {"train": ["a.png", "b.png"], "val": ["c.png"]}
    splits["val"] = part("b.gif")
    assert file_names_in_one_folder(splits) == {"train": ["train/a.png", "train/b.png"], "val": ["val/b.png"]}


def test_a_file_that_is_listed_twice_is_one_file_in_coco_and_two_elsewhere(tmp_path):
    picture(tmp_path, "a.png", (20, 30))
    content = coco({"a.png": (20, 30)}, [box(0, 0, 1, 1, 9, 9), box(1, 1, 2, 2, 9, 9)])
    content["images"].append(content["images"][0] | {"id": 1})
    write_json(tmp_path / "boxes.json", content)
    toml = write_toml(tmp_path / "data.toml", {"train": "boxes.json"}, ".")
    for kind, names in {"coco": ["a.png"] * 2, "voc": ["a.png", "a-2.png"]}.items():
        assert run(*to(kind, toml, tmp_path / kind)) == 0
        after = open_dataset(tmp_path / kind / f"{kind}.toml", "train")
        assert [sample.name for sample in after.samples] == names
        assert [sample.objects[0, 4] for sample in after.samples] == [0, 1]


@FORMATS
def test_links_lead_to_the_originals(data, tmp_path, kind, capfd):
    assert run(*to(kind, os.path.relpath(data), tmp_path / "out", "--link", "--name", "mine")) == 0
    links = list((tmp_path / "out").rglob("*.png"))
    assert len(links) == 6
    for link in links:
        assert link.readlink() == tmp_path / "source/images" / f"{link.stem[0]}.png"
    assert capfd.readouterr().out.endswith(f"use it with --data {tmp_path}/out/mine.toml\n")
    for split in ("train", "val"):
        after = open_dataset(tmp_path / "out/mine.toml", split)
        assert [len(sample.objects) for sample in after.samples] == [0, 1, 2]
    assert run(*to(kind, data, tmp_path / "out", "--overwrite")) == 0
    assert sorted(path.name for path in (tmp_path / "source/images").iterdir()) == ["0.png", "1.png", "2.png"]
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_what_has_no_files_cannot_be_linked(tmp_path, capfd):
    message = "shapes: --link: its pictures are in no files of their own; copy them without it"
    assert message in refused(capfd, *to("coco", "shapes", tmp_path / "out", "--link"))
    assert not list(tmp_path.iterdir())


@FORMATS
def test_only_what_was_written_is_replaced(data, tmp_path, kind, capfd):
    out = tmp_path / "out"
    assert run(*to(kind, data, out)) == 0
    assert f"{out}: already exists; choose another --out or give --overwrite" in refused(capfd, *to(kind, data, out))
    inner = next(out.rglob("1.*")).parent
    for path in (out / "notes.txt", inner / "4.png"):
        path.touch()
        assert f"{out}: holds what `centernet data convert` did not write" in refused(
            capfd, *to(kind, data, out, "--overwrite")
        )
        path.unlink()
    own = to(kind, out / "out.toml", out, "--overwrite")
    assert "out: the data set itself is in this folder" in refused(capfd, *own)
    change_json(tmp_path / "source/boxes.json", lambda content: content["images"][2].update(width=63))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    if kind == "yolo":
        assert "2.png: the picture is 64 x 64 pixels" in refused(capfd, *to(kind, data, out, "--overwrite"))
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert run(*to("coco", data, out, "--overwrite")) == 0
    assert (out / "annotations/instances_val.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("foreign", ["file", "folder", "link"])
def test_what_is_another_is_never_replaced(data, tmp_path, foreign, capfd):
    out = tmp_path / "out"
    {"file": out.touch, "folder": out.mkdir, "link": lambda: out.symlink_to(tmp_path / "source")}[foreign]()
    assert "out: holds what `centernet data convert` did not write" in refused(
        capfd, *to("voc", data, out, "--overwrite")
    )
    assert data.exists()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"categories": ["red ", "b"]}, "voc", "Pascal VOC's layout cannot store the class name 'red '"),
        ({"categories": ["a\u0001", "b"]}, "voc", "Pascal VOC's layout cannot store the class name 'a\\x01'"),
        ({"categories": ["a\uffff", "b"]}, "voc", "Pascal VOC's layout cannot store the class name 'a\\uffff'"),
        ({"annotations": []}, "voc", "there are no objects, and Pascal VOC's layout names classes only by them"),
        ({"split": "names"}, "yolo", "[names] cannot name a folder or a list of pictures"),
        ({"split": "images"}, "yolo", "[images] cannot name a folder or a list of pictures"),
        ({"split": "'../x'"}, "coco", "[../x] cannot name a folder or a list of pictures"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(data, tmp_path, change, kind, message, capfd):
    content = json.loads((tmp_path / "source/boxes.json").read_text())
    if "categories" in change:
        content["categories"] = [{"id": n, "name": name} for n, name in enumerate(change["categories"])]
    content["annotations"] = change.get("annotations", content["annotations"])
    write_json(tmp_path / "source/boxes.json", content)
    write_toml(data, {change.get("split", "train"): "boxes.json"})
    assert message in refused(capfd, *to(kind, data, tmp_path / "new/out"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_splits_that_are_named(data, tmp_path):
    assert run(*to("yolo", data, tmp_path / "out", "--split", "val")) == 0
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert content == {"val": "images/val", "names": {0: "red", 1: "blue"}}
    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["val"]
