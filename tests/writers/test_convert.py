"""Converting between formats: everything that a format can say comes back, and pictures are the same bytes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from centernet_data.contract.boxes import cyxhw_to_xyxy
from centernet_data.doctor.audit import audit_splits
from centernet_data.source import open_dataset, open_splits, split_names
from centernet_data.writers.convert import Target, convert
from helpers.coco import box, coco, write_json, write_toml
from helpers.naive_yolo import read_plainly
from helpers.tfds_data import picture
from helpers.voc import TOML, item, write_voc, xml

CLASSES = ("R&D <x> 'y' \"z\"", "été  車", "never seen", "- no: [yaml]")
SIZES = {  # train and val have pictures of one name in folders of their own
    "train": {"turned.jpg": (60, 40), "two words/b&c <d>.png": (30, 50), "é/車.1.jpg": (33, 47), "none.bmp": (9, 9)},
    "val": {"turned.jpg": (20, 30), "turned.png": (20, 30)},
}
BOXES = {
    "train": [
        box(0, 1, 1 / 3, 2 / 7, 31.1, 17.77),
        box(0, 0, 5, 50, 20.25, 9.5),
        box(0, 3, 0, 0, 40, 60, iscrowd=1, area=2400),
        box(1, 0, 30, 20, 99, 99, area=200),
        box(2, 1, 0.1, 0.2, 0.7, 19.8),
    ],
    "val": [box(0, 3, 1, 1, 9, 9), box(1, 0, 2, 2, 9, 9)],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The path of a TOML file: names, classes and boxes that are hard to write down."""
    folder = tmp_path_factory.mktemp("source")
    turned = Image.Exif()
    turned[0x0112] = 6
    for split, sizes in SIZES.items():
        for seed, (name, hw) in enumerate(sizes.items()):
            (folder / split / name).parent.mkdir(parents=True, exist_ok=True)
            exif = {"exif": turned} if (split, name) == ("train", "turned.jpg") else {}
            picture(folder / split, name, hw[::-1] if exif else hw, seed, **exif)
        write_json(folder / f"{split}.json", coco(sizes, BOXES[split], CLASSES))
    grey = folder / "train/none.bmp"
    Image.open(grey).convert("L").save(grey)
    (folder / "hard.toml").write_text(
        'format = "coco"\n'
        + "".join(f'[{split}]\nimages = "{split}"\nannotations = "{split}.json"\n' for split in SIZES)
    )
    return folder / "hard.toml"


def named(dataset):
    """Each picture's rows with the names of their classes."""
    return [
        [(dataset.classes[int(row[4])], ignored) for ignored, rows in enumerate(both) for row in rows]
        for both in ((sample.objects, sample.ignored) for sample in dataset.samples)
    ]


def assert_same(before, after):
    """The same pictures, in the same order, byte for byte, with the same objects."""
    assert named(before) == named(after)
    assert [name for name in before.classes if name in after.classes] == list(after.classes)
    for index, (one, other) in enumerate(zip(before.samples, after.samples, strict=True)):
        assert (one.height, one.width) == (other.height, other.width)
        assert before.content(index) == after.content(index)
        for field in ("objects", "ignored"):
            boxes, again = getattr(one, field)[:, :4], getattr(other, field)[:, :4]
            np.testing.assert_allclose(again, boxes, rtol=0, atol=1e-9)


def chained(data, folder, formats, **options):
    """The data set's name after each of the conversions."""
    for number, kind in enumerate(formats):
        data = convert(str(data), Target(kind, folder / f"{kind}{number}", **options)).data
    return data


@pytest.mark.parametrize(
    "formats",
    [("coco",), ("voc",), ("tfds",), ("voc", "coco"), ("coco", "voc", "voc"), ("voc", "tfds"), ("tfds", "voc", "coco")],
    ids="-".join,
)
def test_there_and_back(source, tmp_path, formats):
    after = chained(source, tmp_path, formats)
    assert split_names(after) == ("train", "val")
    for split in SIZES:
        assert_same(open_dataset(source, split), open_dataset(after, split))
    assert [finding for finding in audit_splits(after)[1] if finding.severity == "error"] == []


@pytest.mark.parametrize("formats", [("yolo",), ("voc", "yolo", "coco"), ("yolo", "yolo", "tfds")], ids="-".join)
def test_through_yolo(source, tmp_path, formats):
    """The same pictures in another order, without ignored objects, which YOLO's layout does not have."""
    after = chained(source, tmp_path, formats)
    for split in SIZES:
        one, other = open_dataset(source, split), open_dataset(after, split)
        contents = [other.content(index) for index in range(len(other))]
        assert len(contents) == len(one)
        for index, sample in enumerate(one.samples):
            again = contents.index(one.content(index))
            objects = other.sample(again).objects
            assert [other.classes[int(k)] for k in objects[:, 4]] == [one.classes[int(k)] for k in sample.objects[:, 4]]
            np.testing.assert_allclose(objects[:, :4], sample.objects[:, :4], rtol=0, atol=1e-9)
    assert [finding for finding in audit_splits(after)[1] if finding.severity == "error"] == []


