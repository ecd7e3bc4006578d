"""Pictures are verified once, and remembered while they do not change."""

import os
import sqlite3
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from centernet_data.dataset import Sample
from centernet_data.readers.coco import read_coco
from centernet_data.readers.tfds import read_tfds
from centernet_data.verification import known_pictures, verify
from centernet_data.verification.known_pictures import KnownPictures, Place, file_states
from centernet_data.verification.verify import Verified, verify_pictures
from helpers.coco import box, coco, write_json
from helpers.datasets import InNoFiles
from helpers.pictures import noise
from helpers.tfds_data import five_pictures, prepared


class Pictures(InNoFiles):
    """`length` pictures, each made by a function of its index."""

    classes, most_objects = ("a",), 0

    def __init__(self, length, make):
        self.length, self.make = length, make

    def __len__(self):
        return self.length

    def sample(self, index):
        return Sample(f"{index}", 1, 1, np.zeros((0, 6)), np.zeros(0), np.zeros((0, 6)))

    def picture(self, index, reduction=1):
        return self.make(index)


def blank_and(call):
    def make(index):
        call(index)
        return np.zeros((1, 1, 3), np.uint8)

    return make


def test_each_picture_is_decoded_once_and_reported():
    seen, reports = [], []
    result = verify_pictures(
        Pictures(20, blank_and(seen.append)), progress=lambda done, total: reports.append((done, total))
    )
    assert sorted(seen) == list(range(20))
    assert reports == [(done, 20) for done in range(1, 21)]
    assert result == Verified(20, 0)
    assert verify_pictures(Pictures(0, blank_and(seen.append))) == Verified(0, 0)


def test_the_first_error_by_index_is_raised():
    def damage(index):
        if index in (3, 4, 15):
            raise ValueError(f"picture {index} is damaged")

    with pytest.raises(ValueError, match="picture 3 is damaged"):
        verify_pictures(Pictures(20, blank_and(damage)))


def test_shards_look_at_all_pictures_once():
    seen = []
    counts = [verify_pictures(Pictures(20, blank_and(seen.append)), shard=(index, 3)).read for index in range(3)]
    assert (sorted(seen), counts) == (list(range(20)), [7, 7, 6])


NAMES = ("a.png", "b.png", "sub/a.png", "é.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four pictures, verified in chunks of three."""
    monkeypatch.setattr(verify, "AT_ONCE", 3)
    (tmp_path / "images/sub").mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        Image.fromarray(noise(40, 60, seed)).save(tmp_path / "images" / name)
    return tmp_path


def dataset(folder, hw=(40, 60)):
    boxes = [box(image, 0, 1, 1, 20, 20) for image in range(len(NAMES))]
    content = coco(dict.fromkeys(NAMES, hw), boxes)
    write_json(folder / "train.json", content)
    return read_coco(folder / "images", folder / "train.json")


def counts(folder, **options):
    """(read, known) of one more start, in which no picture that is known is opened, and every other once."""
    opened, data = Counter(), dataset(folder, **options)

    read = type(data).content

    def content(self, index):
        opened[index] += 1
        return read(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(data), "content", content)
        result = verify_pictures(data, folder / "cache/known")
    assert set(opened.values()) <= {1}
    assert len(opened) == result.read
    assert (result.notes, result.trouble) == ((), "")
    return result.read, result.known


def test_a_second_start_reads_no_picture(folder):
    assert counts(folder) == (4, 0)
    assert counts(folder) == (0, 4)


def test_a_picture_that_changed_is_read_again(folder):
    counts(folder)
    path = folder / "images/b.png"
    times = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")  # another size ...
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert counts(folder) == (1, 3)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))  # ... and another time
    assert counts(folder) == (1, 3)
    assert counts(folder) == (0, 4)


def test_another_annotated_size_is_not_known(folder):
    counts(folder)
    with pytest.raises(ValueError, match=r"a\.png: the picture is 60 x 40 pixels .* but its annotation says 61 x 40"):
        counts(folder, hw=(40, 61))


