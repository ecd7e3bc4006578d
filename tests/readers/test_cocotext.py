"""COCO-Text files: what good ones give, and the errors of bad ones."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from centernet_data.readers.cocotext import read_cocotext
from centernet_data.readers.errors import Collect
from helpers.json_changes import changed_in


def word(image_id, bbox, **values):
    given = {"class": "machine printed", "legibility": "legible", "language": "english", "utf8_string": "word"}
    x, y, width, height = bbox
    mask = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {"image_id": image_id, "bbox": bbox, "mask": mask, "area": 0.5 * width * height, **given, **values}


def image(name, set_name="train"):
    return {"file_name": name, "width": 64, "height": 32, "set": set_name}


# The least area is 2 pixels of 64 x 32.
GOOD = {
    "cats": {},
    "imgs": {"7": image("b.png"), "3": image("a.png"), "9": image("c.png", "val"), "4": image("absent.png")},
    "anns": {
        "100": word(7, [1, 2, 10, 4]),
        "101": word(7, [20, 4, 8, 8], **{"class": "handwritten"}),
        "102": word(7, [30, 4, 8, 6], legibility="illegible", utf8_string=""),
        "103": word(7, [63, 30.5, 10, 10]),
        "104": word(7, [70, 0, 5, 5]),
        "105": word(9, [0, 0, 5, 5], **{"class": "others"}),
        "106": word(4, [0, 0, 5, 5]),
    },
    "imgToAnns": {"7": [100, 101, 102, 103, 104], "3": [], "9": [105], "4": [106]},
    "info": {},
}
changed = partial(changed_in, GOOD)


def write(tmp_path, content):
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.new("RGB", (64, 32)).save(tmp_path / f"images/{name}.png")
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "words.json").write_text(text, encoding="utf-8")
    return tmp_path / "images", tmp_path / "words.json"


def test_words_of_one_class(tmp_path):
    images, words = write(tmp_path, GOOD)
    dataset = read_cocotext(images, words, "train")
    assert dataset.classes == ("text",)
    assert [dataset.sample(index).name for index in range(len(dataset))] == ["b.png", "a.png"]
    sample = dataset.sample(0)
    assert (sample.height, sample.width) == (32, 64)
    np.testing.assert_allclose(sample.objects, [[4, 6, 4, 10, 0, 1], [8, 24, 8, 8, 0, 1]])
    np.testing.assert_allclose(sample.areas, [20, 32])
    np.testing.assert_allclose(sample.ignored, [[7, 34, 6, 8, 0, 1], [31.25, 63.5, 1.5, 1, 0, 1]])
    assert len(dataset.sample(1).objects) == len(dataset.sample(1).ignored) == 0
    assert dataset.notes == (
        "boxes left out because they have no area inside their picture: 1",
        "illegible words, neither trained on nor scored: 1",
        "words smaller than 0.000977 of their picture, neither trained on nor scored: 1",
        f"pictures left out because they are not in {images}: 1",
    )
    assert dataset.picture(0).shape == (32, 64, 3)


def test_words_by_the_files_classes(tmp_path):
    images, words = write(tmp_path, GOOD)
    dataset = read_cocotext(images, words, "train", ["handwritten", "others"])
    np.testing.assert_allclose(dataset.sample(0).objects, [[8, 24, 8, 8, 0, 1]])
    assert "objects left out because their class was not selected: 4" in dataset.notes
    val = read_cocotext(images, words, "val", ["handwritten", "others"])
    np.testing.assert_allclose(val.sample(0).objects, [[2.5, 2.5, 5, 5, 1, 1]])
    assert val.notes == ()


def test_all_words_can_be_kept(tmp_path):
    dataset = read_cocotext(*write(tmp_path, GOOD), "train", ignore_illegible=False, least_area=0)
    assert len(dataset.sample(0).objects) == 4
    assert len(dataset.sample(0).ignored) == 0
    assert len(dataset.notes) == 2  # the box outside its picture, and the absent picture


@given(box=st.tuples(*[st.integers(-40, 80)] * 2, *[st.integers(0, 90)] * 2), share=st.sampled_from([0.001, 0.25, 1]))
def test_the_least_area_is_measured_inside_the_picture(tmp_path_factory, box, share):
    content = {"imgs": {"7": image("a.png")}, "anns": {"1": word(7, list(box))}}
    dataset = read_cocotext(*write(tmp_path_factory.mktemp("words"), content), "train", least_area=share)
    x, y, width, height = box
    pixels = sum(0 <= column < 64 for column in range(x, x + width)) * sum(
        0 <= row < 32 for row in range(y, y + height)
    )
    sample = dataset.sample(0)
    assert len(sample.objects) == (pixels > 0 and pixels >= share * 64 * 32)
    assert len(sample.ignored) == (0 < pixels < share * 64 * 32)


WORD, IMAGE = ["anns", "105"], ["imgs", "3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: line 1, column 1"),
        ("{'imgs': 1}", "not JSON: line 1, column 2"),
        ([], "not COCO-Text: its top level should be an object, but is a list"),
        (changed(["anns"], ...), "not COCO-Text: 'anns' is missing"),
        (changed(["imgs"], ...), "not COCO-Text: 'imgs' is missing"),
        (changed(["anns"], []), r"not COCO-Text: 'anns' should be an object, but is \[\]"),
        (changed(WORD, 5), r"anns\['105'\] should be a JSON object, but is 5"),
        (changed([*WORD, "bbox"], ...), r"anns\['105'\]: 'bbox' is missing"),
        (
            changed([*WORD, "bbox"], [0, 0, 5, 0, 5, 5, 0, 5]),
            r"anns\['105'\]: 'bbox' should be four finite numbers, but",
        ),
        (changed([*WORD, "bbox"], [[0, 0], [5, 5]]), r"anns\['105'\]: 'bbox' should be four finite numbers, but"),
        (changed([*WORD, "bbox"], [0, 0, 5, float("nan")]), r"anns\['105'\]: 'bbox' should be four finite numbers"),
        (changed([*WORD, "bbox"], [0, 0, 5, -5]), r"anns\['105'\]: the width or height of its 'bbox' is negative"),
        (changed([*WORD, "area"], "12"), r"anns\['105'\]: 'area' should be a finite number"),
        (changed([*WORD, "image_id"], 8), r"anns\['105'\]: its image_id 8 is not among the imgs"),
        (changed([*WORD, "image_id"], ...), r"anns\['105'\]: 'image_id' is missing"),
        (
            changed([*WORD, "class"], "printed"),
            r"anns\['105'\]: 'class' should be one of: machine printed, handwritten, ",
        ),
        (changed([*WORD, "class"], ...), r"anns\['105'\]: 'class' is missing"),
        (
            changed([*WORD, "legibility"], "yes"),
            r"anns\['105'\]: 'legibility' should be one of: legible, illegible, but",
        ),
        (changed([*IMAGE, "set"], ...), r"imgs\['3'\]: 'set' is missing"),
        (changed(["imgs", "9", "file_name"], 4), r"imgs\['9'\]: 'file_name' should be a string, but is 4"),
        (changed(["imgs", "9", "width"], 0), r"imgs\['9'\]: its size should be positive, but is 0 x 32"),
        (changed(["imgs", "9", "set"], "train"), "there is no split 'val'; there are: train"),
        (changed(["imgs", "9", "file_name"], "d.png"), "none of its 1 pictures is in .*images; the first is d.png"),
    ],
)
def test_bad_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"words\.json: .*{message}") as error:
        read_cocotext(*write(tmp_path, content), "val")
    assert len(str(error.value).splitlines()) == 1


def test_missing_files_and_other_encodings(tmp_path):
    images, words = write(tmp_path, GOOD)
    with pytest.raises(ValueError, match=r"none\.json: the annotation file does not exist"):
        read_cocotext(images, tmp_path / "none.json", "train")
    with pytest.raises(ValueError, match="nowhere: the folder of pictures does not exist"):
        read_cocotext(tmp_path / "nowhere", words, "train")
    words.write_bytes(b'{"utf8_string": "\xff"}')
    with pytest.raises(ValueError, match=r"words\.json: not JSON: 'utf-8' codec"):
        read_cocotext(images, words, "train")


def test_a_split_of_nothing_but_mistakes_is_read_to_its_end(tmp_path):
    content = json.loads(json.dumps(GOOD))
    for record in content["imgs"].values():
        record["width"] = "wide"
    audit = Collect()
    assert len(read_cocotext(*write(tmp_path, content), "train", errors=audit)) == 0
    assert all("'width' should be a whole number, but is 'wide'" in mistake for mistake in audit.mistakes)
    assert len(audit.mistakes) == sum(record["set"] == "train" for record in content["imgs"].values())


def test_one_class_and_the_files_classes_do_not_mix(tmp_path):
    message = "words.json: no such class: text; there are: machine printed, handwritten, others"
    with pytest.raises(ValueError, match=message):
        read_cocotext(*write(tmp_path, GOOD), "train", ["text", "handwritten"])
