"""The dataset doctor: each kind of fault is found, named in one line, and counted."""

import json
import math
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from centernet.cli import main
from centernet.commands.check import Check
from centernet.commands.subset import Subset
from centernet_data.dataset import Sample
from centernet_data.doctor.audit import audit_splits
from centernet_data.doctor.expressible import express
from centernet_data.doctor.findings import box_findings
from centernet_data.imaging.decoding import read_picture
from centernet_data.imaging.pages import contact_sheet
from centernet_torch.convert import objects_to_points, points_to_objects
from centernet_torch.network import points_non_max_suppression
from helpers.coco import box, coco, write_json, write_toml
from helpers.datasets import Plain
from helpers.json_changes import change_json
from helpers.small_data import refused
from helpers.voc import TOML as VOC_TOML
from helpers.voc import item, write_voc, xml

SIDE = 64


def scenes(names, boxes=((1, 2, 20, 24), (30, 30, 20, 20))):
    """A COCO file's content: the same boxes in each picture, alternately red and blue."""
    annotations = [
        box(image, n % 2, *sides, id=10 * image + n) for image in range(len(names)) for n, sides in enumerate(boxes)
    ]
    return coco(dict.fromkeys(names, (SIDE, SIDE)), annotations)


@pytest.fixture
def folder(tmp_path):
    """A sound data set of three pictures to train on and two to validate on."""
    (tmp_path / "images").mkdir()
    for number in range(5):
        Image.new("RGB", (SIDE, SIDE), (40 * number, 90, 90)).save(tmp_path / f"images/{number}.png")
    write(tmp_path, "train", scenes(["0.png", "1.png", "2.png"]))
    write(tmp_path, "val", scenes(["3.png", "4.png"]))
    write_toml(tmp_path / "data.toml", {"train": "train.json", "val": "val.json"})
    return tmp_path


def write(folder, split, content):
    write_json(folder / f"{split}.json", content)


def change(folder, split, spoil):
    change_json(folder / f"{split}.json", spoil)


def check(folder, *options):
    """The exit status, and the findings as (severity, kind, message)."""
    arguments = ["data", "check", folder / "data.toml", "--out", folder / "check.png", "--json", folder / "check.json"]
    status = main([str(argument) for argument in (*arguments, *options)])
    findings = json.loads((folder / "check.json").read_text())["findings"]
    assert all(len(finding["message"].splitlines()) == 1 for finding in findings)
    return status, [(finding["severity"], finding["kind"], finding["message"]) for finding in findings]


def test_nothing_is_found_in_a_sound_data_set(folder, capsys):
    assert check(folder) == (0, [])
    output = capsys.readouterr().out
    assert "0 errors, 0 warnings, 0 notes" in output
    numbers = json.loads((folder / "check.json").read_text())
    assert (numbers["image_size"], numbers["resize"]) == ([256, 256], "letterbox")
    train = numbers["splits"]["train"]
    assert (train["pictures"], train["without_objects"], train["objects"], train["ignored"]) == (3, 0, 6, 0)
    assert train["classes"]["red"] == {"pictures": 3, "objects": 3, "small": 3, "medium": 0, "large": 0}
    assert train["expressible"]["AP"] == 1
    assert read_picture(folder / "check.png").any()


def boxed(number, **values):
    return lambda content: content["annotations"][number].update(values)


def pictured(number, **values):
    return lambda content: content["images"][number].update(values)


def unreadable(data):
    return lambda folder: (folder / "images/1.png").write_bytes(data)


def turned(orientation):
    def spoil(folder):
        picture = Image.open(folder / "images/1.png")
        exif = picture.getexif()
        exif[0x0112] = orientation
        picture.save(folder / "images/1.png", exif=exif)

    return spoil


def in_train(spoil):
    return lambda folder: change(folder, "train", spoil)


def copied(name, other):
    return lambda folder: Image.open(folder / f"images/{name}.png").save(folder / f"images/{other}.png", optimize=True)


