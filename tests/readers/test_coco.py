"""COCO files: what good ones give, and the errors of bad ones."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet_data.readers.coco import read_coco
from helpers.json_changes import changed_in

TINY_COCO = Path(__file__).parents[3] / "shared" / "data" / "tiny_coco"

GOOD = {
    "images": [
        {"id": 7, "file_name": "b.png", "height": 20, "width": 30},
        {"id": 3, "file_name": "sub/a.png", "height": 10, "width": 10},
    ],
    "categories": [{"id": 90, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 5, "name": "cow"}],
    "annotations": [
        {"id": 100, "image_id": 7, "category_id": 2, "bbox": [1, 2, 10, 4], "area": 33.5, "iscrowd": 0},
        {"id": 101, "image_id": 7, "category_id": 90, "bbox": [25.5, -3, 10, 8]},
        {"id": 102, "image_id": 7, "category_id": 5, "bbox": [0, 0, 30, 20], "iscrowd": 1},
        {"id": 103, "image_id": 7, "category_id": 5, "bbox": [30, 0, 5, 5]},
        {"id": 104, "image_id": 7, "category_id": 5, "bbox": [3, 3, 0, 5]},
    ],
}
changed = partial(changed_in, GOOD)


def write(tmp_path, content):
    (tmp_path / "images/sub").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "images/b.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "images/sub/a.png")
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "boxes.json").write_text(text, encoding="utf-8")
    return tmp_path / "images", tmp_path / "boxes.json"


def test_objects_crowds_and_empty_boxes(tmp_path):
    dataset = read_coco(*write(tmp_path, GOOD))
    assert dataset.classes == ("dog", "cat", "cow")
    assert [dataset.sample(index).name for index in range(len(dataset))] == ["b.png", "sub/a.png"]
    sample = dataset.sample(0)
    assert (sample.height, sample.width) == (20, 30)
    np.testing.assert_allclose(sample.objects, [[4, 6, 4, 10, 1, 1], [2.5, 27.75, 5, 4.5, 0, 1]])
    np.testing.assert_allclose(sample.areas, [33.5, 22.5])
    np.testing.assert_allclose(sample.ignored, [[10, 15, 20, 30, 2, 1]])
    assert dataset.notes == (
        "boxes left out because they have no area inside their picture: 2",
        "crowd regions, neither trained on nor scored: 1",
    )
    assert dataset.picture(0).shape == (20, 30, 3)


def test_pictures_without_objects_are_kept(tmp_path):
    sample = read_coco(*write(tmp_path, GOOD)).sample(1)
    assert sample.objects.shape == (0, 6)
    assert sample.areas.shape == (0,)
    assert sample.ignored.shape == (0, 6)


def test_classes_in_the_order_asked_for(tmp_path):
    dataset = read_coco(*write(tmp_path, GOOD), classes=["cow", "dog"])
    assert dataset.classes == ("cow", "dog")
    np.testing.assert_array_equal(dataset.sample(0).objects[:, 4], [1])
    np.testing.assert_array_equal(dataset.sample(0).ignored[:, 4], [0])
    assert "objects left out because their class was not selected: 1" in dataset.notes


def test_no_notes_when_nothing_is_left_out(tmp_path):
    assert read_coco(*write(tmp_path, changed(["annotations"], GOOD["annotations"][:2]))).notes == ()


ONE, IMAGE, CATEGORY = ["annotations", 1], ["images", 1], ["categories", 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: line 1, column 1"),
        ('{"images": [],\n "annotations" []}', "not JSON: line 2, column 16: Expecting ':'"),
        ("[" * 100_000, "not JSON: maximum recursion depth"),
        ('{"images": ' + "1" * 5000 + "}", "not JSON: Exceeds the limit"),
        ([], "not COCO: its top level should be an object, but is a list"),
        (changed(["images"], ...), "not COCO: 'images' is missing"),
        (changed(["annotations"], ...), "not COCO: 'annotations' is missing"),
        (changed(["categories"], {}), "not COCO: 'categories' should be a list, but is {}"),
        (changed(["categories"], []), "there are no classes"),
        (changed(ONE, 5), r"annotations\[1\] should be a JSON object, but is 5"),
        (changed([*ONE, "id"], True), r"annotation True: 'id' should be a whole number or a string, but is True"),
        (changed([*ONE, "bbox"], ...), "annotation 101: 'bbox' is missing"),
        (changed([*ONE, "bbox"], None), "annotation 101: 'bbox' should be a list, but is None"),
        (changed([*ONE, "bbox"], [1, 2, 3]), "annotation 101: 'bbox' should be four finite numbers"),
        (changed([*ONE, "bbox"], [1, 2, 3, "4"]), "annotation 101: 'bbox' should be four finite numbers"),
        (changed([*ONE, "bbox"], [1, 2, 3, float("nan")]), "annotation 101: 'bbox' should be four finite numbers"),
        (changed([*ONE, "bbox"], [1, 2, float("inf"), 3]), "annotation 101: 'bbox' should be four finite numbers"),
        (changed([*ONE, "bbox"], [1, 2, 3, 10**400]), "annotation 101: 'bbox' should be four finite numbers"),
        (changed([*ONE, "bbox"], [1, 2, 3, -4]), "annotation 101: the width or height of its 'bbox' is negative"),
        (changed([*ONE, "image_id"], 8), "annotation 101: its image_id 8 is not among the images"),
        (changed([*ONE, "image_id"], ...), "annotation 101: 'image_id' is missing"),
        (changed([*ONE, "category_id"], 1), "annotation 101: its category_id 1 is not among the categories"),
        (changed([*ONE, "iscrowd"], 2), "annotation 101: 'iscrowd' should be 0 or 1, but is 2"),
        (changed([*ONE, "area"], -1), "annotation 101: 'area' should be a finite number"),
        (changed([*IMAGE, "id"], 7), "image 7: duplicate id"),
        (changed([*IMAGE, "id"], ...), r"images\[1\]: 'id' is missing"),
        (changed([*IMAGE, "file_name"], ...), "image 3: 'file_name' is missing"),
        (changed([*IMAGE, "width"], 0), "image 3: its size should be positive, but is 0 x 10"),
        (changed([*IMAGE, "height"], 1.5), "image 3: 'height' should be a whole number, but is 1.5"),
        (changed([*IMAGE, "file_name"], "c.png"), "1 of 2 pictures are missing; the first is .*c.png"),
        (changed([*CATEGORY, "id"], 90), "category 90: duplicate id"),
        (changed([*CATEGORY, "name"], "dog"), "category 2: duplicate name 'dog'"),
        (changed([*CATEGORY, "name"], 4), "category 2: 'name' should be a string, but is 4"),
    ],
)
def test_bad_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"boxes\.json: .*{message}"):
        read_coco(*write(tmp_path, content))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "the list of wanted classes is empty"),
        (["dog", "cow", "dog"], "duplicate classes: dog"),
        (["dog", "hen"], "no such class: hen; there are: dog, cat, cow"),
    ],
)
def test_bad_classes(tmp_path, classes, message):
    with pytest.raises(ValueError, match=rf"boxes\.json: {message}"):
        read_coco(*write(tmp_path, GOOD), classes)


def test_many_classes_are_not_all_listed(tmp_path):
    content = changed(["categories"], [{"id": index, "name": f"class {index}"} for index in range(91)])
    with pytest.raises(ValueError, match=r"class 0, class 1, .*, class 9 and 81 more$"):
        read_coco(*write(tmp_path, content), ["hen"])


def test_missing_files_and_other_encodings(tmp_path):
    images, boxes = write(tmp_path, GOOD)
    with pytest.raises(ValueError, match=r"none\.json: the annotation file does not exist"):
        read_coco(images, tmp_path / "none.json")
    with pytest.raises(ValueError, match="nowhere: the folder of pictures does not exist"):
        read_coco(tmp_path / "nowhere", boxes)
    boxes.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"boxes\.json: not JSON: 'utf-8' codec"):
        read_coco(images, boxes)


def test_a_picture_of_another_size_is_an_error(tmp_path):
    dataset = read_coco(*write(tmp_path, changed([*IMAGE, "width"], 11)))
    with pytest.raises(ValueError, match=r"a\.png: the picture is 10 x 10 pixels .* says 11 x 10"):
        dataset.picture(1)


@pytest.mark.skipif(not TINY_COCO.is_dir(), reason=f"{TINY_COCO} is not there")
def test_tiny_coco():
    dataset = read_coco(TINY_COCO / "images", TINY_COCO / "instances.json")
    samples = [dataset.sample(index) for index in range(len(dataset))]
    assert len(samples) == 16
    assert len(dataset.classes) == 80
    assert dataset.classes[:2] == ("person", "bicycle")
    assert sum(len(sample.objects) for sample in samples) == 196
    assert sum(len(sample.ignored) for sample in samples) == 1
    assert dataset.notes == ("crowd regions, neither trained on nor scored: 1",)
    for index, sample in enumerate(samples):
        y, x, height, width = sample.objects[:, :4].T
        assert ((y - height / 2 >= -1e-9) & (y + height / 2 <= sample.height + 1e-9)).all()
        assert ((x - width / 2 >= -1e-9) & (x + width / 2 <= sample.width + 1e-9)).all()
        assert dataset.picture(index).shape == (sample.height, sample.width, 3)
