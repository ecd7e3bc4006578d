"""Data sets by name or by TOML file: every format opens, and every mistake in the file is named."""

import json

import numpy as np
import pytest
from PIL import Image

from centernet_data.source import open_dataset, open_splits, open_train_and_val
from helpers.coco import box, coco
from helpers.voc import item, write_voc, xml

COCO = 'format = "coco"\n[train]\nimages = "pictures"\nannotations = "train.json"\n'
VAL = '[val]\nimages = "pictures"\nannotations = "val.json"\n'
COCOTEXT = COCO.replace('"coco"', '"cocotext"') + 'split = "train"\n'
VOC = 'format = "voc"\n[train]\nroot = "voc"\nsplit = "train"\n'


def content(classes=("dog", "cat"), image_count=1, object_count=1):
    """A COCO file's content, whose pictures differ in their ids alone."""
    annotations = [box(0, 0, 1, 2, 3, 4)] * object_count
    made = coco({"a.jpg": (20, 30)}, annotations, classes)
    return json.dumps(made | {"images": [made["images"][0] | {"id": index} for index in range(image_count)]})


@pytest.fixture
def folder(tmp_path):
    """A folder with one picture, annotated as COCO and as VOC; a TOML file can be added."""
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "pictures/a.jpg")
    write_voc(tmp_path / "voc", {"a": xml(item("dog", 1, 1, 9, 9))})
    (tmp_path / "train.json").write_text(content())
    (tmp_path / "val.json").write_text(content())
    return tmp_path


def write(folder, text):
    (folder / "data.toml").write_text(text, encoding="utf-8")
    return folder / "data.toml"


def test_coco_with_paths_relative_to_the_file(folder, monkeypatch):
    monkeypatch.chdir("/")
    dataset = open_dataset(str(write(folder, COCO)), "train")
    assert dataset.classes == ("dog", "cat")
    assert dataset.picture(0).shape == (20, 30, 3)


def test_classes_are_passed_on(folder):
    path = write(folder, 'classes = ["cat"]\n' + COCO)
    assert open_dataset(path, "train").classes == ("cat",)
    path = write(folder, 'classes = ["dog"]\n' + VOC)
    assert open_dataset(path, "train").classes == ("dog",)


def test_voc_and_sections_of_any_name(folder):
    dataset = open_dataset(write(folder, VOC.replace("[train]", "[held-out]")), "held-out")
    assert dataset.classes == ("dog",)
    assert len(dataset.sample(0).objects) == 1


def test_voc_that_counts_from_0(folder):
    one, other = (open_dataset(write(folder, head + VOC), "train").sample(0) for head in ("", "first_pixel = 0\n"))
    np.testing.assert_allclose(one.objects[0, :2] + 0.5, other.objects[0, :2])


def test_cocotext_with_its_options(folder):
    word = {"class": "handwritten", "legibility": "illegible", "image_id": 0, "bbox": [1, 2, 3, 4], "area": 9}
    image = {"file_name": "a.jpg", "width": 30, "height": 20, "set": "train"}
    (folder / "train.json").write_text(json.dumps({"imgs": {"0": image}, "anns": {"1": word}}))
    assert len(open_dataset(write(folder, COCOTEXT), "train").sample(0).ignored) == 1
    kept = "ignore_illegible = false\n" + COCOTEXT
    assert len(open_dataset(write(folder, kept), "train").sample(0).objects) == 1
    assert len(open_dataset(write(folder, "least_area = 0.1\n" + kept), "train").sample(0).ignored) == 1
    by_class = 'classes = ["handwritten"]\n' + kept
    assert open_dataset(write(folder, by_class), "train").classes == ("handwritten",)