def another_box(bbox, category_id=0):
    new = {"id": 99, "image_id": 0, "category_id": category_id, "bbox": bbox}
    return in_train(lambda content: content["annotations"].append(new))


def crowd_of(count):
    """`count` small boxes of one class in one picture, each in its own cell."""

    def spoil(content):
        content["annotations"] = [
            {"id": n, "image_id": 0, "category_id": 0, "bbox": [6 * (n % 10), 6 * (n // 10), 5, 5]}
            for n in range(count)
        ]
        content["annotations"].append({"id": count, "image_id": 0, "category_id": 1, "bbox": [3, 3, 5, 5]})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "severity", "kind", "message"),
    [
        (in_train(boxed(1, bbox=[1, 2, math.nan, 4])), "error", "refused by training", "annotation 1: 'bbox' should"),
        (in_train(boxed(1, bbox=[9, 9, -3, 4])), "error", "refused by training", "annotation 1: the width or height"),
        (in_train(boxed(1, category_id=7)), "error", "refused by training", "its category_id 7 is not among"),
        (lambda folder: (folder / "val.json").unlink(), "error", "refused by training", "val.json: the annotation"),
        (lambda folder: (folder / "images/1.png").unlink(), "error", "unusable picture", "1.png: the file does not"),
        (unreadable(b""), "error", "unusable picture", "1.png: the file is empty"),
        (unreadable(b"\x89PNG"), "error", "unusable picture", "1.png: not an image file"),
        (in_train(pictured(1, width=65)), "error", "unusable picture", "64 x 64 pixels .* annotation says 65 x 64"),
        (copied(0, 3), "error", "[train] and [val] overlap", r"\[val\] 3.png: the same pixels as \[train\] 0.png"),
        (copied(0, 1), "warning", "duplicate picture", r"\[train\] 1.png: the same pixels as \[train\] 0.png$"),
        (turned(3), "warning", "EXIF rotation", "1.png: it is shown rotated, by its EXIF orientation 3"),
        (another_box([50, 50, 20, 5]), "warning", "box beyond its picture", "99: .* by 6 pixels, .* x 50 to 70"),
        (another_box([40, 40, 60, 60]), "warning", "box beyond its picture", "would fit as its lower right corner"),
        (another_box([70, 5, 9, 9]), "warning", "box outside its picture", "annotation 99: its box is outside"),
        (another_box([9, 9, 0, 9]), "warning", "box without area", "annotation 99: its box has no area"),
        (another_box([1, 2, 20, 24]), "warning", "duplicate box", "99: the same box as annotation 0, both red"),
        (another_box([1, 2, 20, 24], 1), "warning", "duplicate box", "as annotation 0, blue here, red there"),
        (another_box([2, 2, 20, 24]), "warning", "duplicate box", r"nearly the same box \(IoU 0.90\) as"),
        (another_box([55, 5, 0.2, 9]), "warning", "object vanishes", "0.png: 1 of its 3 objects is less than a pixel"),
        (another_box([2, 7, 18, 14]), "warning", "objects share a cell", "0.png: 1 of its 3 objects is in the cell"),
        (in_train(crowd_of(100)), "warning", "too many objects", "0.png: 1 of its 101 objects is beyond the 100"),
        (in_train(lambda c: c["annotations"].pop(1) and c["annotations"].pop(2) and c["annotations"].pop(3)),
         "warning", "class without objects", r"\[train\]: 1 of 2 classes have no objects, and the network cannot"),
    ],
)  # fmt: skip
def test_one_fault_gives_one_kind_of_finding(folder, spoil, severity, kind, message):
    spoil(folder)
    status, findings = check(folder)
    assert status == (severity == "error")
    found = [text for *place, text in findings if place == [severity, kind]]
    assert len(found) == 1, findings
    assert re.search(message, found[0])
    more_serious = {"error": (), "warning": ("error",)}[severity]
    assert not [finding for finding in findings if finding[0] in more_serious]


def test_a_note_for_category_ids_with_gaps(folder):
    def gaps(content):
        content["categories"].append({"id": 5, "name": "green"})

    for split in ("train", "val"):
        change(folder, split, gaps)
    status, findings = check(folder)
    assert status == 0
    notes = [message for severity, kind, message in findings if (severity, kind) == ("note", "category ids")]
    assert len(notes) == 2
    assert "train.json: the category ids skip 2 to 4; a class's index is its position" in notes[0]


def test_every_mistake_is_reported_and_the_rest_is_read(folder):
    def spoil(content):
        boxes = content["annotations"]
        boxes[0]["bbox"], boxes[1]["image_id"], boxes[2]["iscrowd"] = [1, 2, 3], 77, 5
        content["images"] += [4, {"id": 1}, {"id": 8, "file_name": "8.png", "height": 0, "width": 3}]
        content["categories"].append({"id": 9, "name": "red"})

    change(folder, "train", spoil)
    (folder / "images/4.png").unlink()
    status, findings = check(folder)
    messages = [message.removeprefix(f"{folder}/") for severity, _, message in findings if severity == "error"]
    assert status == 1
    assert messages == [
        "train.json: images[3] should be a JSON object, but is 4",
        "train.json: category 9: duplicate name 'red'",
        "train.json: image 1: duplicate id",
        "train.json: annotation 0: 'bbox' should be four finite numbers, but is [1, 2, 3]",
        "train.json: annotation 1: its image_id 77 is not among the images",
        "train.json: annotation 10: 'iscrowd' should be 0 or 1, but is 5",
        "train.json: image 8: its size should be positive, but is 3 x 0 (width x height)",
        "images/4.png: the file does not exist",
    ]
    numbers = json.loads((folder / "check.json").read_text())["splits"]
    assert (numbers["train"]["pictures"], numbers["train"]["objects"], numbers["val"]["objects"]) == (3, 3, 4)


def test_long_lists_are_cut_on_the_terminal_alone(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    write(folder, "train", scenes(["0.png"], [(x, 1, 100, 5) for x in range(0, 60, 5)]))
    capsys.readouterr()
    _, findings = check(folder)
    output = capsys.readouterr().out
    assert sum(kind == "box beyond its picture" for _, kind, _ in findings) == 12
    assert "warning: box beyond its picture (12)" in output
    assert "  and 8 more (--json FILE writes all)" in output
    tables = output.partition("\nwarning")[0]
    assert max(map(len, tables.splitlines())) <= 80


def test_the_most_suspicious_pictures_come_first_then_others_by_the_seed(folder, monkeypatch):
    change(folder, "train", boxed(2, bbox=[50, 50, 20, 5]))
    (folder / "images/4.png").write_bytes(b"")
    sheets = []

    def note(tiles):
        sheets.append([(image is None, *captions) for image, _, _, *captions in tiles])
        return contact_sheet(tiles)

    monkeypatch.setattr("centernet_data.doctor.sheet.contact_sheet", note)
    for seed in (0, 0, 1, 2):
        check(folder, "--seed", seed)
    assert [sheet[:2] for sheet in sheets] == 4 * [
        [(True, "val: 4.png", "unusable picture"), (False, "train: 1.png", "box beyond its picture")]
    ]
    assert {len(sheet) for sheet in sheets} == {5}
    assert sheets[0] == sheets[1]
    assert not sheets[0] == sheets[2] == sheets[3]


def test_help_names_every_option(capsys):
    for command, settings_ in (("check", Check), ("subset", Subset)):
        with pytest.raises(SystemExit):
            main(["data", command, "--help"])
        text = capsys.readouterr().out
        assert "DATA" in text
        for setting in fields(settings_)[1:]:
            assert f"--{setting.name.replace('_', '-')}" in text


def test_corners_written_as_sizes(folder):
    boxes = [(x, y, x + 9, y + 20) for x in (3, 20, 40) for y in (2, 36)]
    write(folder, "train", scenes(["0.png"], [(x, y, 9, 20) for x, y, _, _ in boxes]))
    assert check(folder)[0] == 0
    write(folder, "train", scenes(["0.png"], boxes))
    status, findings = check(folder)
    assert status == 1
    (error,) = [message for severity, _, message in findings if severity == "error"]
    assert "[train]: the boxes look like x_min, y_min, x_max, y_max, but are read as x, y, width, height" in error


def test_fractions_written_as_pixels(folder):
    write(folder, "train", scenes(["0.png"], [(x, 0.1, 0.2, 0.3) for x in (0.1, 0.3, 0.5, 0.6, 0.8)]))
    status, findings = check(folder)
    assert status == 1
    assert findings[0][1] == "fractions written as pixels"


def test_voc_is_read_on_after_a_mistake(tmp_path, capsys):
    good, bad = item("dog", 1, 1, 9, 9), item("dog", 1, 1, -9, 9)
    write_voc(tmp_path, {"a": xml(bad, good), "b": xml(good, size=""), "c": xml(good), "d": None})
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\nc\nd\nc\n")
    (tmp_path / "data.toml").write_text(VOC_TOML)
    status, findings = check(tmp_path)
    assert status == 1
    assert [message.removeprefix(f"{tmp_path}/") for _, _, message in findings] == [
        "ImageSets/Main/train.txt: duplicate pictures: c",
        "Annotations/a.xml: object 1: its box is reversed: xmin 1, ymin 1, xmax -9, ymax 9",
        "Annotations/b.xml: <size/height> is missing or empty",
        "Annotations/d.xml: the annotation file does not exist",
    ]
    (split,), _ = audit_splits(str(tmp_path / "data.toml"))
    assert [len(sample.objects) for sample in split.samples] == [1, 1]


def test_unusable_input_ends_with_status_2(folder, capsys):
    data = folder / "data.toml"
    assert "none.toml: neither a file nor" in refused(capsys, "data", "check", folder / "none.toml")
    assert "none/check.png: its folder does not exist" in refused(
        capsys, "data", "check", data, "--out", folder / "none/check.png"
    )
    data.write_text('format = "coco"\n')
    assert "data.toml: there is no section, such as [train]" in refused(capsys, "data", "check", data)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--image-size", "33"), "--image-size must be one or two multiples of 32, not 33"),
        (("--seed", "-1"), "--seed must be at least 0, not -1"),
        (("--out", "check.txt"), "check.txt: the sheet of pictures must be a .png or .jpg file"),
    ],
)
def test_bad_options_are_refused(option, message, capsys):
    assert message in refused(capsys, "data", "check", "shapes", *option)


