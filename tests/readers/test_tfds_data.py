"""TFDS data sets: written here, prepared by TFDS itself, and damaged."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from centernet.cli import main
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.source import name_of_data, open_dataset, open_splits, open_train_and_val
from centernet_data.writers.tfds import write_tfds
from helpers.coco import box, coco, write_json, write_toml
from helpers.json_changes import change_json

F = tfds.features
AUGMENTATION = Augmentation()


def picture(folder, name, hw=(40, 60), seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (*hw, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name, **options)


def coco_toml(folder, pictures, boxes):
    """A TOML file whose [train] and [val] are the same pictures, in the same folder."""
    write_json(folder / "boxes.json", coco(pictures, boxes, ("dog", "cat")))
    return write_toml(folder / "my-data.toml", dict.fromkeys(("train", "val"), "boxes.json"), ".")


@pytest.fixture
def toml(tmp_path):
    """Five different pictures, among them one with an EXIF rotation, one without objects, and one with a crowd."""
    turned = Image.Exif()
    turned[0x0112] = 6
    sizes = {"a.png": (40, 60), "b.jpg": (60, 40), "sub/c.jpg": (33, 47), "d.png": (50, 50), "é.bmp": (20, 70)}
    (tmp_path / "sub").mkdir()
    for seed, (name, hw) in enumerate(sizes.items()):
        picture(tmp_path, name, hw[::-1] if name == "b.jpg" else hw, seed, **({"exif": turned} if seed == 1 else {}))
    boxes = [
        box(0, 1, 1 / 3, 2 / 7, 31.1, 17.77, area=100 / 3),
        box(0, 0, 50, 30, 99, 99),
        box(1, 0, 5, 50, 20.25, 9.5, area=0),
        box(1, 1, 0, 0, 40, 60, iscrowd=1, area=12.5),
        box(2, 1, 90, 90, 5, 5),
        box(4, 1, 0.1, 0.2, 0.7, 19.8),
    ]
    return coco_toml(tmp_path, sizes, boxes)


def prepared(toml, folder, **options):
    """Converts a data set to TFDS. Returns its name for --data."""
    return f"tfds:{write_tfds(str(toml), folder, **options).folder}"


def assert_same_batches(a, b, steps=3, augmentation=AUGMENTATION):
    """Bit for bit."""
    a, b = (Batches(dataset, 5, (64, 96), "letterbox", augmentation, seed=3) for dataset in (a, b))
    for step in range(steps):
        for key in ("image", "objects"):
            assert a[step][key].tobytes() == b[step][key].tobytes()


def assert_same_samples(a, b):
    assert a.classes == b.classes
    assert a.notes == b.notes
    assert len(a) == len(b)
    for one, other in zip(a.samples, b.samples, strict=True):
        assert (one.name, one.height, one.width) == (other.name, other.height, other.width)
        for name in ("objects", "areas", "ignored"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def test_everything_comes_back_exactly(toml, tmp_path):
    data = prepared(toml, tmp_path / "out")
    for split in ("train", "val"):
        files, records = open_dataset(toml, split), open_dataset(data, split)
        assert len(files.notes) == 2
        assert_same_samples(files, records)
        for index, path in enumerate(files.paths):
            np.testing.assert_array_equal(files.picture(index), records.picture(index), strict=True)
            assert records.content(index) == path.read_bytes()
    for files, records in zip(open_train_and_val(toml), open_train_and_val(data), strict=True):
        assert_same_batches(files, records)


SHARE = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE, st.sampled_from([0, 1]), st.floats(0, 1e5)), max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_boxes_come_back_exactly(tmp_path, boxes):
    picture(tmp_path, "a.png")
    annotations = [
        box(0, 0, 60 * x, 40 * y, 60 * w, 40 * h, iscrowd=crowd, area=area) for x, y, w, h, crowd, area in boxes
    ]
    toml = coco_toml(tmp_path, {"a.png": (40, 60)}, annotations)
    data = prepared(toml, tmp_path / "out", overwrite=True)
    assert_same_samples(open_dataset(toml, "train"), open_dataset(data, "train"))


def test_many_files(toml, tmp_path, monkeypatch):
    monkeypatch.setattr("centernet_data.writers.tfds.PICTURES_PER_FILE", 2)
    data = prepared(toml, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out/my_data/1.0.0").glob("*-train.*"))
    assert names == [f"my_data-train.array_record-0000{n}-of-00003" for n in range(3)]
    files, records = open_dataset(toml, "train"), open_dataset(data, "train")
    assert_same_samples(files, records)
    assert_same_batches(files, records, steps=1)
    assert records.records.where(3).endswith("-00001-of-00003: record 1")


def test_tiny_coco(tiny_coco, tmp_path):
    (tmp_path / "tiny.toml").write_text(
        f'format = "coco"\n[train]\nimages = "{tiny_coco / "images"}"\nannotations = "{tiny_coco / "instances.json"}"\n'
    )
    data = prepared(tmp_path / "tiny.toml", tmp_path / "out")
    (files, none), (records, none_either) = open_train_and_val(tmp_path / "tiny.toml"), open_train_and_val(data)
    assert none is none_either is None
    assert_same_samples(files, records)
    assert_same_batches(files, records)


def test_bccd(bccd, tmp_path):
    (tmp_path / "bccd.toml").write_text(f'format = "voc"\n[val]\nroot = "{bccd}"\nsplit = "val"\n')
    data = prepared(tmp_path / "bccd.toml", tmp_path / "out")
    files, records = open_dataset(tmp_path / "bccd.toml", "val"), open_dataset(data, "val")
    assert_same_samples(files, records)
    assert_same_batches(files, records)


def test_rendered_scenes_are_rendered_once(tmp_path, monkeypatch):
    monkeypatch.setattr("centernet_data.synthetic.shapes.ShapesDataset.default_counts", {"train": 3, "val": 2})
    data = prepared("shapes", tmp_path)
    for split, shapes in open_splits("shapes").items():
        records = open_dataset(data, split)
        assert len(records) == len(shapes)
        for index in range(len(shapes)):
            np.testing.assert_array_equal(shapes.picture(index), records.picture(index))
            np.testing.assert_array_equal(shapes.sample(index).objects, records.sample(index).objects)
        assert_same_batches(shapes, records, augmentation=NO_AUGMENTATION)


def test_other_threads_and_processes_read_the_same(toml, tmp_path):
    dataset = open_dataset(prepared(toml, tmp_path / "out"), "train")
    again = pickle.loads(pickle.dumps(dataset))
    assert_same_samples(dataset, again)
    expected = [dataset.picture(index) for index in range(5)]
    order = np.random.default_rng(0).integers(0, 5, 200).tolist()
    for source in (dataset, again):
        with ThreadPoolExecutor(8) as pool:
            for index, image in zip(order, pool.map(source.picture, order), strict=True):
                np.testing.assert_array_equal(image, expected[index])


def test_tfds_itself_reads_it(toml, tmp_path):
    folder = write_tfds(str(toml), tmp_path / "out").folder
    builder = tfds.builder_from_directory(folder)
    assert builder.info.name == "my_data"
    assert builder.info.splits["val"].num_examples == 5
    example = builder.as_data_source("train")[0]
    np.testing.assert_array_equal(example["image"], open_dataset(toml, "train").picture(0))
    share = [2 / 7 / 40, 1 / 3 / 60, (2 / 7 + 17.77) / 40, (1 / 3 + 31.1) / 60]
    np.testing.assert_allclose(example["objects"]["bbox"][0], share, rtol=1e-6)
    assert example["objects"]["label"] == [1, 0]


# Data sets that TFDS prepares, with the features of its coco/2017 and voc/2007.
COCO = {"id": np.int64, "area": np.int64, "bbox": F.BBoxFeature(), "label": F.ClassLabel(names=["dog", "cat"])}
COCO["is_crowd"] = np.bool_
VOC = {"label": F.ClassLabel(names=["dog", "cat"]), "bbox": F.BBoxFeature(), "pose": F.ClassLabel(num_classes=5)}
VOC |= {"is_truncated": np.bool_, "is_difficult": np.bool_}


def tfds_builder(folder, objects, examples, features=None, splits=("train", "validation", "test"), **options):
    """Prepares pictures with TFDS's own builder; `examples` are lists of objects. Returns the folder."""

    class Own(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION, pkg_dir_path = "own", tfds.core.Version("1.1.0"), folder

        def _info(self):
            own = {"image": F.Image(encoding_format="jpeg"), "image/filename": F.Text(), "image/id": np.int64}
            spec = F.FeaturesDict({**own, "objects": F.Sequence(objects)} if features is None else features)
            return tfds.core.DatasetInfo(builder=self, features=spec)

        def _split_generators(self, manager):
            return {split: self._generate_examples() for split in splits}

        def _generate_examples(self):
            for number, own in enumerate(examples):
                picture(folder, f"{number}.jpg", seed=number)
                values = {"image": str(folder / f"{number}.jpg"), "image/filename": f"{number}.jpg"}
                values |= {"image/id": number, "objects": own}
                yield number, {key: value for key, value in values.items() if features is None or key in features}

    builder = Own(data_dir=folder / "data", file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return folder / "data/own/1.1.0"


def coco_object(*sides, label="cat", crowd=False, area=77):
    return {"id": 5, "area": area, "bbox": F.BBox(*sides), "label": label, "is_crowd": crowd}


def test_coco_as_tfds_prepares_it(tmp_path):
    first = [
        coco_object(0.25, 0.1, 0.75, 0.3),
        coco_object(0.0, 0.0, 1.0, 1.0, label="dog", crowd=True),
        coco_object(0.5, 0.5, 0.5, 0.75),
    ]
    folder = tfds_builder(tmp_path, COCO, [first, []])
    train, val = open_train_and_val(f"tfds:{folder}")
    assert train.classes == ("dog", "cat")
    by_name = {sample.name: sample for sample in train.samples}
    np.testing.assert_allclose(by_name["0.jpg"].objects, [[20, 12, 20, 12, 1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(by_name["0.jpg"].areas, [77.0], strict=True)
    np.testing.assert_allclose(by_name["0.jpg"].ignored, [[20, 30, 40, 60, 0, 1]])
    assert by_name["1.jpg"].objects.shape == (0, 6)
    notes = (
        "boxes left out because they have no area inside their picture: 1",
        "crowd regions, neither trained on nor scored: 1",
    )
    assert train.notes == notes
    assert val.notes == ("TFDS's split 'validation' is used as 'val'", *notes)
    for index, sample in enumerate(train.samples):
        with Image.open(tmp_path / sample.name) as image:
            np.testing.assert_array_equal(train.picture(index), np.asarray(image))


def test_voc_as_tfds_prepares_it(tmp_path):
    own = {"label": "cat", "bbox": F.BBox(0.25, 0.1, 0.75, 0.3), "pose": 3, "is_truncated": True}
    objects = [own | {"is_difficult": False}, own | {"is_difficult": True}]
    folder = tfds_builder(tmp_path, VOC, [objects], splits=("train", "test"))
    dataset = open_dataset(f"tfds:{folder}", "val")
    assert dataset.notes == (
        "TFDS's split 'test' is used as 'val'",
        "difficult objects, neither trained on nor scored: 1",
    )
    sample = dataset.sample(0)
    np.testing.assert_allclose(sample.objects, [[20, 12, 20, 12, 1, 1]], rtol=1e-6)
    np.testing.assert_allclose(sample.areas, [240], rtol=1e-6)
    np.testing.assert_allclose(sample.ignored, sample.objects)


def test_pictures_without_names_are_called_by_their_split_and_place(tmp_path):
    features = F.FeaturesDict({"image": F.Image(encoding_format="jpeg"), "objects": F.Sequence(COCO)})
    folder = tfds_builder(tmp_path, None, [[coco_object(0.25, 0.1, 0.75, 0.3)]] * 2, features=features)
    assert [sample.name for sample in open_dataset(f"tfds:{folder}", "train").samples] == [
        "train-000000",
        "train-000001",
    ]
    assert main(["data", "subset", f"tfds:{folder}", "--count", "2", "--out", str(tmp_path / "few")]) == 0
    assert {path.name for path in (tmp_path / "few/images").iterdir()} == {"train-000000.jpg", "train-000001.jpg"}


def test_places_where_a_data_set_is_looked_for(toml, tmp_path, monkeypatch):
    write_tfds(str(toml), tmp_path / "out")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "out"))
    monkeypatch.chdir(tmp_path)
    for data in ("out", "out/my_data", "out/my_data/1.0.0", "my_data", "my_data/1.0.0", "my_data:1.0.0"):
        assert len(open_dataset(f"tfds:{data}", "train")) == 5
    write_tfds(str(toml), tmp_path / "out", name="other")
    with pytest.raises(ValueError, match=r"out: this folder has several .*: my_data/1\.0\.0, other/1\.0\.0$"):
        open_dataset("tfds:out", "train")
    with pytest.raises(ValueError, match=r"tfds:none: neither none nor .*out/none contains a TFDS data set"):
        open_dataset("tfds:none", "train")
    with pytest.raises(ValueError, match="tfds:: a name or a folder must follow the colon, as in tfds:coco/2017"):
        open_dataset("tfds:", "train")


@pytest.mark.parametrize(
    ("data", "name"),
    [("a/b.toml", "b"), ("shapes", "shapes"), ("tfds:bccd", "bccd"), ("tfds:coco/2017/1.1.0", "2017"), ("tfds:/", "/")],
)
def test_the_name_of_a_run(data, name):
    assert name_of_data(data) == name


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
            r"metadata\.json: not what `centernet data prepare`",
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
    command = ("data", "prepare", toml, "--tfds-dir", tmp_path / "out")
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["train: 5 pictures", "  boxes left out because they have no area inside their picture: 1"]
    assert lines[-1].endswith(f"read it with --data tfds:{tmp_path}/out/my_data")
    assert run(*command) == 2
    assert capsys.readouterr().err.endswith("1.0.0: already exists; choose another --name or give --overwrite\n")
    assert run(*command, "--overwrite") == 0
    assert run(*command[:2], f"tfds:{tmp_path}/out", *command[3:], "--name", "b") == 2
    assert capsys.readouterr().err.endswith("this is already a TFDS data set\n")
    assert run(*command[:3], "--tfds-dir", toml) == 2
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
