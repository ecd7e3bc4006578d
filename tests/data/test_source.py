"""Data sets by name or by TOML file: both formats open, and every mistake in the file is named."""

import json

import pytest
from PIL import Image

from centernet_data.source import open_dataset, open_splits, open_train_and_val

COCO = 'format = "coco"\n[train]\nimages = "pictures"\nannotations = "train.json"\n'
VAL = '[val]\nimages = "pictures"\nannotations = "val.json"\n'
COCOTEXT = COCO.replace('"coco"', '"cocotext"') + 'split = "train"\n'
VOC = 'format = "voc"\n[train]\nroot = "voc"\nsplit = "train"\n'


def coco(classes=("dog", "cat"), image_count=1, object_count=1):
    images = [{"id": index, "file_name": "a.jpg", "height": 20, "width": 30} for index in range(image_count)]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    return json.dumps({"images": images, "annotations": [box] * object_count, "categories": categories})


@pytest.fixture
def folder(tmp_path):
    """A folder with one picture, annotated both ways, and room for a TOML file."""
    for name in ("pictures", "voc/JPEGImages", "voc/Annotations", "voc/ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("pictures/a.jpg", "voc/JPEGImages/a.jpg"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    corners = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    size = "<size><width>30</width><height>20</height></size>"
    xml = f"<annotation>{size}<object><name>dog</name>{corners}</object></annotation>"
    (tmp_path / "voc/Annotations/a.xml").write_text(xml)
    (tmp_path / "voc/ImageSets/Main/train.txt").write_text("a\n")
    (tmp_path / "train.json").write_text(coco())
    (tmp_path / "val.json").write_text(coco())
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
        ("", "'format' is missing; it should be one of: coco, cocotext, voc"),
        ('format = "yolo"', "no such format: 'yolo'; there are: coco, cocotext, voc"),
        ("format = ['coco']", r"no such format: \['coco'\]"),
        ('format = "coco"', r"there is no section \[train\]; there are: none"),
        ('format = "coco"\n[val]\n[test]', r"there is no section \[train\]; there are: val, test"),
        ('format = "coco"\ntrain = 3', "unknown key: train"),
        ('clases = ["dog"]\n' + COCO, "unknown key: clases; there are: format, classes and sections"),
        ('classes = "dog"\n' + COCO, "'classes' should be a list of at least one string, but is 'dog'"),
        ("classes = []\n" + COCO, r"'classes' should be a list of at least one string, but is \[\]"),
        ("classes = [1]\n" + COCO, r"'classes' should be a list of at least one string, but is \[1\]"),
        (COCO + 'split = "train"', r"\[train\] has an unknown key: split; there are: images, annotations"),
        (COCO.replace("images =", "#"), r"'images' of \[train\] is missing"),
        (COCO.replace('"train.json"', "5"), r"'annotations' of \[train\] should be a string, but is 5"),
        (VOC.replace("split =", "#"), r"'split' of \[train\] is missing"),
        (COCOTEXT.replace("split =", "#"), r"'split' of \[train\] is missing"),
        ("least_area = 2\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is 2"),
        ("least_area = true\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is True"),
        ("least_area = nan\n" + COCOTEXT, "'least_area' should be a number from 0 to 1, but is nan"),
        ("ignore_illegible = 1\n" + COCOTEXT, "'ignore_illegible' should be true or false, but is 1"),
        ("least_area = 0.1\n" + COCO, "unknown key: least_area; there are: format, classes and sections"),
    ],
)
def test_bad_files(folder, text, message):
    with pytest.raises(ValueError, match=rf"data\.toml: {message}"):
        open_dataset(write(folder, text), "train")


def test_neither_a_name_nor_a_file(folder):
    for data in ("shape", folder):
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
        ("train.json", coco(image_count=0, object_count=0), r"\[train\] has no pictures"),
        ("train.json", coco(object_count=0), r"\[train\] has no objects in any of its 1 pictures"),
        ("val.json", coco(image_count=0, object_count=0), r"\[val\] has no pictures"),
        ("val.json", coco(["dog", "cow"]), r"\[train\] and \[val\] differ: only in \[train\]: cat; .*\[val\]: cow"),
        ("val.json", coco(["cat", "dog"]), "the same names in a different order: dog, cat and cat, dog"),
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
    (folder / "val.json").write_text(coco(["cat", "dog"]))
    with pytest.raises(
        ValueError, match=r"the classes of \[train\] and \[held-out\] differ: the same names in a different"
    ):
        open_splits(path)
    (folder / "val.json").write_text(coco(image_count=0, object_count=0))
    with pytest.raises(ValueError, match=r"\[held-out\] has no pictures"):
        open_splits(path)
    with pytest.raises(ValueError, match="there is no section, such as"):
        open_splits(write(folder, 'format = "coco"'))