def test_the_pictures_before_a_damaged_one_are_remembered(folder):
    path = folder / "images/sub/a.png"
    good = path.read_bytes()
    path.write_bytes(good[:1000])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"sub/a\.png: the picture cannot be decoded"):
            counts(folder)
    path.write_bytes(good)
    assert counts(folder) == (2, 2)


def test_what_was_verified_in_another_sense_does_not_count(folder, monkeypatch):
    counts(folder)
    monkeypatch.setattr(known_pictures, "MEANING", known_pictures.MEANING + 1)
    assert counts(folder) == (4, 0)
    assert counts(folder) == (0, 4)


def test_what_is_odd_is_remembered_too(folder):
    Image.fromarray(noise(40, 60)[..., 0].astype("uint16")).save(folder / "images/b.png")
    first, second = (verify_pictures(dataset(folder), folder / "known") for _ in range(2))
    assert "pictures of 16-bit grey that are dark: 1; the first: b.png: its 16-bit levels end at" in first.notes[0]
    assert second == Verified(0, 4, first.notes)


def test_a_name_that_is_not_utf8_is_known_again(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.touch()
    ((place, state), none) = file_states([(path, 3, "rest"), (tmp_path / "missing", 0, "rest")])
    assert none is None
    assert place == Place(os.fsencode(tmp_path), b"\xff.png", 3)
    KnownPictures(tmp_path / "known").remember([(place, state, "odd")])
    assert KnownPictures(tmp_path / "known").notes({place: state}) == {place: "odd"}
    assert KnownPictures(tmp_path / "known").notes({place: state + "2"}) == {}


def spoil_by_text(file):
    file.write_text("not a database, but longer than the header of one would be" * 20)


def spoil_by_another_table(file):
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE verified (other)")
        database.execute(f"PRAGMA user_version = {known_pictures.MEANING}")


def spoil_by_a_cut(file):
    rows = [(Place(b"f", b"%d" % number, 0), "state", "") for number in range(1000)]
    KnownPictures(file).remember(rows)
    os.truncate(file, 8192)


@pytest.mark.parametrize("spoil", [spoil_by_text, spoil_by_another_table, spoil_by_a_cut, lambda file: file.mkdir()])
def test_a_memory_that_cannot_be_used_is_said_and_all_are_verified(folder, spoil):
    spoil(folder / "known")
    for _ in range(2):
        result = verify_pictures(dataset(folder), folder / "known")
        assert (result.read, result.known) == (4, 0)
        assert result.trouble.startswith(f"{folder}/known: cannot be used to remember verified pictures (")
        assert len(result.trouble.splitlines()) == 1


def test_a_place_that_cannot_be_written(folder):
    result = verify_pictures(dataset(folder), folder / "train.json/below")
    assert (result.read, result.known) == (4, 0)
    assert "train.json/below: cannot be used" in result.trouble


def test_a_locked_memory_does_not_stop_the_work(folder, monkeypatch):
    counts(folder)
    monkeypatch.setattr(known_pictures, "SECONDS_TO_WAIT", 0.01)
    with closing(sqlite3.connect(folder / "cache/known")) as database:
        database.execute("BEGIN EXCLUSIVE")
        result = verify_pictures(dataset(folder), folder / "cache/known")
    assert (result.read, result.known) == (4, 0)
    assert "(database is locked)" in result.trouble
    assert counts(folder) == (0, 4)


def test_records_of_tfds_are_remembered_by_their_file(tmp_path):
    name = prepared(five_pictures(tmp_path), tmp_path / "tfds")
    memory = tmp_path / "known"
    assert [verify_pictures(read_tfds(name, "train"), memory)[:2] for _ in range(2)] == [(5, 0), (0, 5)]
    (file,) = (tmp_path / "tfds").rglob("*-train.array_record*")
    os.utime(file, ns=(0, 0))
    assert verify_pictures(read_tfds(name, "train"), memory)[:2] == (5, 0)
