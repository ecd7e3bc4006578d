"""The dataset doctor on every kind of data set, empty ones and real ones too."""

import json

import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from centernet_data.doctor.audit import audit, audit_splits
from centernet_data.doctor.findings import box_findings
from centernet_data.source import open_dataset
from centernet_data.writers.tfds import write_tfds
from helpers.checked_data import SIDE, check, scenes, sound_data, write
from helpers.coco import write_toml
from helpers.datasets import Plain
from helpers.tfds_data import five_pictures
from helpers.voc import TOML as VOC_TOML
from helpers.voc import item, write_voc, xml


@pytest.fixture
def folder(tmp_path):
    return sound_data(tmp_path)


def test_voc_is_read_on_after_a_mistake(tmp_path, capsys):
    good, bad = item("dog", 1, 1, 9, 9), item("dog", 1, 1, -9, 9)
    write_voc(
        tmp_path,
        {
            "a": xml(bad, good),
            "b": xml(good, size="<size/>", filename="<filename>c.jpg</filename>"),
            "c": xml(good),
            "d": None,
        },
    )
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\nc\nd\nc\n")
    (tmp_path / "data.toml").write_text(VOC_TOML)
    status, findings = check(tmp_path)
    assert status == 1
    assert [message.removeprefix(f"{tmp_path}/") for _, _, message in findings] == [
        "ImageSets/Main/train.txt: duplicate pictures: c (the first again in line 5)",
        "Annotations/a.xml: object 1: its box is reversed: xmin 1, ymin 1, xmax -9, ymax 9",
        "Annotations/d.xml: the annotation file does not exist; "
        f"line 4 of {tmp_path}/ImageSets/Main/train.txt names it",
        "Annotations/b.xml: its <filename> is another picture's, c.jpg; b.jpg is used",
    ]
    (split,), _ = audit_splits(str(tmp_path / "data.toml"))
    assert [len(sample.objects) for sample in split.samples] == [1, 1, 1]


def test_no_picture_at_all_is_a_finding(folder):
    for split in ("train", "val"):
        write(folder, split, scenes([]))
    status, findings = check(folder)
    assert status == 1
    assert findings[0][2].endswith("[train] has no pictures")


def test_a_data_set_without_a_reader(tmp_path, monkeypatch):
    twice = Plain((((20, 20, 10, 10, 0, 1),) * 2,), SIDE, SIDE, ("thing",), ("painted",))
    monkeypatch.setattr("centernet_data.doctor.audit.split_names", lambda data, val_share: ("train",))
    monkeypatch.setattr("centernet_data.source.how_data_is_taken", lambda data: "")
    monkeypatch.setattr("centernet_data.doctor.audit.open_dataset", lambda data, split, errors, val_share: twice)
    status, findings = check(tmp_path)
    assert status == 0
    assert {kind for _, kind, _ in findings} == {"duplicate box", "objects share a cell"}
    assert "[train]: painted: object 2: the same box as object 1, both thing" in findings[0][2]


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


def test_tfds_is_read_on_after_a_bad_record_and_a_damaged_picture(tmp_path):
    folder = write_tfds(str(five_pictures(tmp_path)), tmp_path / "tfds").folder
    dataset = open_dataset(f"tfds:{folder}", "train")
    records, second = list(dataset.records.serialized), dataset.content(1)
    assert records[1].count(second) == 1
    records[1] = records[1].replace(second, second[:1500] + bytes(100) + second[1600:])
    records[2] = b"no example"
    file = next(folder.glob("*-train.array_record*"))
    writer = ArrayRecordWriter(str(file), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    audited = audit(f"tfds:{folder}", (64, 64), "letterbox")
    bad, damaged = audited.findings[:2]
    assert (bad.kind, damaged.kind, damaged.split) == ("refused by training", "unusable picture", "train")
    assert bad.message.startswith(f"{file}: record 2 cannot be read: ")
    assert damaged.message.startswith(f"{file}: record 1: the picture cannot be decoded: it is damaged")
    assert [(name, values["pictures"]) for name, values in audited.numbers.items()] == [("train", 4), ("val", 5)]
    shared = {finding.message.partition(":")[0] for finding in audited.findings if "overlap" in finding.kind}
    assert shared == {"[val] a.png", "[val] d.png", "[val] é.bmp"}  # those after the bad record were looked at too