def test_no_picture_at_all_is_a_finding(folder):
    for split in ("train", "val"):
        write(folder, split, scenes([]))
    status, findings = check(folder)
    assert status == 1
    assert findings[0][2].endswith("[train] has no pictures")


def test_a_data_set_without_a_reader(tmp_path, monkeypatch):
    twice = Plain((((20, 20, 10, 10, 0, 1),) * 2,), SIDE, SIDE, ("thing",), ("painted",))
    monkeypatch.setattr("centernet_data.doctor.audit.split_names", lambda data: ("train",))
    monkeypatch.setattr("centernet_data.doctor.audit.open_dataset", lambda data, split, errors: twice)
    status, findings = check(tmp_path)
    assert status == 0
    assert {kind for _, kind, _ in findings} == {"duplicate box", "objects share a cell"}
    assert "[train]: painted: object 2: the same box as object 1, both thing" in findings[0][2]


# What the network can express, compared with the network's own encoding and decoding


def numbers_between(low, high):
    return st.floats(low, high, allow_nan=False, width=32)


rows = st.lists(
    st.tuples(numbers_between(0, 64), numbers_between(0, 64), numbers_between(0.5, 40), numbers_between(0.5, 40),
              st.integers(0, 2)),
    max_size=12,
)  # fmt: skip


