"""TFDS data that are damaged or cannot be prepared, and the command that prepares them."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter

from centernet.cli import main
from centernet_data.source import open_dataset, open_train_and_val
from centernet_data.writers.tfds import write_tfds
from helpers.json_changes import change_json
from helpers.tfds_data import COCO, F, assert_same_samples, five_pictures, picture, prepared


@pytest.fixture
def toml(tmp_path):
    return five_pictures(tmp_path)


@pytest.fixture
def folder(toml, tmp_path):
    return write_tfds(str(toml), tmp_path / "out").folder


def spoil_json(name, change):
    return lambda folder: change_json(folder / name, change)


def change_records(change):
    def spoil(folder):
        path = folder / "my_data-train.array_record-00000-of-00001"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def replace_records(*records):
    def spoil(folder):
        writer = ArrayRecordWriter(str(folder / "my_data-train.array_record-00000-of-00001"), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()

    return spoil


def flip(content, at=1000):
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change_records(lambda content: content[:70_000]), "of-00001: record 0 cannot be read: .*Riegeli"),
        (change_records(lambda content: b""), "of-00001: record 0 cannot be read: ArrayRecord file should be at least"),
        (change_records(flip), r"of-00001: record \d cannot be read: Corrupted Riegeli"),
        (replace_records(b"no example"), "of-00001: record 0 cannot be read: "),
        (replace_records(), "of-00001: record 0 cannot be read: "),
        (replace_records(b""), "of-00001: record 0 cannot be read: "),
        (lambda folder: next(folder.glob("*train*")).unlink(), "of-00001: the file does not exist"),
        (lambda folder: (folder / "dataset_info.json").write_text("no"), "TFDS cannot open this data set"),
        (lambda folder: (folder / "features.json").write_text("no"), "TFDS cannot open this data set"),
        (lambda folder: (folder / "features.json").unlink(), r"features\.json: the file does not exist"),
        (
            lambda folder: (folder / "metadata.json").write_text("no"),
            r"metadata\.json: not what `centernet data convert`",
        ),
        (lambda folder: (folder / "metadata.json").write_text('{"centernet_notes": 3}'), r"metadata\.json: not what"),
        (lambda folder: (folder / "metadata.json").write_text("[1]"), r"metadata\.json: not what"),
        (spoil_json("dataset_info.json", lambda info: info.update(fileFormat="tfrecord")), "in the format tfrecord"),
        (spoil_json("dataset_info.json", lambda info: info["splits"].pop(0)), "no split 'train'; there are: val"),
        (spoil_json("dataset_info.json", lambda info: info.pop("splits")), "no split 'train'; there are: none"),
    ],
)
def test_damage(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ValueError, match=message) as error:
        open_dataset(f"tfds:{folder}", "train")
    assert str(folder) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_files_in_several_formats(toml, folder):
    formats = {"fileFormat": "tfrecord", "alternativeFileFormats": ["array_record"]}
    spoil_json("dataset_info.json", lambda info: info.update(formats))(folder)
    dataset = open_dataset(f"tfds:{folder}", "train")
    assert_same_samples(open_dataset(toml, "train"), dataset)
    assert dataset.records.where(4).endswith("my_data-train.array_record-00000-of-00001: record 4")


def test_an_empty_split(folder):
    spoil_json("dataset_info.json", lambda info: info["splits"][0].update(shardLengths=[]))(folder)
    with pytest.raises(ValueError, match=r"\[train\] has no pictures"):
        open_train_and_val(f"tfds:{folder}")


def test_classes_without_names_are_noted(folder):
    (folder / "objects-label.labels.txt").unlink()
    dataset = open_dataset(f"tfds:{folder}", "train")
    assert dataset.classes == ("0", "1")
    assert dataset.notes[0] == "the classes have no names, so their numbers are used"


@pytest.mark.parametrize(
    ("at", "message"), [(0, "not an image file, or its header is damaged"), (500, "the picture cannot be decoded")]
)
def test_a_damaged_picture_is_named(folder, at, message):
    dataset = open_dataset(f"tfds:{folder}", "train")
    records, png = list(dataset.records.serialized), dataset.content(0)
    records[0] = records[0].replace(png, flip(png, at))
    replace_records(*records)(folder)
    with pytest.raises(ValueError, match=f"of-00001: record 0: {message}"):
        open_dataset(f"tfds:{folder}", "train").picture(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [-1]}, "record 0: object 0: its label should be one of 2 classes, but is -1"),
        ({"label": [2]}, "record 0: object 0: its label should be one of 2 classes, but is 2"),
        ({"bbox": [[0.5, 0.1, 0.4, 0.2]]}, "object 0: its bbox should be ymin, xmin, ymax, xmax, but is"),
        ({"bbox": [[0.5, np.nan, 0.9, 0.2]]}, "object 0: its bbox should be ymin, xmin, ymax, xmax, but is"),
        ({"label": [0, 1]}, "its objects have unequal numbers of bbox, label"),
    ],
)
def test_malformed_objects(tmp_path, change, message):
    plain = {"bbox": F.Tensor(shape=(None, 4), dtype=np.float32), "label": F.Tensor(shape=(None,), dtype=np.int64)}
    loose = F.FeaturesDict({"image": F.Image(), "objects": plain})  # TFDS would not write such boxes itself
    strict = {"bbox": F.BBoxFeature(), "label": F.ClassLabel(names=["dog", "cat"])}
    picture(tmp_path, "0.jpg")
    objects = {"bbox": [[0.1, 0.1, 0.2, 0.2]], "label": [1]} | change
    typed = {"bbox": np.array(objects["bbox"], np.float32), "label": np.array(objects["label"])}
    record = loose.serialize_example({"image": str(tmp_path / "0.jpg"), "objects": typed})
    replace_records(record)(tmp_path)
    split = tfds.core.SplitInfo(name="train", shard_lengths=[1], num_bytes=1)
    features = F.FeaturesDict({"image": F.Image(), "objects": F.Sequence(strict)})
    tfds.folder_dataset.write_metadata(data_dir=tmp_path, features=features, split_infos=[split], check_data=False)
    with pytest.raises(ValueError, match=message):
        open_dataset(f"tfds:{tmp_path}", "train")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": F.Image()}, "there is no feature objects/bbox, objects/label; a data set for detection has image"),
        ({"image/id": np.int64}, "there is no feature image, objects/bbox, objects/label"),
        ({"image": F.Image(), "objects": F.Sequence({"label": np.int64})}, "there is no feature objects/bbox"),
        ({"image": F.Image(), "objects": F.Sequence(np.int64)}, "there is no feature objects/bbox"),
        ({"image": F.Image(), "objects": F.Sequence(COCO | {"label": np.int64})}, "label should be a ClassLabel"),
        ({"image": F.Image(), "objects": F.Sequence(COCO | {"bbox": F.BBoxFeature(bbox_format="XYXY")})}, "is XYXY"),
        ({"image": F.Image(), "objects": F.Sequence(COCO | {"bbox": F.Tensor(shape=(4,), dtype=np.float32)})}, "none"),
    ],
)
def test_other_features(tmp_path, features, message):
    replace_records(b"")(tmp_path)
    split = tfds.core.SplitInfo(name="train", shard_lengths=[1], num_bytes=1)
    tfds.folder_dataset.write_metadata(data_dir=tmp_path, features=features, split_infos=[split], check_data=False)
    with pytest.raises(ValueError, match=message) as error:
        open_dataset(f"tfds:{tmp_path}", "train")
    assert str(tmp_path) in str(error.value)


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_command(toml, tmp_path, capsys):
    command = ("data", "convert", toml, "--format", "tfds", "--out", tmp_path / "out")
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "train: 5 pictures with 5 objects",
        "  boxes left out because they have no area inside their picture: 1",
    ]
    assert lines[-1].endswith(f"use it with --data tfds:{tmp_path}/out/my_data")
    assert run(*command) == 2
    assert capsys.readouterr().err.endswith("1.0.0: already exists; choose another --name or give --overwrite\n")
    assert run(*command, "--overwrite") == 0
    assert run(*command[:2], f"tfds:{tmp_path}/out", *command[3:], "--name", "b") == 2
    assert capsys.readouterr().err.endswith("this is already a TFDS data set\n")
    assert run(*command[:3], "--format", "tfds", "--out", toml) == 2
    assert capsys.readouterr().err.endswith("my-data.toml: a file, not a folder\n")
    assert run(*command, "--name", "16 dogs") == 2
    assert "--name: TFDS needs a letter, then letters, digits and _, not '16 dogs'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[train]", '["held out"]', r"my-data\.toml: \[held out\] cannot be a TFDS split"),
        ("[train]", "[all]", r"\[all\] cannot be a TFDS split"),
        ("[train]", 'classes = ["dog "]\n[train]', "TFDS cannot store the class name 'dog '"),
        ('[train]\nimages = "."\nannotations = "boxes.json"', "[train]", "'images' of .train. is missing"),
    ],
)
def test_what_cannot_be_prepared(toml, tmp_path, old, new, message):
    (tmp_path / "boxes.json").write_text((tmp_path / "boxes.json").read_text().replace('"dog"', '"dog "'))
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        write_tfds(str(toml), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_pictures_are_found_before_anything_is_written(toml, tmp_path):
    (tmp_path / "sub/c.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"c\.jpg: not an image file"):
        write_tfds(str(toml), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_the_older_data_set(toml, tmp_path, monkeypatch):
    data = prepared(toml, tmp_path / "out")

    def full(path, records):
        raise RuntimeError("No space left on device")

    monkeypatch.setattr("centernet_data.writers.tfds._write_records", full)
    with pytest.raises(OSError, match="my_data: cannot write to it: No space left on device"):
        prepared(toml, tmp_path / "out", overwrite=True)
    assert len(open_dataset(data, "train")) == 5
    assert len(list((tmp_path / "out/my_data").iterdir())) == 1
    shutil.rmtree(tmp_path / "out")
