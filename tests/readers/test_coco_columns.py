"""The quick way to read a COCO file against the slow one, which looks at each record; and the columns."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet_data.readers import coco, json_blocks
from centernet_data.readers.coco_columns import coco_columns
from centernet_data.readers.errors import Collect
from centernet_data.readers.json_blocks import Kind, read_blocks

IDS = st.integers(-3, 9) | st.sampled_from(["a", "7", ""])
NUMBERS = st.floats(0, 40) | st.integers(0, 40)
OUTLINES = st.sampled_from([None, [[1.5, 2, 3]], {"counts": 'a}b]"\\', "size": [1, 2]}, {"bbox": {}}, "}"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    (folder / "sub").mkdir()
    for name in ("a.png", "sub/a.png", "ö b.png"):
        (folder / name).write_bytes(b"not read")
    return folder


@st.composite
def contents(draw):
    """A COCO file's content, in which nearly everything is right."""
    images, categories = draw(st.lists(IDS, unique=True, max_size=4)), draw(st.lists(IDS, unique=True, max_size=3))
    names = st.sampled_from(["a.png", "sub/a.png", "./a.png", "sub//a.png", "ö b.png", "%C3%B6%20b.png", "none.png"])
    side = st.integers(1, 30)
    content = {
        "info": {"url": "]}", "version": 1},
        "images": [{"id": key, "file_name": draw(names), "height": draw(side), "width": draw(side)} for key in images],
        "categories": [{"id": key, "name": f"class {key!r}", "supercategory": "}"} for key in categories],
        "annotations": [
            {
                "segmentation": draw(OUTLINES),
                "image_id": draw(st.sampled_from(images)),
                "category_id": draw(st.sampled_from(categories)),
                "bbox": draw(st.lists(NUMBERS, min_size=4, max_size=4)),
                **draw(st.fixed_dictionaries({}, optional={"id": IDS, "area": NUMBERS | st.none()})),
                **draw(st.fixed_dictionaries({}, optional={"iscrowd": st.integers(0, 1), "ignore": st.integers(0, 1)})),
            }
            for _ in range(draw(st.integers(0, 9)) if images and categories else 0)
        ],
    }
    keys = draw(st.permutations(list(content)))
    return {key: content[key] for key in keys}


def both(folder, text, classes=None):
    """What the two ways say, and whether the quick one was taken."""
    (folder / "boxes.json").write_text(text, encoding="utf-8")
    arguments = (folder, folder / "boxes.json", classes)
    quick, slow = Collect(), Collect()
    return (
        (coco.read_coco(*arguments, quick), quick),
        (coco.read_record_by_record(*arguments, slow, tuple), slow),
        coco_columns(*arguments[:2]) is not None,
    )


def assert_same(one, other):
    (a, errors_of_a), (b, errors_of_b) = one, other
    assert errors_of_a.mistakes == errors_of_b.mistakes
    assert errors_of_a.remarks == errors_of_b.remarks
    assert (a.classes, a.notes, [*a.paths]) == (b.classes, b.notes, [*b.paths])
    assert [*a.annotated] == [*b.annotated]
    for mine, theirs in zip(a.samples, b.samples, strict=True):
        assert mine[:3] == theirs[:3]
        for x, y in zip(mine[3:], theirs[3:], strict=True):
            np.testing.assert_array_equal(x, y)


@settings(deadline=None, max_examples=60)
@given(content=contents(), block=st.integers(1, 400), indent=st.sampled_from([None, 1]), chosen=st.booleans())
def test_the_quick_way_reads_what_the_slow_one_does(folder, content, block, indent, chosen):
    classes = [record["name"] for record in content["categories"]][::-1][:2] if chosen else None
    if not content["categories"]:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_blocks, "BLOCK", block)
        quick, slow, taken = both(folder, json.dumps(content, indent=indent, ensure_ascii=bool(indent)), classes)
    assert taken
    assert_same(quick, slow)


GOOD = {
    "images": [{"id": 1, "file_name": "a.png", "height": 9, "width": 9}],
    "categories": [{"id": 1, "name": "dog"}],
    "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"bbox": [1', '"bbox": [0], "bbox": [1'),  # a value that would be lost
        ('"id": 5', '"id": 5, "score": {"bbox": 1, "bbox": 2}'),
        ('"images"', '"info": {"a": 1, "a": 2}, "images"'),
        ('"images"', '"images": [], "images"'),
        ('"id": 5', '"id": 5.0'),
        ('"id": 5', '"id": true'),
        ('"height": 9', '"height": 0'),
        ('"height": 9', f'"height": {10**30}'),
        ("[1, 2, 3, 4]", "[1, 2, 3]"),
        ("[1, 2, 3, 4]", "[1, 2, -3, 4]"),
        ("[1, 2, 3, 4]", "[1, 2, 3e9, 4]"),
        ("[1, 2, 3, 4]", "[1, 2, NaN, 4]"),
        ("[1, 2, 3, 4]", "[1, 2, 1e999, 4]"),
        ('"category_id": 1', '"category_id": 2'),
        ('"image_id": 1', '"image_id": "1"'),
        ('"name": "dog"', '"name": "\\udcdf"'),
        ('"id": 5', '"area": -1, "id": 5'),
        ('"id": 5', '"iscrowd": 2, "id": 5'),
        ("}]}", "}]} x"),
        ("}]}", "},]}"),
        ("}]}", "}}"),
        ("}]}", "}]"),
        ('"images"', '"info": nonsense, "images"'),
        ('"images"', '"pictures"'),
        ("{", "["),
    ],
)
def test_what_the_quick_way_leaves_to_the_slow_one(folder, before, after):
    assert before in TEXT
    (folder / "boxes.json").write_text(TEXT.replace(before, after, 1), encoding="utf-8")
    assert coco_columns(folder, folder / "boxes.json") is None


def test_inner_objects_may_have_keys_of_the_record(folder):
    text = TEXT.replace('"id": 5', '"id": 5, "attributes": {"id": 6, "bbox": null}')
    quick, slow, taken = both(folder, text)
    assert taken
    assert_same(quick, slow)


def test_a_file_in_another_encoding(folder):
    (folder / "boxes.json").write_bytes(TEXT.encode("utf-16"))
    assert coco_columns(folder, folder / "boxes.json") is None
    assert len(coco.read_coco(folder, folder / "boxes.json").sample(0).objects) == 1


def test_a_record_longer_than_a_block(folder, monkeypatch):
    monkeypatch.setattr(json_blocks, "BLOCK", 64)
    text = TEXT.replace('"id": 5', f'"segmentation": [{{"a": [{"1, " * 20_000}1]}}], "id": 5')
    quick, slow, taken = both(folder, text)
    assert taken
    assert_same(quick, slow)


class OnlyId(msgspec.Struct):
    id: int


def test_memory_does_not_grow_with_the_file(folder, monkeypatch):
    """No more of the file is held at once than a few blocks."""
    monkeypatch.setattr(json_blocks, "BLOCK", 1 << 12)
    many = {**GOOD, "annotations": GOOD["annotations"] * 3000}
    (folder / "boxes.json").write_text(json.dumps(many), encoding="utf-8")
    held, window = [], json_blocks._Text.window

    def watched(text, size):
        piece = window(text, size)
        held.append(len(text._buffer))
        return piece

    monkeypatch.setattr(json_blocks._Text, "window", watched)
    blocks = read_blocks(folder / "boxes.json", {"annotations": Kind(OnlyId)})
    assert sum(len(records) for _, records in blocks) == 3000
    assert max(held) < 4 * (1 << 12) < (folder / "boxes.json").stat().st_size / 10