def test_to_yolo(source, tmp_path):
    converted = convert(str(source), Target("yolo", tmp_path / "out"))
    for split, sizes in SIZES.items():
        names, boxes = read_plainly(tmp_path / "out", split)
        dataset = open_dataset(source, split)
        assert tuple(names) == dataset.classes
        stems = [str(Path(name).with_suffix("")) for name in sizes]
        stems = stems if split == "train" else ["turned", "turned-2"]
        assert sorted(boxes) == sorted(stems)
        for stem, sample in zip(stems, dataset.samples, strict=True):
            expected = np.column_stack([sample.objects[:, 4], cyxhw_to_xyxy(sample.objects[:, :4])])
            np.testing.assert_allclose(boxes[stem], expected, rtol=1e-9, atol=1e-9)
    assert list(converted.notes["train"])[1:] == ["ignored objects left out, because YOLO's layout has none: 1"]
    assert [note.rpartition(": ")[2] for note in converted.notes["val"]] == ["1"]


def test_voc_keeps_whole_pixels_and_counts_from_one(tmp_path):
    annotation = xml(item("b", 1, 2, 30, 20), item("a", 7, 8, 7, 8, extra="<difficult>1</difficult>"))
    write_voc(tmp_path / "voc", {"p": annotation, "q": xml()})
    (tmp_path / "voc/voc.toml").write_text(TOML)
    after = Path(chained(tmp_path / "voc/voc.toml", tmp_path, ("coco", "voc")))
    assert_same(open_dataset(tmp_path / "voc/voc.toml", "train"), open_dataset(after, "train"))
    text = (after.parent / "Annotations/p.xml").read_text()
    for tag, value in {"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 20}.items():
        assert text.index(f"<{tag}>{value}</{tag}>") < text.index("<difficult>1</difficult>")
    assert [path.name for path in sorted((after.parent / "JPEGImages").iterdir())] == ["p.jpg", "q.jpg"]


SIDE = st.integers(0, 640)


@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE, st.booleans()), min_size=1, max_size=4), st.integers(1, 7))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_boxes(tmp_path, sides, parts):
    """Of fractions of a pixel, whole and beyond the picture, real and ignored."""
    if not (tmp_path / "a.png").exists():
        picture(tmp_path, "a.png", (40, 60))
    x, y, w, h = (np.array(values) / (10 * parts) for values in list(zip(*sides, strict=True))[:4])
    boxes = [
        box(0, number % 2, *row, iscrowd=int(sides[number][4]))
        for number, row in enumerate(zip(x.tolist(), y.tolist(), w.tolist(), h.tolist(), strict=True))
    ]
    boxes.append(box(0, 0, 0, 0, 1, 1))  # Pascal VOC's layout needs an object
    write_json(tmp_path / "boxes.json", coco({"a.png": (40, 60)}, boxes, ("one", "two")))
    toml = write_toml(tmp_path / "data.toml", {"train": "boxes.json"}, ".")
    after = chained(toml, tmp_path, ("voc", "coco"), overwrite=True)
    assert_same(open_dataset(toml, "train"), open_dataset(after, "train"))
    convert(str(toml), Target("yolo", tmp_path / "yolo", overwrite=True))
    objects = open_dataset(toml, "train").sample(0).objects
    once = np.array(list(dict.fromkeys(map(tuple, np.column_stack([objects[:, 4], cyxhw_to_xyxy(objects[:, :4])])))))
    np.testing.assert_allclose(read_plainly(tmp_path / "yolo", "train")[1]["a"], once, rtol=1e-9, atol=1e-9)


def test_rendered_pictures_become_png(tmp_path, monkeypatch):
    monkeypatch.setattr("centernet_data.synthetic.shapes.ShapesDataset.default_counts", {"train": 2, "val": 1})
    after = chained("shapes", tmp_path, ("voc",))
    for split, shapes in open_splits("shapes").items():
        dataset = open_dataset(after, split)
        for index, sample in enumerate(dataset.samples):
            np.testing.assert_array_equal(dataset.picture(index), shapes.picture(index))
            np.testing.assert_allclose(sample.objects[:, :4], shapes.sample(index).objects[:, :4], atol=1e-9)
            assert sample.name.endswith(".png")
