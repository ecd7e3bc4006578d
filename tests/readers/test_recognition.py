"""Folders as people export them: what each is taken for, and what is said of the others."""

import json
import re
import shutil
import tomllib

import numpy as np
import pytest
from PIL import Image

from centernet_data.source import how_data_is_taken, open_dataset, split_names
from helpers.coco import box, coco, write_json
from helpers.voc import item, write_voc, xml
from helpers.yolo import YAML, write_yolo


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20)).save(path)


def coco_file(path, name="a.png", classes=("red", "blue"), label=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, coco({name: (20, 40)}, [box(0, label, 2, 4, 10, 8)], classes))


def yolo(folder):
    for split in ("train", "val"):
        write_yolo(folder, {"a.png": "1 0.175 0.4 0.25 0.4"}, split)


def yolo_by_yaml(folder):
    yolo(folder)
    (folder / "data.yaml").write_text(YAML)
    (folder / "notes.yaml").write_text("a: 1\n")


def yolo_by_names(folder):
    yolo(folder)
    (folder / "classes.txt").write_text("red\nblue\n")


def roboflow_yolo(folder):
    for name in ("train", "valid"):
        picture(folder / name / "images/a.png")
        (folder / name / "labels").mkdir()
        (folder / name / "labels/a.txt").write_text("1 0.175 0.4 0.25 0.4")
    (folder / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['red', 'blue']\n")


def roboflow_coco(folder):
    for name in ("train", "valid"):
        picture(folder / name / "a.png")
        coco_file(folder / name / "_annotations.coco.json", classes=("colours", "red", "blue"), label=2)
        content = json.loads((folder / name / "_annotations.coco.json").read_text())
        for category in content["categories"]:
            category["supercategory"] = "colours" if category["id"] else "none"
        write_json(folder / name / "_annotations.coco.json", content)


def cocos_own(folder):
    for split in ("train2017", "val2017"):
        picture(folder / split / "a.png")
        coco_file(folder / f"annotations/instances_{split}.json")
        (folder / f"annotations/captions_{split}.json").write_text('{"images": []}')


def coco_in_images(folder):
    for split in ("train", "val"):
        picture(folder / f"images/{split}/a.png")
        coco_file(folder / f"annotations/{split}.json")


def coco_files_and_one_folder(folder):
    picture(folder / "pictures_of_val/a.png")
    picture(folder / "images/a.png")
    for split in ("train", "val"):
        coco_file(folder / f"{split}.json")


def voc_lists(folder):
    annotation = xml(item("red", 1, 1, 2, 2, extra="<difficult>1</difficult>"), item("blue", 3, 5, 12, 12))
    for split in ("train", "val"):
        write_voc(folder, {split: annotation}, split)


def voc_devkit(folder):
    voc_lists(folder / "VOCdevkit/VOC2012")


def xml_beside_pictures(folder):
    for name in ("train", "valid"):
        picture(folder / name / "a.png")
        size = "<size><width>40</width><height>20</height><depth>3</depth></size>"
        (folder / name / "a.xml").write_text(xml(item("blue", 3, 5, 12, 12), item("red", 13, 5, 13, 5), size=size))


def described(folder):
    yolo(folder)
    sections = "".join(f'[{split}]\nimages = "images/{split}"\n' for split in ("train", "val"))
    (folder / "mine.toml").write_text(f'format = "yolo"\nnames = ["red", "blue"]\n{sections}')
    (folder / "pyproject.toml").write_text("[project]\nname = 'a'\n")


TRAIN_AND_VAL = [
    yolo_by_yaml, yolo_by_names, roboflow_yolo, roboflow_coco, cocos_own, coco_in_images, coco_files_and_one_folder,
    voc_lists, voc_devkit, xml_beside_pictures, described,
]  # fmt: skip


@pytest.mark.parametrize("build", TRAIN_AND_VAL)
def test_a_folder_is_enough(tmp_path, build):
    folder = tmp_path / "my.set"
    build(folder)
    assert split_names(folder) == ("train", "val")
    for split in ("train", "val"):
        dataset = open_dataset(folder, split)
        assert sorted(dataset.classes) == ["blue", "red"]
        (sample,) = dataset.samples
        row = sample.objects[sample.objects[:, 4] == dataset.classes.index("blue")]
        np.testing.assert_allclose(row[0, :4], [8, 7, 8, 10])
        dataset.picture(0)
    said = how_data_is_taken(folder)
    assert len(said.splitlines()) == (0 if build is described else 1)
    if said:
        assert re.match(rf"{folder}: taken for .*, with train, val; ", said)
        lines = said.rpartition("such as: ")[2].replace("; ", "\n")
        place = re.search(r"a TOML file in (.*), in lines", said)[1]
        (tmp_path / "copy.toml").write_text(lines)
        toml = shutil.copy(tmp_path / "copy.toml", f"{place}/written.toml")
        for split in ("train", "val"):
            one, other = open_dataset(toml, split), open_dataset(folder, split)
            assert one.classes == other.classes
            np.testing.assert_array_equal(one.sample(0).objects[:, :4], other.sample(0).objects[:, :4])


def test_splits_of_xml_files_with_other_classes(tmp_path):
    xml_beside_pictures(tmp_path)
    file = tmp_path / "valid/a.xml"
    file.write_text(file.read_text().replace("blue", "green"))
    assert open_dataset(tmp_path, "train").classes == open_dataset(tmp_path, "val").classes == ("blue", "green", "red")


def test_voc_lists_are_not_passed_over(tmp_path):
    voc_lists(tmp_path)
    (tmp_path / "data.toml").write_text('format = "voc"\n[train]\nroot = "."\n')
    with pytest.raises(ValueError, match=r"'split' of \[train\] is missing; there are: train, val"):
        open_dataset(tmp_path / "data.toml", "train")


def one_coco_file(folder):
    picture(folder / "a.png")
    coco_file(folder / "result.json")


def one_coco_file_and_images(folder):
    picture(folder / "images/a.png")
    coco_file(folder / "train_and_val.json")


def voc_without_lists(folder):
    write_voc(folder, {"b": xml(item("blue", 3, 5, 12, 12)), "a": xml(item("red", 1, 1, 2, 2))})
    shutil.rmtree(folder / "ImageSets")


def voc_trainval(folder):
    write_voc(folder, {"b": xml(item("blue", 3, 5, 12, 12)), "a": xml(item("red", 1, 1, 2, 2))}, "trainval")


def voc_one_list(folder):
    write_voc(folder, {"b": xml(item("blue", 3, 5, 12, 12)), "a": xml(item("red", 1, 1, 2, 2))}, "all")


def labels_without_splits(folder):
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    picture(folder / "images/a.png")
    (folder / "labels/a.txt").write_text("1 0.175 0.4 0.25 0.4")
    (folder / "labels/classes.txt").write_text("red\nblue\n")


def only_inner_folder(folder):
    one_coco_file(folder / "export")


@pytest.mark.parametrize(
    "build",
    [one_coco_file, one_coco_file_and_images, voc_without_lists, voc_trainval, voc_one_list, labels_without_splits,
     only_inner_folder],
)  # fmt: skip
def test_folders_without_a_validation_split(tmp_path, build):
    build(tmp_path / "set")
    assert split_names(tmp_path / "set") == ("train",)
    dataset = open_dataset(tmp_path / "set", "train")
    assert sum(len(sample.objects) for sample in dataset.samples) == len(dataset)


def test_a_coco_file_is_enough(tmp_path):
    one_coco_file(tmp_path)
    assert len(open_dataset(tmp_path / "result.json", "train").sample(0).objects) == 1
    assert "taken for a COCO file, with train" in how_data_is_taken(tmp_path / "result.json")


def test_a_heading_with_objects_stays_a_class(tmp_path):
    roboflow_coco(tmp_path)
    assert "without its category 'colours', a heading that has no objects" in how_data_is_taken(tmp_path)
    file = tmp_path / "valid/_annotations.coco.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 0
    write_json(file, content)
    assert open_dataset(tmp_path, "train").classes == ("colours", "red", "blue")


def two_toml_files(folder):
    for name in ("a.toml", "b.toml"):
        (folder / name).write_text('format = "coco"\n')


def unclear_coco_files(folder):
    for name in ("train_2016.json", "train_2017.json"):
        coco_file(folder / name)


def two_years(folder):
    for name in ("VOC2007", "VOC2012"):
        voc_lists(folder / name)


def labels_without_names(folder):
    yolo(folder)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda folder: None,
            "no data set is recognised in this folder; looked for: a TOML file with a",
        ),
        (two_toml_files, "it holds several TOML files that describe data sets: a.toml, b.toml; give one of them"),
        (unclear_coco_files, "not clear which COCO file is which split's: train_2016.json, train_2017.json; describe"),
        (two_years, "it holds several data sets in Pascal VOC's layout: VOC2007, VOC2012; give one of them"),
        (labels_without_names, r"images and labels, as in YOLO's layout, but no data\.yaml"),
        (lambda folder: picture(folder / "a.png"), "no data set is recognised"),
    ],
)
def test_what_is_not_recognised(tmp_path, build, message):
    build(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        open_dataset(tmp_path, "train")
    assert str(error.value).startswith(f"{tmp_path}: ")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xml", "<annotation/>", "an XML file, such as Pascal VOC's layout has for each picture: give the folder"),
        ("data.txt", "hello", "not TOML"),
        ("none", None, "neither a file nor the name of a built-in data set .*; there is .*none.toml"),
    ],
)
def test_files_that_describe_nothing(tmp_path, name, text, message):
    (tmp_path / "none.toml").write_text("")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        open_dataset(tmp_path / name, "train")


def test_the_written_line_is_toml(tmp_path):
    yolo_by_yaml(tmp_path)
    lines = how_data_is_taken(tmp_path).rpartition("such as: ")[2].replace("; ", "\n")
    content = tomllib.loads(lines)
    assert content == {
        "format": "yolo",
        "names": ["red", "blue"],
        "train": {"images": ["images/train"]},
        "val": {"images": ["images/val"]},
    }


def test_vocs_xml_files_in_folders_of_other_names(tmp_path):
    root = write_voc(tmp_path, {"a": xml(item("dog", 1, 1, 9, 9))})
    (root / "Annotations").rename(root / "annotations"), (root / "JPEGImages").rename(root / "images")
    shutil.rmtree(root / "ImageSets")
    assert [open_dataset(root, "train").sample(0).name] == ["a.jpg"]
    assert split_names(root) == ("train",)
