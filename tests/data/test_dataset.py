"""What holds for all data sets."""

import pytest

from centernet_data.dataset import check_pictures
from helpers.datasets import InNoFiles


class Pictures(InNoFiles):
    """`length` pictures, each made by a function of its index."""

    classes, most_objects = ("a",), 0

    def __init__(self, length, make):
        self.length, self.make = length, make

    def __len__(self):
        return self.length

    def sample(self, index):
        raise AssertionError("no sample is needed")

    def picture(self, index, reduction=1):
        return self.make(index)


def test_check_pictures_decodes_each_once_and_reports():
    seen, reports = [], []
    check_pictures(Pictures(20, seen.append), lambda done, total: reports.append((done, total)))
    assert sorted(seen) == list(range(20))
    assert reports == [(done, 20) for done in range(1, 21)]
    check_pictures(Pictures(0, seen.append))


def test_check_pictures_raises_the_first_error_by_index():
    def image(index):
        if index in (3, 4, 15):
            raise ValueError(f"picture {index} is damaged")

    with pytest.raises(ValueError, match="picture 3 is damaged"):
        check_pictures(Pictures(20, image))
