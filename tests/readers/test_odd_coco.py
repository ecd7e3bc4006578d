"""COCO files as other programs write them: what loses nothing is read, the rest is refused by record."""

import json
import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from centernet_data.readers.coco import read_coco
from centernet_data.readers.cocotext import read_cocotext
from centernet_data.readers.errors import Collect
from helpers.coco import box, coco
from helpers.json_changes import changed_in

GOOD = coco({"a.png": (48, 64)}, [box(0, 0, 1, 2, 10, 4), box(0, 1, 5, 5, 10, 10)])
ONE = ["annotations", 1]
changed = partial(changed_in, GOOD)


def write(tmp_path, content):
    (tmp_path / "images/sub").mkdir(parents=True)
    for name in ("a.png", "sub/b c.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / "images" / name)
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "boxes.json").write_text(text, encoding="utf-8")
    return tmp_path / "images", tmp_path / "boxes.json"


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        changed([*ONE, "id"], ...),
        changed([*ONE, "id"], None),
        changed([*ONE, "iscrowd"], None),
        changed([*ONE, "iscrowd"], False),
        changed([*ONE, "ignore"], 0),
        changed([*ONE, "area"], None),
        changed([*ONE, "image_id"], 0.0),
        changed([*ONE, "category_id"], 1.0),
        changed([*ONE, "segmentation"], []),
        changed(["images", 0, "height"], 48.0),
        changed(["images", 0, "id"], 0.0),
        changed(["categories", 0, "id"], 0.0),
        json.dumps(GOOD).replace('"images": [', '"info": 1, "info": 1, "images": ['),
        "\ufeff" + json.dumps(GOOD),
    ],
)
def test_what_loses_nothing_is_read(tmp_path, content):
    sample = read_coco(*write(tmp_path, content)).sample(0)
    np.testing.assert_allclose(sample.objects, [[4, 6, 4, 10, 0, 1], [10, 10, 10, 10, 1, 1]])
    assert len(sample.ignored) == 0


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_marked_objects_are_ignored_and_counted(tmp_path, key):
    dataset = read_coco(*write(tmp_path, changed([*ONE, key], True)))
    assert (len(dataset.sample(0).objects), len(dataset.sample(0).ignored)) == (1, 1)
    assert len(dataset.notes) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            changed([*ONE, "image_id"], "0"),
            "annotation 1: its image_id '0' is not among the images, but 0 is: one",
        ),
        (changed(["images", 0, "id"], "0"), "annotation 0: its image_id 0 is not among the images, but '0' is: one is"),
        (changed([*ONE, "category_id"], "1"), "annotation 1: its category_id '1' is not among .*, but 1 is: one is"),
        (changed([*ONE, "category_id"], 1.5), "annotation 1: 'category_id' should be a whole number or a string"),
        (changed([*ONE, "category_id"], True), "annotation 1: 'category_id' should be a whole number or a string"),
        (changed([*ONE, "image_id"], float("inf")), "annotation 1: 'image_id' should be a whole number or a string"),
        (changed([*ONE, "iscrowd"], "0"), "annotation 1: 'iscrowd' should be 0 or 1, but is '0'"),
        (changed([*ONE, "ignore"], 2), "annotation 1: 'ignore' should be 0 or 1, but is 2"),
        (changed([*ONE, "bbox"], "1,2,3,4"), "annotation 1: 'bbox' should be a list"),
        (changed(["images", 0, "width"], 10**30), "image 0: 'width' should be at most 1000000 pixels, but is 10000"),
        (changed(["images", 0, "width"], 1e30), "image 0: 'width' should be at most 1000000 pixels, but is 10000"),
        (changed(["images", 0, "width"], 10**400), "image 0: 'width' should be at most 1000000 pixels"),
        (changed(["images", 0, "width"], True), "image 0: 'width' should be a whole number, but is True"),
        (changed(["images", 0, "width"], "64"), "image 0: 'width' should be a whole number, but is '64'"),
        (changed(["categories", 0, "name"], "re\ud800d"), "category 0: 'name' is no text: it has half of a character"),
        (changed(["images", 0, "file_name"], "a\ud800.png"), "image 0: 'file_name' is no text"),
        (changed(["images", 0, "file_name"], "a\udcff.png"), "missing"),
        (json.dumps(GOOD)[:-1] + ', "annotations": []}', "an object has two values for 'annotations'"),
        (
            changed(["images", 0, "file_name"], "images/a.png"),
            "missing; .*; it is there as .*images/a.png",
        ),
        (changed(["images", 0, "file_name"], "C:\\x\\a.png"), "missing; the first .*; it is there as .*images/a.png"),
        (
            changed(["images", 0, "file_name"], "x/y/z.png"),
            "missing; .*; there is no folder .*images/x/y$",
        ),
        (changed(["images", 0, "file_name"], "A.PNG"), "missing; the first is .*; it is there as a.png"),
        (changed(["images", 0, "file_name"], "a.jpg"), "missing; the first is .*; it is there as a.png"),
        (changed(["images", 0, "file_name"], "a\0.png"), "missing"),
        (changed(["images", 0, "file_name"], 5000 * "a"), "missing"),
        (changed([*ONE, "bbox"], [-1e308, 0, 1e308, 5]), "annotation 1: 'bbox' is further away than any picture"),
    ],
)
def test_the_rest_is_refused_by_record(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"boxes\.json: .*{message}"):
        read_coco(*write(tmp_path, content))


