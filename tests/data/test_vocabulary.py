"""The list of classes is the vocabulary: a split may lack some of them, and a misspelt one is an error."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from centernet_data.doctor.audit import audit_splits
from centernet_data.source import open_dataset, open_for_model, open_splits, open_train_and_val
from centernet_data.writers.convert import Target, convert
from centernet_data.writers.parts import Choice
from helpers.coco import box, coco, write_json, write_toml
from helpers.voc import item, write_voc, xml

MODEL = Path("m.safetensors")
SPLITS = {"train": "train.json", "val": "val.json"}
RED_AND_BLUE = 'classes = ["red", "blue"]\n'


@pytest.fixture
def folder(tmp_path):
    """[train] has red and blue, [val] red alone."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images/a.png")
    write_json(tmp_path / "train.json", coco({"a.png": (48, 64)}, [box(0, 0, 1, 1, 9, 9), box(0, 1, 9, 9, 9, 9)]))
    write_json(tmp_path / "val.json", coco({"a.png": (48, 64)}, [box(0, 0, 1, 1, 9, 9)], ["red"]))
    return tmp_path


def described(folder, head="", splits=SPLITS):
    return write_toml(folder / "data.toml", splits, head=head)


def labels(dataset):
    return dataset.sample(0).objects[:, 4].tolist()


def voc(folder, head=""):
    write_voc(folder / "one", {"p": xml(item("red", 1, 1, 9, 9), item("blue", 9, 9, 12, 12))})
    write_voc(folder / "two", {"p": xml(item("red", 1, 1, 9, 9))})
    sections = "".join(
        f'[{split}]\nroot = "{root}"\nsplit = "train"\n' for split, root in (("train", "one"), ("val", "two"))
    )
    (folder / "voc.toml").write_text(f'format = "voc"\n{head}{sections}', encoding="utf-8")
    return folder / "voc.toml"


@pytest.mark.parametrize("description", [described, voc])
def test_a_split_may_lack_a_listed_class(folder, description):
    train, val = open_train_and_val(description(folder, 'classes = ["blue", "red"]\n'))
    assert train.classes == val.classes == ("blue", "red")
    assert (sorted(labels(train)), labels(val)) == ([0, 1], [1])
    assert (train.notes, val.notes) == ((), ("classes without any object: blue",))


@pytest.mark.parametrize("description", [described, voc])
@pytest.mark.parametrize("opened", [open_train_and_val, open_splits, lambda data: open_dataset(data, "val")])
def test_a_class_that_no_split_knows_is_misspelt(folder, description, opened):
    data = description(folder, 'classes = ["red", "bleu"]\n')
    with pytest.raises(ValueError, match=r"no such class: bleu; there are: (red, blue|blue, red)$"):
        opened(data)


@pytest.mark.parametrize("description", [described, voc])
def test_without_a_list_the_line_to_write_is_said_and_helps(folder, description):
    with pytest.raises(ValueError, match=r"classes of .* differ: only in \[train\]: blue") as error:
        open_train_and_val(description(folder))
    line = re.search(r"write this line at its top: (classes = .*)$", str(error.value))[1]
    assert open_train_and_val(description(folder, f"{line}\n"))[1].notes == ("classes without any object: blue",)


def test_what_other_splits_know_is_looked_up_as_far_as_they_can_be_read(folder):
    data = described(folder, RED_AND_BLUE, {**SPLITS, "test": "absent.json"})
    assert open_dataset(data, "val").classes == ("red", "blue")
    (folder / "train.json").write_text("nonsense")
    with pytest.raises(ValueError, match=r"val\.json: no such class: blue; there are: red$"):
        open_dataset(data, "val")


def test_the_doctor_accepts_it_too(folder):
    splits, findings = audit_splits(str(described(folder, RED_AND_BLUE)))
    assert ([split.name for split in splits], findings) == (["train", "val"], [])


def test_a_subset_keeps_the_vocabulary(folder):
    data = str(described(folder, RED_AND_BLUE))
    converted = convert(data, Target("coco", folder / "few"), ["val"])
    assert open_dataset(converted.data, "val").classes == ("red", "blue")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (("blue", "red"), "$"),
        (("red", "blue", "green"), "$"),
        (("blue",), r" \(objects of red are then left out\)$"),
        (('a "b"', "blue"), r" \(objects of red are then left out\)$"),
    ],
)
def test_evaluating_a_model_of_other_classes_names_the_remedy(folder, model, message):
    with pytest.raises(ValueError, match=r"its classes \(red, blue\) differ from those of m\.safetensors") as error:
        open_for_model(described(folder, splits={"val": "train.json"}), "val", model, MODEL)
    line = re.search(
        rf"write this line at its top, in place of its own: (classes = \[.*\]){message}", str(error.value)
    )[1]
    assert tomllib.loads(line) == {"classes": list(model)}
    dataset = open_for_model(described(folder, f"{line}\n", {"val": "train.json"}), "val", model, MODEL)
    assert dataset.classes == model
    assert len(labels(dataset)) == len({"red", "blue"} & set(model))


def test_no_remedy_where_no_class_is_shared(folder):
    with pytest.raises(ValueError, match=r"differ from those of m \(dog\)$"):
        open_for_model(described(folder), "train", ["dog"], Path("m"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(folder, encoding):
    for file in ("data.toml", "train.json"):
        text = described(folder).read_text() if file == "data.toml" else json.dumps(coco({"a.png": (48, 64)}))
        (folder / file).write_text(text, encoding=encoding)
    assert len(open_dataset(folder / "data.toml", "train")) == 1
    (folder / "ids.txt").write_text("# the first\r\n0\r\n", encoding=encoding)
    few = Target("coco", folder / "few")
    converted = convert(str(folder / "data.toml"), few, ["train"], Choice(folder / "ids.txt"))
    assert len(converted.splits["train"]) == 1
