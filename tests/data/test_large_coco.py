"""A data set of COCO's size, made smaller."""

import pytest
from PIL import Image

from centernet_data.source import open_dataset
from centernet_data.verification.verify import verify_pictures
from helpers.pictures import noise
from parity.bench.large_coco import CLASSES, make_large_coco


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    for name, hw in (("a", (48, 64)), ("b", (80, 40))):
        Image.fromarray(noise(*hw)).save(tmp_path / f"source/{name}.jpg")
    return tmp_path / "source"


def test_it_can_be_read_and_is_the_same_again(source, tmp_path):
    for name in ("one", "two"):
        make_large_coco(tmp_path / name, source=source, pictures=7, boxes=1500)
    dataset = open_dataset(tmp_path / "one/data.toml", "train")
    samples = [dataset.sample(index) for index in range(len(dataset))]
    assert [(s.height, s.width) for s in samples] == [(48, 64), (80, 40)] * 3 + [(48, 64)]
    assert (sum(len(s.objects) for s in samples), len(dataset.classes)) == (1500, CLASSES)
    assert dataset.notes == ()  # no box was clipped away
    assert verify_pictures(dataset).read == 7
    assert (tmp_path / "one/train.json").read_bytes() == (tmp_path / "two/train.json").read_bytes()


def test_what_is_there_is_not_replaced(source, tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(ValueError, match="one: already exists"):
        make_large_coco(tmp_path / "one", source=source)
    with pytest.raises(ValueError, match=r"one: there are no \.jpg files"):
        make_large_coco(tmp_path / "two", source=tmp_path / "one")
