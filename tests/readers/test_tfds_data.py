"""TFDS data sets: written here, prepared by TFDS itself, and damaged."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from centernet.cli import main
from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.contract.val_share import ValShare
from centernet_data.source import name_of_data, open_dataset, open_splits, open_train_and_val
from centernet_data.writers.tfds import write_tfds
from helpers.coco import box
from helpers.tfds_data import COCO, F, assert_same_samples, coco_toml, five_pictures, picture, prepared

AUGMENTATION = Augmentation()


@pytest.fixture
def toml(tmp_path):
    return five_pictures(tmp_path)


def assert_same_batches(a, b, steps=3, augmentation=AUGMENTATION):
    """Bit for bit."""
    a, b = (Batches(dataset, 5, (64, 96), "letterbox", augmentation, seed=3) for dataset in (a, b))
    for step in range(steps):
        for key in ("image", "objects"):
            assert a[step][key].tobytes() == b[step][key].tobytes()


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


def test_its_folder_is_enough_and_may_be_divided(toml, tmp_path):
    folder = prepared(toml, tmp_path / "out").removeprefix("tfds:")
    whole = open_dataset(folder, "train")
    assert_same_samples(open_dataset(toml, "train"), whole)
    with pytest.raises(ValueError, match=r"it has a split to validate on, \[val\]"):
        open_train_and_val(folder, ValShare(0.3))
    part = whole.part([2, 0])
    assert [sample.name for sample in part.samples] == [whole.sample(index).name for index in (2, 0)]
    assert [part.content(index) for index in (0, 1)] == [whole.content(index) for index in (2, 0)]


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


# The features of TFDS's voc/2007.
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
    assert main(["data", "convert", f"tfds:{folder}", "--format", "coco", "--out", str(tmp_path / "few")]) == 0
    assert {path.name for path in (tmp_path / "few/images/train").iterdir()} == {"train-000000.jpg", "train-000001.jpg"}


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