def sample_of(objects, height=64, width=64):
    """A sample with these (y, x, height, width, class), clipped to the picture as the readers do."""
    objects = np.array(objects, float).reshape(-1, 5)
    low = np.maximum(objects[:, :2] - objects[:, 2:4] / 2, 0)
    high = np.minimum(objects[:, :2] + objects[:, 2:4] / 2, (height, width))
    clipped = np.column_stack([(low + high) / 2, high - low, objects[:, 4], np.ones(len(objects))])
    clipped = clipped[(high > low).all(axis=1)]
    return Sample("a", height, width, clipped, clipped[:, 2] * clipped[:, 3], np.zeros((0, 6)))


@settings(deadline=None, max_examples=60)
@given(rows)
def test_expressed_as_the_network_itself_would(objects):
    sample = sample_of(objects)
    expected = np.zeros((0, 6))
    if len(sample.objects):
        cells = torch.from_numpy(sample.objects / [4, 4, 4, 4, 1, 1])[None]
        points = points_non_max_suppression(objects_to_points(cells, (16, 16), 3, targets="adaptive"))
        expected = points_to_objects(points, 100, 1.0)[0].numpy() * [4, 4, 4, 4, 1, 1]
        expected = expected[expected[:, 5] > 0]
    np.testing.assert_allclose(express(sample, (64, 64), "stretch").decoded, expected, atol=1e-9)


