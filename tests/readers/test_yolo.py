"""YOLO's layout: what good files give, and the errors of bad ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet_data.contract.boxes import cyxhw_to_xyxy
from centernet_data.readers.errors import Collect
from centernet_data.readers.yolo import YoloFiles, label_file, read_yolo
from helpers.yolo import write_yolo

NAMES = ["red", "blue"]


def read(root, *places, errors=None, **options):
    files = YoloFiles([root / place for place in places or ("images/train",)], NAMES, **options)
    return read_yolo(files, root / "data.yaml", **({} if errors is None else {"errors": errors}))


def objects(text, tmp_path, **options):
    return read(write_yolo(tmp_path, {"a.png": text}), **options).sample(0).objects


def test_a_box_is_relative_to_the_picture(tmp_path):
    rows = objects("1 0.5 0.25 0.1 0.5\n0 .25 0.5 5e-1 1.0", tmp_path)
    np.testing.assert_allclose(rows, [[5, 20, 10, 4, 1, 1], [10, 10, 20, 20, 0, 1]])


@pytest.mark.parametrize(
    ("line", "corners"),
    [
        ("0 0.1 0.2 0.5 0.3 0.25 0.9", (4, 4, 20, 18)),
        ("0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5", (4, 2, 36, 18)),
        ("0 0.1 0.1 0.2 0.1 0.2 0.5 0.1 0.5 0.05 0.3", (2, 2, 8, 10)),
    ],
    ids=["triangle", "oriented box", "five corners"],
)
def test_polygons_and_oriented_boxes_give_the_box_around_them(tmp_path, line, corners):
    dataset = read(write_yolo(tmp_path, {"a.png": line}))
    np.testing.assert_allclose(cyxhw_to_xyxy(dataset.sample(0).objects[:, :4]), [corners])
    (note,) = dataset.notes
    assert note.endswith("read as the upright boxes around them: 1")


def test_keypoints_follow_the_box(tmp_path):
    rows = objects("1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 0", tmp_path, kpt_shape=(2, 3))
    np.testing.assert_allclose(rows, [[10, 20, 10, 20, 1, 1]])
    assert len(objects("1 0.5 0.5 0.5 0.5", tmp_path, kpt_shape=(2, 3))) == 1
    with pytest.raises(ValueError, match=r"a\.txt: line 1: it should have 11 columns, for a box and 2 keypoints"):
        objects("1 0.5 0.5 0.5 0.5 0.1 0.1 2", tmp_path, kpt_shape=(2, 3))


def test_labels_without_a_picture_are_counted(tmp_path):
    errors = Collect()
    write_yolo(tmp_path, {"a.png": ""})
    for name in ("b", "c", "classes"):
        (tmp_path / f"labels/train/{name}.txt").write_text("0 .5 .5 .1 .1")
    assert read(tmp_path, errors=errors).notes == ("label files without a picture: 2",)
    assert [remark.text for remark in errors.remarks] == [
        f"{tmp_path}/labels/train/b.txt: label files without a picture: 2, this the first"
    ]


def test_pictures_without_objects(tmp_path):
    dataset = read(write_yolo(tmp_path, {"a.png": None, "b.png": "", "c.png": "\r\n \n", "d.png": "0 .5 .5 .1 .1"}))
    assert [len(sample.objects) for sample in dataset.samples] == [0, 0, 0, 1]
    assert dataset.notes == ("pictures without a label file, taken as pictures without objects: 1",)


def test_odd_text_files(tmp_path):
    write_yolo(tmp_path, {"a.png": None, "b.png": None})
    (tmp_path / "labels/train/a.txt").write_bytes(b"\xef\xbb\xbf0\t0.5 0.5  0.5 0.5 \r\n\r\n1.0 0.5 0.5 0.5 0.5")
    (tmp_path / "labels/train/b.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-16")
    assert [len(sample.objects) for sample in read(tmp_path).samples] == [2, 1]


def test_boxes_belong_to_the_upright_picture(tmp_path):
    write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1"})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "images/train/a.jpg", exif=exif)
    sample = read(tmp_path).sample(0)
    assert (sample.height, sample.width) == (40, 20)
    np.testing.assert_allclose(sample.objects, [[20, 10, 40, 20, 0, 1]])
    assert read(tmp_path).picture(0).shape == (40, 20, 3)


def test_slightly_beyond_the_picture_is_clipped_and_said(tmp_path):
    dataset = read(write_yolo(tmp_path, {"a.png": "0 1.005 0.5 0.5 0.5"}))
    np.testing.assert_allclose(cyxhw_to_xyxy(dataset.sample(0).objects[:, :4]), [[30.2, 5, 40, 15]])
    assert dataset.notes == ("objects with numbers slightly outside of 0 to 1, clipped to their picture: 1",)


def test_what_is_given_twice_is_read_once(tmp_path):
    errors = Collect()
    dataset = read(write_yolo(tmp_path, {"a.png": "0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n0 0.50 0.5 0.5 0.5"}), errors=errors)
    assert dataset.sample(0).objects[:, 4].tolist() == [0, 1]
    assert dataset.notes == ("objects given twice in their label file, read once: 1",)
    assert [remark.text for remark in errors.remarks] == [
        f"{tmp_path}/labels/train/a.txt: line 3: the same as line 1; it is read once"
    ]


BAD = [
    ("0 0.5 0.5 0.5", "it has 4 columns; a box has 5"),
    ("0", "it has 1 columns; a box has 5"),
    ("0 0.5 0.5 0.5 0.5 0.9", "it has 6 columns; labels have 5, and a sixth, a score, is in predictions only"),
    ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "it has 8 columns"),
    ("dog 0.5 0.5 0.5 0.5", "the class should be a number, but is 'dog'"),
    ("0.5 0.5 0.5 0.5 0.5", "the class should be a whole number from 0, but is 0.5"),
    ("-1 0.5 0.5 0.5 0.5", "the class should be a whole number from 0, but is -1"),
    ("2 0.5 0.5 0.5 0.5", "there is no class 2; there are 2, 0 to 1: red, blue"),
    ("0 0.5 x 0.5 0.5", "column 3 should be a number, but is 'x'"),
    ("0 0.5 nan 0.5 0.5", "column 3 should be a number, but is 'nan'"),
    ("0 0.5 0.5 inf 0.5", "column 4 should be a number, but is 'inf'"),
    ("0 0.1_5 0.5 0.5 0.5", "column 2 should be a number, but is '0.1_5'"),
    ("0 0,5 0,5 0,5 0,5", "column 2 should be a number, but is '0,5'"),
    ("0 1.02 0.5 0.5 0.5", "its numbers should be shares of the picture's width and height, from 0 to 1, but"),
    ("0 320 240 64 48", r"there is 320, 240, 64, 48; they look like pixels"),
    ("0 -0.1 0.5 0.5 0.5", r"from 0 to 1, but there is -0\.1$"),
    ("0 0.5 0.5 -0.005 0.5", "the width or height of its box is negative"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines(tmp_path, line, message):
    write_yolo(tmp_path, {"a.png": f"0 .5 .5 .1 .1\n\n{line}\n"})
    with pytest.raises(ValueError, match=rf"labels/train/a\.txt: line 3: .*{message}"):
        read(tmp_path)


def test_all_mistakes_are_collected(tmp_path):
    errors = Collect()
    lines = [line for line, _ in BAD]
    write_yolo(tmp_path, {"a.png": "\n".join([*lines, "1 .5 .5 .1 .1"]), "b.png": "0 .5 .5 .1 .1"})
    (tmp_path / "images/train/0.png").write_bytes(b"nonsense")
    dataset = read(tmp_path, errors=errors)
    assert [len(sample.objects) for sample in dataset.samples] == [1, 1]
    assert [int(mistake.split("line ")[1].split(":")[0]) for mistake in errors.mistakes[1:]] == [
        *range(1, len(BAD) + 1)
    ]
    assert "0.png: not an image file" in errors.mistakes[0]


@pytest.mark.parametrize(
    ("picture", "labels"),
    [
        ("d/images/train/a.jpg", "d/labels/train/a.txt"),
        ("d/images/images/a.b.jpeg", "d/images/labels/a.b.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("/x/images/a/y.png", "/x/labels/a/y.txt"),
    ],
)
def test_where_the_labels_are(picture, labels):
    assert label_file(Path(picture)) == Path(labels)


def test_labels_of_a_relative_path_within_images(tmp_path, monkeypatch):
    write_yolo(tmp_path, {"a.png": "1 .5 .5 .1 .1"})
    monkeypatch.chdir(tmp_path / "images")
    assert len(read(tmp_path / "images", "train").sample(0).objects) == 1
    assert label_file(Path("train/a.png")) == tmp_path / "labels/train/a.txt"


def test_labels_beside_pictures(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1")
    assert len(read(tmp_path, ".").sample(0).objects) == 1


def test_several_folders_sub_folders_and_lists(tmp_path):
    write_yolo(tmp_path, {"b.png": "0 .5 .5 .1 .1", "a.PNG": "0 .5 .5 .1 .1"})
    write_yolo(tmp_path, {"c.png": "0 .5 .5 .1 .1"}, "train/deep")
    write_yolo(tmp_path, {"d.png": "1 .5 .5 .1 .1", ".hidden.png": ""}, "more")
    names = [sample.name for sample in read(tmp_path, "images/train", "images/more").samples]
    assert names == ["train/a.PNG", "train/b.png", "train/deep/c.png", "more/d.png"]
    (tmp_path / "list.txt").write_text("./images/more/d.png\n\nimages\\train\\b.png\r\n")
    assert [sample.name for sample in read(tmp_path, "list.txt").samples] == ["more/d.png", "train/b.png"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("images/none", "images/none: neither a folder of pictures nor a file that lists them"),
        ("images/train/a.png", "a picture; give its folder"),
        ("list.txt", r"1 of 1 pictures are missing; the first is .*images/none\.png"),
        ("other", r"labels: the folder of labels does not exist; the labels of .* would be"),
    ],
)
def test_bad_places(tmp_path, place, message):
    write_yolo(tmp_path, {"a.png": ""})
    (tmp_path / "list.txt").write_text("./images/none.png")
    (tmp_path / "other/images").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "other/images/a.png")
    with pytest.raises(ValueError, match=message):
        read(tmp_path, place)


def test_label_files_by_any_suffix_and_accents_and_those_without_a_picture(tmp_path):
    root = write_yolo(tmp_path, {"e\u0301.png": "0 .5 .5 .5 .5", "b.png": "1 .5 .5 .5 .5"})
    labels = root / "labels/train"
    (labels / "e\u0301.txt").rename(labels / "\u00e9.TXT")
    (root / "images/train/b.png").rename(root / "images/train/b.bmp")
    (root / "images/train/b.PNG").write_bytes((root / "images/train/b.bmp").read_bytes())
    (labels / "lost.txt").write_text(""), (labels / "classes.txt").write_text("red\nblue\n")
    errors = Collect()
    dataset = read(root, errors=errors)
    assert sorted(dataset.samples.labels) == [0, 1, 1]
    assert dataset.notes == (
        "label files without a picture: 1",
        "pictures that share their label file with another of the same name: 1",
    )
    assert [remark.text for remark in errors.remarks] == [
        f"{labels}/lost.txt: label files without a picture: 1, this the first"
    ]
    (root / "few.txt").write_text("images/train/b.bmp\n")
    assert read(root, "few.txt").notes == ()  # a list leaves out pictures on purpose


def test_a_list_relative_to_the_data_set(tmp_path):
    root = write_yolo(tmp_path, {"a.png": "0 .5 .5 .5 .5"})
    (root / "lists").mkdir()
    (root / "lists/few.txt").write_text("images/train/a.png\n")
    assert len(read(root, "lists/few.txt").sample(0).objects) == 1