@pytest.mark.parametrize("name", ["sub\\b c.png", "sub/b%20c.png", "sub%5Cb%20c.png", "./sub/../sub/b c.png"])
def test_names_of_pictures_as_windows_and_urls_write_them(tmp_path, name):
    assert read_coco(*write(tmp_path, changed(["images", 0, "file_name"], name))).picture(0).shape == (48, 64, 3)


def test_accents_as_a_mac_writes_them(tmp_path):
    images, boxes = write(tmp_path, changed(["images", 0, "file_name"], "caf\u00e9.png"))
    (images / "a.png").rename(images / "cafe\u0301.png")
    assert read_coco(images, boxes).picture(0).shape == (48, 64, 3)


def test_one_picture_listed_twice_is_said(tmp_path):
    content = changed(["images"], [GOOD["images"][0], {**GOOD["images"][0], "id": 5}])
    (note,) = read_coco(*write(tmp_path, content)).notes
    assert note == "pictures listed more than once, each time with a part of the objects: 1"


def test_the_name_of_a_file_that_is_not_utf8(tmp_path):
    name = os.fsdecode(b"Stra\xdfe.png")
    images, boxes = write(tmp_path, changed(["images", 0, "file_name"], name))
    (images / "a.png").rename(images / name)
    assert read_coco(images, boxes).picture(0).shape == (48, 64, 3)


def test_an_absolute_name(tmp_path):
    path = str(tmp_path / "images/a.png")
    assert read_coco(*write(tmp_path, changed(["images", 0, "file_name"], path))).paths[0].samefile(path)


def test_two_categories_of_one_name(tmp_path):
    paths = write(tmp_path, changed(["categories", 1, "name"], "red"))
    with pytest.raises(ValueError, match="category 1: duplicate name 'red'; to read these categories as one"):
        read_coco(*paths)
    errors = Collect()
    dataset = read_coco(*paths, ["red"], errors)
    assert dataset.sample(0).objects[:, 4].tolist() == [0, 0]
    assert [(errors.mistakes, remark.kind) for remark in errors.remarks] == [([], "categories of one name")]
    content = changed_in(GOOD, ["categories"], [*GOOD["categories"], {"id": 5, "name": "red"}])
    paths[1].write_text(json.dumps(content))
    assert read_coco(*paths, ["blue"]).sample(0).objects[:, 4].tolist() == [0]


def test_classes_that_look_alike_are_said(tmp_path):
    content = changed(["categories"], [{"id": i, "name": name} for i, name in enumerate((" cat", "cat", "Cat", "dog"))])
    errors = Collect()
    dataset = read_coco(*write(tmp_path, content), errors=errors)
    assert dataset.notes == ("classes that differ in capitals or blanks only: ' cat', 'cat', 'Cat'",)
    assert [remark.kind for remark in errors.remarks] == ["class names alike"]


def test_blanks_around_a_misspelt_class_are_seen(tmp_path):
    with pytest.raises(ValueError, match=r"no such class: 'red '; there are: red, blue$"):
        read_coco(*write(tmp_path, GOOD), ["red "])


def test_words_are_read_by_the_same_rules(tmp_path):
    word = {"class": "others", "legibility": "legible", "image_id": 0.0, "bbox": [1, 2, 30, 40], "area": None}
    image = {"file_name": "sub\\b c.png", "width": 64.0, "height": 48, "set": "train"}
    paths = write(tmp_path, {"imgs": {"0": image}, "anns": {"1": word}})
    assert len(read_cocotext(*paths, "train").sample(0).objects) == 1
    paths[1].write_text(json.dumps({"imgs": {"0": image}, "anns": {"1": {**word, "legibility": "\ud800"}}}))
    with pytest.raises(ValueError, match=r"anns\['1'\]: 'legibility' is no text"):
        read_cocotext(*paths, "train")
