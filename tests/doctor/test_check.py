"""The dataset doctor: each kind of fault is found, named in one line, and counted."""

import json
import math
import re
from dataclasses import fields

import pytest
from PIL import Image

from centernet.cli import main
from centernet.commands.check import Check
from centernet.commands.convert import Convert
from centernet_data.imaging.decoding import read_picture
from centernet_data.imaging.pages import contact_sheet
from helpers.checked_data import check, scenes, sound_data, write
from helpers.json_changes import change_json
from helpers.small_data import refused


@pytest.fixture
def folder(tmp_path):
    return sound_data(tmp_path)


def change(folder, split, spoil):
    change_json(folder / f"{split}.json", spoil)


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
        "train.json: category 9: duplicate name 'red'; to read these categories as one class, list the classes with "
        "'classes' in the TOML file",
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
    for command, settings_ in (("check", Check), ("convert", Convert)):
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