@pytest.mark.parametrize("name", ["shapes", "scene-text"])
def test_rendered_ones_are_built_in(name):
    train, val = open_train_and_val(name)
    assert train.classes == val.classes
    assert len(train) > len(val) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('format = "coco"\nclasses = dog\n', "not TOML: .*line 2"),
        ("", "'format' is missing; it should be one of: coco, cocotext, voc, yolo"),
        ('format = "yoIo"', "no such format: 'yoIo'; there are: coco, cocotext, voc, yolo"),
        ('format = "yolo"', "'names' is missing: the names of the classes 0, 1, ... in the label files"),
        ('format = "yolo"\nnames = "dog"', "'names' should be a list of at least one string, but is 'dog'"),
        ('format = "yolo"\nnames = ["dog"]\n[train]', r"'images' of \[train\] is missing"),
        (
            'format = "yolo"\nnames = ["dog"]\n[train]\nimages = []',
            r"'images' of \[train\] should be a string or a list",
        ),
        ("val_share = 1\n" + COCO, "--val-share must be between 0 and 1, such as 0.2, not 1"),
        ("val_group = '('\nval_share = 0.2\n" + COCO, r"--val-group must be a regular expression, not '\('"),
        ("format = ['coco']", r"no such format: \['coco'\]"),
        ('format = "coco"', r"there is no section \[train\]; there are: none"),
        ('format = "coco"\n[val]\n[test]', r"there is no section \[train\]; there are: val, test"),
        ('format = "coco"\ntrain = 3', "unknown key: train"),
        (
            'clases = ["dog"]\n' + COCO,
            "unknown key: clases; there are: format, classes, val_share, val_group",
        ),
        ('classes = "dog"\n' + COCO, "'classes' should be a list of at least one string, but is 'dog'"),
        ("classes = []\n" + COCO, r"'classes' should be a list of at least one string, but is \[\]"),
        ("classes = [1]\n" + COCO, r"'classes' should be a list of at least one string, but is \[1\]"),
        (COCO + 'split = "train"', r"\[train\] has an unknown key: split; there are: images, annotations"),
        (COCO.replace("images =", "#"), r"'images' of \[train\] is missing"),
        (COCO.replace('"train.json"', "5"), r"'annotations' of \[train\] should be a string, but is 5"),
        (COCOTEXT.replace("split =", "#"), r"'split' of \[train\] is missing"),
        ("first_pixel = 2\n" + VOC, "'first_pixel' should be 0 or 1, but is 2"),
        ("first_pixel = false\n" + VOC, "'first_pixel' should be 0 or 1, but is False"),
        ("least_area = 2\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is 2"),
        ("least_area = true\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is True"),
        ("least_area = nan\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is nan"),
        ("ignore_illegible = 1\n" + COCOTEXT, "'ignore_illegible' should be true or false, but is 1"),
        (
            "least_area = 0.1\n" + COCO,
            "unknown key: least_area; there are: format, classes, val_share, val_group",
        ),
    ],
)
def test_bad_files(folder, text, message):
    with pytest.raises(ValueError, match=rf"data\.toml: {message}"):
        open_dataset(write(folder, text), "train")


def test_neither_a_name_nor_a_file(folder):
    for data in ("shape", folder / "none"):
        with pytest.raises(
            ValueError, match=r": neither a file nor the name of a built-in data set \(there are: shapes, scene-text"
        ):
            open_dataset(data, "train")
    (folder / "data.toml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"data\.toml: not TOML: 'utf-8' codec"):
        open_dataset(folder / "data.toml", "train")


def test_train_and_val(folder):
    train, val = open_train_and_val(write(folder, COCO + VAL))
    assert len(train) == len(val) == 1
    train, val = open_train_and_val(write(folder, COCO))
    assert val is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.json", content(image_count=0, object_count=0), r"\[train\] has no pictures"),
        ("train.json", content(object_count=0), r"\[train\] has no objects in any of its 1 pictures"),
        ("val.json", content(image_count=0, object_count=0), r"\[val\] has no pictures"),
        ("val.json", content(["dog", "cow"]), r"\[train\] and \[val\] differ: only in \[train\]: cat; .*\[val\]: cow"),
        ("val.json", content(["cat", "dog"]), "the same names in a different order: dog, cat and cat, dog"),
    ],
)
def test_train_and_val_that_do_not_fit(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=rf"data\.toml: .*{message}"):
        open_train_and_val(write(folder, COCO + VAL))


def test_every_split(folder):
    path = write(folder, COCO + VAL.replace("[val]", "[held-out]"))
    splits = open_splits(path)
    assert list(splits) == ["train", "held-out"]
    assert all(len(dataset) == 1 for dataset in splits.values())
    (folder / "val.json").write_text(content(["cat", "dog"]))
    with pytest.raises(
        ValueError, match=r"the classes of \[train\] and \[held-out\] differ: the same names in a different"
    ):
        open_splits(path)
    (folder / "val.json").write_text(content(image_count=0, object_count=0))
    with pytest.raises(ValueError, match=r"\[held-out\] has no pictures"):
        open_splits(path)
    with pytest.raises(ValueError, match="there is no section, such as"):
        open_splits(write(folder, 'format = "coco"'))
