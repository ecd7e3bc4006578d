"""A share of the pictures to validate on: the same everywhere, and what belongs together stays together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet_data.contract.val_share import ValShare, check_val_share
from centernet_data.share import parts
from centernet_data.source import open_dataset, open_train_and_val, split_names
from helpers.small_data import make_data
from helpers.yolo import write_yolo

FRAMES = r"film(\d+)_"


@given(names=st.lists(st.text(max_size=3), min_size=2, unique=True), share=st.floats(0.01, 0.99), data=st.data())
def test_every_picture_is_in_one_part_whatever_the_order(names, share, data):
    least = max(1, share * len(names))
    if least > len(names) - 1:
        with pytest.raises(ValueError, match=r"^data: a share of .* would be all of its \d+ pictures"):
            parts(names, ValShare(share), "data")
        return
    found = parts(names, ValShare(share), "")
    assert sorted([*found.train, *found.val]) == list(range(len(names)))
    assert found.train
    assert least <= len(found.val) < least + 1
    shuffled = data.draw(st.permutations(names))
    assert {shuffled[i] for i in parts(shuffled, ValShare(share), "").val} == {names[i] for i in found.val}


def test_golden_parts():
    """They must never change: a run that is evaluated later needs the pictures that it did not train on."""
    names = [f"train/{number:03}.jpg" for number in range(20)]
    assert parts(names, ValShare(0.2), "").val == [1, 5, 6, 13]
    frames = [f"film{number % 5}_{number}.jpg" for number in range(20)]
    assert parts(frames, ValShare(0.2, FRAMES), "").val == [1, 6, 11, 16]


@given(films=st.lists(st.integers(0, 9), min_size=2, max_size=30), share=st.floats(0.05, 0.95))
def test_frames_of_one_film_stay_together(films, share):
    names = [f"film{film}_{number}.jpg" for number, film in enumerate(films)]
    try:
        found = parts(names, ValShare(share, FRAMES), "")
    except ValueError:  # all films but one are too few
        assert min(len(films) - films.count(film) for film in films) < share * len(films)
        return
    in_train, in_val = {films[i] for i in found.train}, {films[i] for i in found.val}
    assert in_train
    assert in_val
    assert not in_train & in_val
    assert (found.train_groups, found.val_groups) == (len(in_train), len(in_val))


def test_most_pictures_stay_where_they_were_when_others_are_added():
    names = [f"{number}.jpg" for number in range(200)]
    before = {names[i] for i in parts(names[:180], ValShare(0.2), "").val}
    after = {names[i] for i in parts(names, ValShare(0.2), "").val}
    assert len(before - after) <= 4


def test_a_data_set_without_a_validation_split(tmp_path):
    write_yolo(tmp_path, {f"{n}.png": f"{n % 2} .5 .5 .{n}1 .5" for n in range(8)})
    toml = tmp_path / "data.toml"
    toml.write_text('format = "yolo"\nnames = ["red", "blue"]\n[train]\nimages = "images/train"\n')
    whole = open_dataset(toml, "train")
    share = ValShare(0.25)
    train, val = open_train_and_val(toml, share)
    assert split_names(toml, share) == ("train", "val")
    assert (len(train), len(val)) == (6, 2)
    assert "a share of 0.25 of [train], by name: 2 of 8 pictures" in val.notes
    widths = {sample.name: sample.objects for sample in whole.samples}
    for part in (train, val):
        for index in range(len(part)):
            sample = part.sample(index)
            np.testing.assert_array_equal(sample.objects, widths[sample.name])
            assert part.paths[index].name == sample.name.removeprefix("train/")
    toml.write_text("val_share = 0.25\n" + toml.read_text())
    for split, part in (("train", train), ("val", val)):
        assert [*open_dataset(toml, split).paths] == [*part.paths]
    assert open_train_and_val(toml)[1].notes == val.notes


def test_refused_where_there_is_a_validation_split(tmp_path):
    for data in (make_data(tmp_path), "shapes"):
        with pytest.raises(ValueError, match=r"it has a split to validate on, \[val\]"):
            open_train_and_val(data, ValShare(0.2))


@pytest.mark.parametrize(
    ("share", "group", "message"),
    [
        (0, None, "--val-share must be between 0 and 1, such as 0.2, not 0"),
        (1, None, "--val-share must be between 0 and 1"),
        (float("nan"), None, "--val-share must be between 0 and 1"),
        (0.2, "(", "--val-group must be a regular expression, not '\\('"),
        (None, "a", "--val-group says which pictures --val-share keeps together: give both"),
    ],
)
def test_bad_options(share, group, message):
    with pytest.raises(ValueError, match=message):
        check_val_share(share, group)
