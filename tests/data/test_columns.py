"""Columns: what goes in comes out, here and in other processes."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet_data import columns
from centernet_data.columns import Columns, Texts
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, Sample
from centernet_data.stored import AnnotatedPictures, Paths, Samples


@given(texts=st.lists(st.text(max_size=5) | st.just("a\udcff")))
def test_texts(texts):
    stored = Texts.of(Columns(Texts.columns("names", texts)), "names")
    assert [*stored] == texts
    assert stored[1:3] == texts[1:3]
    if texts:
        assert stored[-1] == texts[-1]
    with pytest.raises(IndexError):
        stored[len(texts)]


def rows(count, first=0.0):
    return np.arange(first, first + 6 * count).reshape(count, 6)


SAMPLES = [
    Sample("a", 3, 4, rows(2), np.arange(2.0), rows(0)),
    Sample("ö/b", 5, 6, rows(0), np.zeros(0), rows(1, 50)),
    Sample("", 7, 8, rows(3, 100), np.arange(3.0), rows(2, 200)),
]


def assert_samples(stored, samples):
    assert len(stored) == len(samples)
    for mine, theirs in zip(stored, samples, strict=True):
        assert mine[:3] == theirs[:3]
        for one, other in zip(mine[3:], theirs[3:], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES[1:2], []])
def test_samples(samples):
    stored = Samples.of(samples)
    assert_samples(stored, samples)
    assert_samples(stored[::-1], samples[::-1])
    assert stored.most_objects == max((len(sample.objects) for sample in samples), default=0)
    np.testing.assert_array_equal(stored.labels, [row[4] for sample in samples for row in sample.objects])


def test_annotated_pictures():
    boxes = [AnnotatedBox((1, 2, 3, 4), "x", where="here"), AnnotatedBox((0, 0, 1, 1), "y", "crowd", 2.5, "there")]
    pictures = [AnnotatedPicture("a", Path("f/a"), 3, 4, boxes), AnnotatedPicture("b", Path("b"), 5, 6, [])]
    stored = AnnotatedPictures.of(iter([*pictures, pictures[0]]))
    assert [*stored] == [*pictures, pictures[0]]


def test_other_processes_share_large_columns(monkeypatch):
    """They are in a file that all map, which goes when its owner goes."""
    stored = Samples.of(SAMPLES)
    assert len(pickle.dumps(stored)) > 500  # small ones are copied
    monkeypatch.setattr(columns, "SHARED_FROM", 0)
    one, two = (pickle.loads(pickle.dumps(stored)) for _ in range(2))
    (file,) = {Path(backing(samples).filename) for samples in (one, two)}
    assert file.exists()
    assert_samples(one, SAMPLES)
    paths = Paths.of(["a/b", "c"])
    assert [*pickle.loads(pickle.dumps(paths))] == [*paths] == [Path("a/b"), Path("c")]
    with pytest.raises(ValueError, match="read-only"):
        one[0].objects[:] = 0
    del stored
    assert not file.exists()
    assert_samples(two, SAMPLES)  # mapped is mapped


def backing(samples):
    """The memory map under a column."""
    array = samples._columns["areas"]
    while not isinstance(array, np.memmap):
        array = array.base
    return array
