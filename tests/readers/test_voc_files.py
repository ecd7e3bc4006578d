"""Odd VOC folders: which picture an annotation is of, and what the lines of a split mean."""

import re

import numpy as np
import pytest
from PIL import Image

from centernet_data.readers.errors import Collect
from centernet_data.readers.voc import read_voc
from helpers.voc import SIZE, item, write_voc, xml

DOG, CAT = item("dog", 1, 1, 5, 5), item("cat", 1, 1, 5, 5)


def lines(root, text, split="train", encoding="utf-8"):
    (root / f"ImageSets/Main/{split}.txt").write_bytes(text.encode(encoding))


def moved(root, old, new):
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / old).rename(root / new)


def names(dataset):
    return [path.name for path in dataset.paths]


def test_a_renamed_picture_keeps_its_boxes_whatever_filename_says(tmp_path):
    texts = {f"p{i}": xml(DOG, filename=f"<filename>p{(i + 1) % 3}.jpg</filename>") for i in range(3)}
    errors = Collect()
    dataset = read_voc(write_voc(tmp_path, texts), "train")
    assert names(dataset) == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert any("<filename> is another picture's" in note and note.endswith(": 3") for note in dataset.notes)
    read_voc(tmp_path, "train", errors=errors)
    assert next((remark.severity, "p0.xml" in remark.text) for remark in errors.remarks) == ("warning", True)


def test_a_missing_picture_is_not_replaced_by_a_neighbours(tmp_path):
    write_voc(tmp_path, {"p0": xml(DOG, filename="<filename>p1.jpg</filename>"), "p1": xml(DOG)})
    (tmp_path / "JPEGImages/p0.jpg").unlink()
    with pytest.raises(ValueError, match=r"p0\.xml: there is no picture .*p0\.jpg, and .* p1\.jpg, belongs to p1\.xml"):
        read_voc(tmp_path, "train")


@pytest.mark.parametrize("filename", ["other.jpg", "C:\\data\\other.jpg", "/home/x/other.jpg"])
def test_a_picture_that_only_filename_names(tmp_path, filename):
    write_voc(tmp_path, {"p0": xml(DOG, filename=f"<filename>{filename}</filename>")})
    moved(tmp_path, "JPEGImages/p0.jpg", "JPEGImages/other.jpg")
    assert names(read_voc(tmp_path, "train")) == ["other.jpg"]


@pytest.mark.parametrize("suffix", [".JPG", ".png", ".Jpeg"])
def test_pictures_and_annotations_of_any_suffix(tmp_path, suffix):
    write_voc(tmp_path, {"p0": xml(DOG, filename="<filename>p0.jpg</filename>"), "p1": xml(DOG)})
    moved(tmp_path, "JPEGImages/p0.jpg", f"JPEGImages/p0{suffix}")
    moved(tmp_path, "Annotations/p0.xml", "Annotations/p0.XML")
    assert names(read_voc(tmp_path, "train")) == [f"p0{suffix}", "p1.jpg"]


def test_folders_of_pictures_and_their_classes(tmp_path):
    own = xml(DOG, filename="<filename>0.jpg</filename>")
    write_voc(tmp_path, {"top": xml(CAT), "0": own, "a": own, "b": own})
    for day in ("day1", "day2"):
        for kind in ("JPEGImages/{}.jpg", "Annotations/{}.xml"):
            moved(tmp_path, kind.format("ab"[day == "day2"]), kind.format(f"{day}/0"))
    lines(tmp_path, "top\nday1/0\nday2\\0\n")
    dataset = read_voc(tmp_path, "train")
    assert dataset.classes == ("cat", "dog")
    assert dataset.notes == ()
    assert [dataset.sample(i).name for i in range(3)] == ["top.jpg", "day1/0.jpg", "day2/0.jpg"]
    assert [path.relative_to(tmp_path).as_posix() for path in dataset.paths[1:]] == [
        "JPEGImages/day1/0.jpg",
        "JPEGImages/day2/0.jpg",
    ]
    assert [dataset.sample(i).objects[:, 4].tolist() for i in range(3)] == [[0], [1], [1]]