def test_in_the_pictures_own_pixels_and_the_numbers_add_up():
    sample = sample_of([(10, 20, 8, 8, 0), (10, 21, 6, 6, 0), (100, 200, 50, 60, 1)], 128, 256)
    part = express(sample, (32, 32), "letterbox")  # scaled to an eighth: cells of 32 pixels, boxes of 1 pixel and less
    np.testing.assert_array_equal(part.vanished, [False, True, False])
    np.testing.assert_array_equal(part.under_a_cell, [True, True, False])
    np.testing.assert_array_equal(part.shared, [False, True, False])
    np.testing.assert_allclose(part.decoded, sample.objects[[0, 2]])


def test_only_the_best_hundred_count():
    objects = [(4 * y + 2, 4 * x + 2, 3, 3, 0) for y in range(11) for x in range(10)]
    part = express(sample_of(objects), (64, 64), "letterbox")
    np.testing.assert_array_equal(np.flatnonzero(part.beyond_the_best), range(100, 110))
    assert len(part.decoded) == 100


# Real pictures


def test_tiny_coco(tiny_coco, tmp_path):
    write_toml(tmp_path / "data.toml", {"train": tiny_coco / "instances.json"}, tiny_coco / "images")
    status, findings = check(tmp_path)
    assert status == 0
    assert [kind for _, kind, _ in findings] == [
        "class without objects", "objects share a cell", "objects share a cell", "category ids",
    ]  # fmt: skip
    numbers = json.loads((tmp_path / "check.json").read_text())["splits"]["train"]
    assert (numbers["pictures"], numbers["objects"], numbers["ignored"]) == (16, 196, 1)
    assert 0.98 < numbers["expressible"]["AP"] < 1
    assert numbers["expressible"]["shared"] == 3


def test_bccd_has_duplicate_boxes(bccd, tmp_path):
    sections = "".join(f'[{split}]\nroot = "{bccd}"\nsplit = "{split}"\n' for split in ("train", "val"))
    (tmp_path / "data.toml").write_text('format = "voc"\n' + sections)
    splits, findings = audit_splits(str(tmp_path / "data.toml"))
    assert findings == []
    found = [finding for split in splits for finding in box_findings(split)]
    assert [(finding.split, finding.kind) for finding in found].count(("train", "duplicate box")) == 5
    assert [(finding.split, finding.kind) for finding in found].count(("val", "duplicate box")) == 2
    assert len(found) == 7
