"""Choosing pictures of a data set: what is kept, what is drawn at random, and that the source is not changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet.cli import main
from centernet_data.source import open_dataset, open_train_and_val, split_names
from centernet_data.writers.parts import read_ids
from helpers.coco import box, coco, write_json
from helpers.datasets import Plain, grey
from helpers.json_changes import change_json
from helpers.small_data import refused
from helpers.voc import TOML as VOC_TOML
from helpers.voc import item, write_voc, xml

TOML = 'format = "coco"\nclasses = ["blue"]\n[{split}]\nimages = "images"\nannotations = "boxes.json"\n'


def make_data(folder, split="train"):
    """Writes ten pictures with one box each, half of them in a subfolder. Returns the path of data.toml."""
    (folder / "images/sub").mkdir(parents=True)
    names = [f"sub/{n}.png" if n % 2 else f"{n}.png" for n in range(10)]
    for n, name in enumerate(names):
        Image.new("RGB", (30, 20), (20 * n, 0, 0)).save(folder / "images" / name)
    boxes = [box(7 * n, 9, n, 2, 4, 5, id=n, mine=n) for n in reversed(range(10))]
    content = coco(dict.fromkeys(names, (20, 30)), boxes) | {"info": {"year": 2026}}
    content["categories"] = [{"id": 3, "name": "red"}, {"id": 9, "name": "blue"}]
    for image in content["images"]:
        image["id"] *= 7
    write_json(folder / "boxes.json", content)
    (folder / "data.toml").write_text(TOML.format(split=split))
    return folder / "data.toml"


def cut(data, out, *options):
    return main(["data", "convert", str(data), "--format", "coco", "--out", str(out), *map(str, options)])


def read(folder, split="train"):
    return json.loads((folder / f"annotations/instances_{split}.json").read_text())


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_by_ids(tmp_path, capsys):
    data = make_data(tmp_path)
    (tmp_path / "ids.txt").write_text("# three of them\n21\n7  # in a folder\n\n56\n")
    assert cut(data, tmp_path / "few", "--ids", tmp_path / "ids.txt") == 0
    content, whole = read(tmp_path / "few"), json.loads((tmp_path / "boxes.json").read_text())
    assert content["images"] == [whole["images"][n] for n in (1, 3, 8)]
    assert [box["mine"] for box in content["annotations"]] == [8, 3, 1]
    assert (content["info"], content["categories"]) == (whole["info"], whole["categories"])
    pictures = files(tmp_path / "few/images/train")
    assert {str(path) for path in pictures} == {"sub/1.png", "sub/3.png", "8.png"}
    assert all((tmp_path / "images" / path).read_bytes() == data for path, data in pictures.items())
    out = f"train: 3 pictures with 3 objects\nuse it with --data {tmp_path}/few/few.toml\n"
    assert capsys.readouterr().out == out
    train, _ = open_train_and_val(tmp_path / "few/few.toml")
    assert train.classes == ("blue",)
    assert [sample.name for sample in train.samples] == ["sub/1.png", "sub/3.png", "8.png"]


def test_drawn_by_the_seed(tmp_path):
    data = make_data(tmp_path, "val")
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        assert cut(data, tmp_path / name, "--count", 4, "--split", "val", "--seed", seed) == 0
    names = {
        name: [image["file_name"] for image in read(tmp_path / name, "val")["images"]] for name in ("a", "again", "b")
    }
    assert names["a"] == names["again"] != names["b"]
    assert len(set(names["a"])) == 4
    assert split_names(tmp_path / "a/a.toml") == ("val",)
    assert read(tmp_path / "a", "val") == read(tmp_path / "again", "val")


@pytest.fixture
def voc(tmp_path):
    """Three pictures, each with one object and a difficult one; both reach beyond the picture."""
    annotations = {
        name: xml(*(item("dog", 3, y, 40, 9, extra=f"<difficult>{k}</difficult>") for k, y in enumerate((n, 1))))
        for n, name in enumerate("abc", start=1)
    }
    write_voc(tmp_path, dict(reversed(annotations.items())))
    (tmp_path / "data.toml").write_text(VOC_TOML)
    return tmp_path


def test_voc_becomes_coco(voc, capsys):
    (voc / "ids.txt").write_text("a\nc\n")
    assert cut(voc / "data.toml", voc / "few", "--ids", voc / "ids.txt") == 0
    assert "in the whole section: difficult objects, neither trained on nor scored: 3" in capsys.readouterr().out
    before, after = open_dataset(voc / "data.toml", "train"), open_dataset(voc / "few/few.toml", "train")
    assert after.classes == before.classes
    assert [sample.name for sample in after.samples] == ["c.jpg", "a.jpg"]
    for index, old in ((0, before.samples[0]), (1, before.samples[2])):
        new = after.samples[index]
        for field in ("objects", "areas", "ignored"):
            np.testing.assert_allclose(getattr(new, field), getattr(old, field), atol=1e-12)
        np.testing.assert_array_equal(after.picture(index), before.picture(2 * index))


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ("b.jpg\nday/b.jpg", ["b.jpg", "day/b.jpg"]),
        ("day/b\nc", ["day/b.jpg", "day/c.jpg"]),
        ("b", ["b.jpg"]),
        ("d", r"ids.txt: several pictures of [train] are called d: one/d.jpg, two/d.jpg"),
        ("day/c\nc", "ids.txt: two of the ids mean one picture, day/c.jpg"),
    ],
)
def test_pictures_without_ids_are_chosen_by_name(tmp_path, capsys, ids, names):
    for folder in ("JPEGImages", "Annotations"):
        for inner in ("day", "one", "two"):
            (tmp_path / folder / inner).mkdir(parents=True)
    write_voc(tmp_path, dict.fromkeys(("day/b", "b", "day/c", "one/d", "two/d"), xml(item("dog", 3, 3, 9, 9))))
    (tmp_path / "data.toml").write_text(VOC_TOML)
    (tmp_path / "ids.txt").write_text(ids)
    status = cut(tmp_path / "data.toml", tmp_path / "few", "--ids", tmp_path / "ids.txt")
    if isinstance(names, str):
        assert (status, names in capsys.readouterr().err) == (2, True)
    else:
        found = [sample.name for sample in open_dataset(tmp_path / "few/few.toml", "train").samples]
        assert (status, sorted(found)) == (0, names)


def test_shapes_become_coco(tmp_path):
    assert cut("shapes", tmp_path / "few", "--count", 2, "--split", "val", "--seed", 5) == 0
    after, before = open_dataset(tmp_path / "few/few.toml", "val"), open_dataset("shapes", "val")
    for index, sample in enumerate(after.samples):
        number = int(Path(sample.name).stem.rpartition("-")[2])
        np.testing.assert_allclose(sample.objects, before.sample(number).objects, atol=1e-4)
        np.testing.assert_array_equal(after.picture(index), before.picture(number))


def test_pictures_without_files_are_written_into_the_folder_under_any_name(tmp_path, monkeypatch):
    names = ("a.jpg", "../b.jpg", str(tmp_path / "c.jpg"), "sub/d", "e")
    dataset = Plain((((9, 9, 4, 4, 0, 1),),) * 5, names=names)
    monkeypatch.setattr("centernet_data.writers.parts.open_splits", lambda data, names: {"train": dataset})
    assert cut("shapes", tmp_path / "few", "--count", 5) == 0
    after = open_dataset(tmp_path / "few/few.toml", "train")
    assert [sample.name for sample in after.samples] == ["a.png", "b.png", "c.png", "sub/d.png", "e.png"]
    assert [after.picture(index).max() for index in range(5)] == [grey(index) for index in range(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["few"]


def spoil_ids(text):
    return lambda folder: (folder / "ids.txt").write_bytes(text)


def spoil_json(change):
    return lambda folder: change_json(folder / "boxes.json", change)


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (None, ("--count", 11), "data.toml: [train] has 10 pictures, not 11"),
        (None, ("--count", 1, "--split", "test"), "data.toml: there is no section [test]"),
        (lambda folder: (folder / "ids.txt").unlink(), ("--ids", "ids.txt"), "ids.txt: the file of ids does not exist"),
        (spoil_ids(b"# nothing\n"), ("--ids", "ids.txt"), "ids.txt: there are no ids in the file"),
        (spoil_ids(b"\xff"), ("--ids", "ids.txt"), "ids.txt: not a text file: 'utf-8' codec"),
        (spoil_ids(b"7\n7\n"), ("--ids", "ids.txt"), "ids.txt: duplicate ids: 7"),
        (spoil_ids(b"7\n8\n9\n"), ("--ids", "ids.txt"), "ids.txt: 2 ids are not in [train] of"),
        (lambda folder: (folder / "images/sub/1.png").unlink(), ("--ids", "ids.txt"), "1 of 10 pictures are missing"),
        (spoil_json(lambda content: content["annotations"][4].pop("image_id")), ("--count", 2), "annotation 5: 'image"),
        (lambda folder: (folder / "new/few").mkdir(parents=True), ("--count", 2), "few: already exists; choose"),
    ],
)
def test_refused_subsets_leave_no_files(tmp_path, monkeypatch, capsys, spoil, options, message):
    data = make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("7\n14\n")
    if spoil:
        spoil(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert cut(data, tmp_path / "new/few", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ids", "ids.txt", "--count", 3), "--ids and --count both say which pictures to write; give one of them"),
        (("--count", 1, "--split", "train", "val"), "--ids and --count choose pictures of one --split, not of 2"),
        (("--split", "val", "val"), "--split names a section twice"),
        (("--link", "--format", "tfds"), "--link cannot be used with --format tfds"),
        (("--count", 0), "--count must be at least 1, not 0"),
        (("--count", 1, "--seed", -1), "--seed must be at least 0, not -1"),
    ],
)
def test_bad_options_are_refused(tmp_path, capsys, options, message):
    data = make_data(tmp_path)
    assert message in refused(capsys, "data", "convert", data, "--format", "coco", "--out", tmp_path / "few", *options)


def test_real_photographs_are_what_a_list_of_their_ids_cuts_out(tiny_coco, tmp_path):
    """The larger data set is TinyCoco with more pictures between its own."""
    content = json.loads((tiny_coco / "instances.json").read_text())
    (tmp_path / "images").symlink_to(tiny_coco / "images")
    more = [{**content["images"][n], "id": -1 - n} for n in range(3)]
    boxes = [{**content["annotations"][0], "id": -1 - n, "image_id": -1 - n} for n in range(3)]
    larger = content | {"images": [], "annotations": [*boxes, *content["annotations"]]}
    for n, image in enumerate(content["images"]):
        larger["images"] += [image, *more[n : n + 1]]
    (tmp_path / "boxes.json").write_text(json.dumps(larger))
    (tmp_path / "data.toml").write_text(TOML.format(split="train").replace("blue", "person"))
    (tmp_path / "ids.txt").write_text("\n".join(str(image["id"]) for image in content["images"]))
    assert cut(tmp_path / "data.toml", tmp_path / "tiny", "--ids", tmp_path / "ids.txt") == 0
    assert read(tmp_path / "tiny") == content
    assert files(tmp_path / "tiny/images/train") == files(tiny_coco / "images")


def test_a_list_of_ids_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "ids.txt").write_text("\ufeff21\n7\n", encoding="utf-8")
    assert read_ids(tmp_path / "ids.txt") == ["21", "7"]