def test_hidden_files_and_links_that_lead_back(tmp_path):
    write_voc(tmp_path, {"p0": xml(DOG)})
    for name in ("Annotations/._p0.xml", "Annotations/.DS_Store", "JPEGImages/._p0.jpg", "JPEGImages/Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "Annotations/again").symlink_to(tmp_path / "Annotations")
    assert read_voc(tmp_path, "train").classes == ("dog",)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("\r\np0\r\n\r\n p1\t\r\n", "utf-8"), ("p0\np1", "utf-8-sig"), ("p0\rp1\r", "utf-8"), ("p0\r\np1\r\n", "utf-16")],
)
def test_lines_as_any_editor_ends_them(tmp_path, text, encoding):
    write_voc(tmp_path, {"p0": xml(DOG), "p1": xml(DOG)})
    lines(tmp_path, text, encoding=encoding)
    assert names(read_voc(tmp_path, "train")) == ["p0.jpg", "p1.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p1\np0 -1\n", r"train\.txt: line 2: 'p0 -1': this is VOC's list of one class"),
        ("p1  1\n", r"train\.txt: line 1: 'p1  1': this is VOC's list of one class"),
        ("p1\n\np0.jpg\n", r"p0\.jpg\.xml: the annotation .* line 3 of .*train\.txt .* the line should be p0$"),
        ("JPEGImages/p0.jpg\n", r"line 1 of .*train\.txt names it; .* the line should be p0$"),
        ("sub/p0\n", "the line should be p0$"),
        ("P0\n", "the line should be p0$"),
        ("p2\n", r"it is there as deep/p2\.xml: the line should be deep/p2$"),
        ("p3\n", r"p3\.xml: the annotation file does not exist; line 1 of .*train\.txt names it$"),
        ("p0\np1\np0\n", r"train\.txt: duplicate pictures: p0 \(the first again in line 3\)"),
    ],
)
def test_lines_that_name_no_annotation(tmp_path, text, message):
    write_voc(tmp_path, {"p0": xml(DOG), "p1": xml(DOG), "p2": xml(DOG)})
    moved(tmp_path, "Annotations/p2.xml", "Annotations/deep/p2.xml")
    lines(tmp_path, text)
    with pytest.raises(ValueError, match=message):
        read_voc(tmp_path, "train")


def test_a_name_that_ends_like_a_list_of_one_class(tmp_path):
    write_voc(tmp_path, {"p": xml(DOG), "p 1": xml(DOG)})
    assert names(read_voc(tmp_path, "train")) == ["p.jpg", "p 1.jpg"]


@pytest.mark.parametrize("size", ["", "<size/>", SIZE.replace("30", "0"), SIZE.replace("30", "0").replace("20", "0")])
def test_a_size_that_is_not_given_is_the_pictures(tmp_path, size):
    dataset = read_voc(write_voc(tmp_path, {"p0": xml(DOG, size=size)}), "train")
    assert (dataset.sample(0).height, dataset.sample(0).width) == (20, 30)
    assert dataset.notes == ("pictures whose size is read from their file, because their annotation has none: 1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (xml(DOG.replace("</object>", DOG[DOG.index("<bndbox>") :])), "object 1: it has 2 times <bndbox>; each box"),
        (xml(DOG.replace("<name>", "<name>cat</name><name>")), "object 1: it has 2 times <name>"),
        (xml(f"<objects>{DOG}{DOG}</objects>", DOG), "2 of its 3 objects are not an <object> directly"),
        (xml(DOG.replace("object", "Object")), "1 of its 1 objects are not an <object> directly"),
        (xml(DOG).replace("annotation", "annotations"), "not VOC: its top element should be <annotation>"),
        (
            xml(item("dog", "1,5", 1, 5, 5)),
            "object 1: <bndbox/xmin> should be a finite number, but is '1,5' \\(write",
        ),
        (xml(item("dog", 1, 1, 1e300, 5)), "object 1: its box is further away than any picture"),
        (xml(item("dog", "1_5", 1, 5, 5)), "object 1: <bndbox/xmin> should be a finite number, but is '1_5'"),
    ],
)
def test_nothing_is_lost_without_a_word(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"p0\.xml: {message}"):
        read_voc(write_voc(tmp_path, {"p0": text}), "train")


def test_a_namespace_and_parts_and_blanks(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    text = xml(item(" dog\n", 1.5, 1, 5, 5, extra=f"<pose>Left</pose><difficult/>{part}"))
    text = text.replace("<annotation>", '<annotation xmlns="http://x.org/voc" verified="yes">')
    dataset = read_voc(write_voc(tmp_path, {"p0": text}), "train")
    assert dataset.classes == ("dog",)
    np.testing.assert_allclose(dataset.sample(0).objects, [[2.5, 2.75, 5, 4.5, 0, 1]])


def test_coordinates_that_count_from_0(tmp_path):
    write_voc(tmp_path, {"p0": xml(item("dog", 0, 3, 10, 13))})
    (note,) = read_voc(tmp_path, "train").notes
    assert re.search(r"first_pixel = 0: 1$", note)
    dataset = read_voc(tmp_path, "train", first_pixel=0)
    np.testing.assert_allclose(dataset.sample(0).objects, [[8, 5, 10, 10, 0, 1]])
    assert dataset.notes == ()


def test_accents_as_a_mac_writes_them(tmp_path):
    write_voc(tmp_path, {"caf\u00e9": xml(DOG)})
    moved(tmp_path, "JPEGImages/caf\u00e9.jpg", "JPEGImages/cafe\u0301.jpg")
    assert len(read_voc(tmp_path, "train")) == 1
    lines(tmp_path, "cafe\u0301\n")
    assert len(read_voc(tmp_path, "train")) == 1


def test_several_pictures_of_one_annotation(tmp_path):
    write_voc(tmp_path, {"p0": xml(DOG)})
    for suffix in (".png", ".bmp"):
        Image.new("RGB", (30, 20)).save(tmp_path / f"JPEGImages/p0{suffix}")
    assert names(read_voc(tmp_path, "train")) == ["p0.jpg"]
    (tmp_path / "JPEGImages/p0.jpg").unlink()
    with pytest.raises(ValueError, match=r"p0\.xml: it has several pictures: p0\.bmp, p0\.png"):
        read_voc(tmp_path, "train")
