"""Pascal VOC folders: what good ones give, and the errors of bad ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet_data.readers.voc import read_voc
from helpers.voc import SIZE, item, write_voc, xml

BCCD = Path(__file__).parents[3] / "shared" / "data" / "bccd"


def test_objects_difficult_and_empty_boxes(tmp_path):
    first = xml(
        item("dog", 1, 1, 30, 20),
        item("cat", 11, 6, 11, 6),
        item("cat", 21, 11, 45.5, 20, extra="<difficult>0</difficult>"),
        item("dog", 2, 3, 4, 5, extra="<difficult>1</difficult>"),
        item("dog", 31, 3, 40, 5),
        item("dog", 5, 3, 4, 5),
    )
    dataset = read_voc(write_voc(tmp_path, {"b": first, "a": xml()}), "train")
    assert dataset.classes == ("cat", "dog")
    sample = dataset.sample(0)
    assert sample.name == "b.jpg"
    assert (sample.height, sample.width) == (20, 30)
    whole, one_pixel, clipped = [10, 15, 20, 30, 1, 1], [5.5, 10.5, 1, 1, 0, 1], [15, 25, 10, 10, 0, 1]
    np.testing.assert_allclose(sample.objects, [whole, one_pixel, clipped])
    np.testing.assert_allclose(sample.areas, [600, 1, 100])
    np.testing.assert_allclose(sample.ignored, [[3.5, 2.5, 3, 3, 1, 1]])
    assert dataset.sample(1).objects.shape == (0, 6)
    assert dataset.notes == (
        "boxes left out because they have no area inside their picture: 2",
        "difficult objects, neither trained on nor scored: 1",
    )
    assert dataset.picture(1).shape == (20, 30, 3)


def test_every_split_has_the_same_classes(tmp_path):
    write_voc(tmp_path, {"a": xml(item("dog", 1, 1, 5, 5))}, "train")
    write_voc(tmp_path, {"b": xml(item("cat", 1, 1, 5, 5))}, "val")
    assert read_voc(tmp_path, "train").classes == read_voc(tmp_path, "val").classes == ("cat", "dog")


def test_classes_in_the_order_asked_for(tmp_path):
    items = [item(name, 1, 1, 5, 5) for name in ("cat", "dog", "hen")]
    dataset = read_voc(write_voc(tmp_path, {"a": xml(*items)}), "train", ["hen", "cat"])
    np.testing.assert_array_equal(dataset.sample(0).objects[:, 4], [1, 0])
    assert dataset.notes == ("objects left out because their class was not selected: 1",)
    with pytest.raises(ValueError, match="Annotations: no such class: cow; there are: cat, dog, hen"):
        read_voc(tmp_path, "train", ["cow"])


def test_parts_of_an_object_are_not_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    dataset = read_voc(write_voc(tmp_path, {"a": xml(item("person", 1, 1, 5, 5, extra=part))}), "train")
    assert dataset.classes == ("person",)
    assert len(dataset.sample(0).objects) == 1


@pytest.mark.parametrize(
    ("filename", "expected"), [("a.png", "a.png"), ("stale.jpg", "a.jpg"), ("", "a.jpg"), ("a", "a.jpg")]
)
def test_the_picture_is_the_annotated_file_or_else_named_as_in_the_split(tmp_path, filename, expected):
    text = xml(item("dog", 1, 1, 5, 5), filename=f"<filename>{filename}</filename>")
    Image.new("RGB", (30, 20)).save(write_voc(tmp_path, {"a": text}) / "JPEGImages/a.png")
    assert read_voc(tmp_path, "train").paths[0].name == expected


DOG = item("dog", 1, 1, 5, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the annotation file does not exist"),
        ("", "not XML: no element found"),
        ("<annotation><object></annotation>", "not XML: mismatched tag: line 1"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "its encoding cannot be read .*save it as UTF-8"),
        ('<?xml version="1.0" encoding="Shift_JIS"?><annotation/>', "its encoding cannot be read .*save it as UTF-8"),
        (xml(DOG, size=SIZE.replace("20", "-2")), "<size/height> should be a positive whole number, but is -2"),
        (
            xml(DOG, size=SIZE.replace("20", "1" + 30 * "0")),
            "<size/height> should be at most 1000000 pixels",
        ),
        (xml(DOG, size=SIZE.replace("20", "2.5")), "<size/height> should be a positive whole number, but is 2.5"),
        (xml(DOG, size=SIZE.replace("20", "tall")), "<size/height> should be a finite number, but is 'tall'"),
        (xml(DOG, "<object/>"), "object 2: <name> is missing"),
        (xml(DOG, "<object><name>dog</name></object>"), "object 2: <bndbox/xmin> is missing"),
        (xml(DOG, item("dog", 1, "nan", 4, 4)), "object 2: <bndbox/ymin> should be a finite number, but is 'nan'"),
        (xml(DOG, item("dog", 1, 1, "inf", 4)), "object 2: <bndbox/xmax> should be a finite number"),
        (xml(DOG, item("dog", 9, 1, 5, 4)), "object 2: its box is reversed: xmin 9, ymin 1, xmax 5, ymax 4"),
        (xml(DOG, item("dog", 1, 9, 4, 5)), "object 2: its box is reversed"),
        (xml(item("dog", 1, 1, 2, 2, extra="<difficult>no</difficult>")), "object 1: <difficult> should be 0 or 1"),
    ],
)
def test_bad_annotations(tmp_path, text, message):
    write_voc(tmp_path, {"good": xml(DOG), "bad": text})
    with pytest.raises(ValueError, match=rf"bad\.xml: {message}"):
        read_voc(tmp_path, "train")


def test_bad_layouts(tmp_path):
    with pytest.raises(ValueError, match="nowhere: the folder does not exist"):
        read_voc(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="Main: the folder does not exist"):
        read_voc(tmp_path, "train")
    write_voc(tmp_path, {"a": xml(DOG)}, "train")
    write_voc(tmp_path, {"a": xml()}, "val")
    with pytest.raises(ValueError, match="Annotations: there are no classes"):
        read_voc(tmp_path, "train")
    write_voc(tmp_path, {"a": xml(DOG)}, "train")
    with pytest.raises(ValueError, match=r"test\.txt: there is no split 'test'; there are: train, val"):
        read_voc(tmp_path, "test")
    (tmp_path / "ImageSets/Main/twice.txt").write_text("a\na\n")
    with pytest.raises(ValueError, match=r"twice\.txt: duplicate pictures: a"):
        read_voc(tmp_path, "twice")
    (tmp_path / "ImageSets/Main/latin.txt").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt: not a text file: 'utf-8' codec"):
        read_voc(tmp_path, "latin")
    (tmp_path / "JPEGImages/a.jpg").unlink()
    with pytest.raises(ValueError, match=r"train\.txt: 1 of 1 pictures are missing; the first is .*a\.jpg"):
        read_voc(tmp_path, "train")


def test_a_picture_of_another_size_is_an_error(tmp_path):
    dataset = read_voc(write_voc(tmp_path, {"a": xml(DOG, size=SIZE.replace("30", "31"))}), "train")
    with pytest.raises(ValueError, match=r"a\.jpg: the picture is 30 x 20 pixels .* says 31 x 20"):
        dataset.picture(0)


@pytest.mark.skipif(not BCCD.is_dir(), reason=f"{BCCD} is not there")
def test_bccd():
    splits = {split: read_voc(BCCD, split) for split in ("train", "val", "trainval")}
    assert {split: len(dataset) for split, dataset in splits.items()} == {"train": 205, "val": 87, "trainval": 292}
    dataset = splits["trainval"]
    assert dataset.classes == splits["val"].classes == ("Platelets", "RBC", "WBC")
    rows = np.concatenate([sample.objects for sample in dataset.samples])
    np.testing.assert_array_equal(np.bincount(rows[:, 4].astype(int)), [292, 3350, 301])
    assert (rows[:, 2:4] == 1).all(axis=1).sum() == 2  # two boxes of one pixel, mistakes of the annotators
    assert dataset.notes == ()
    assert dataset.picture(0).shape == (480, 640, 3)
