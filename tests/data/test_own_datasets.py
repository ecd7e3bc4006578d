"""What `Batches` refuses of a data set that a user wrote, naming the sample."""

from types import SimpleNamespace

import numpy as np
import pytest

from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.dataset import Sample
from helpers.datasets import InNoFiles

pytestmark = pytest.mark.usefixtures("as_users_call")
PICTURE = np.full((40, 50, 3), 100, np.uint8)
ROW = (20.0, 20.0, 10.0, 10.0, 1.0, 1.0)


class Own(SimpleNamespace, InNoFiles):
    """The least that a data set can be: the same picture, several times."""

    def __len__(self):
        return self.count

    def sample(self, index):
        return Sample(f"p{index}", *self.size, self.objects, np.ones(1), np.zeros((0, 6)))

    def picture(self, index, reduction=1):
        return self.pixels[::reduction, ::reduction]


def batch_of(**values):
    usual = {"classes": ("a", "b"), "most_objects": 1, "count": 1, "size": (40, 50), "pixels": PICTURE}
    dataset = Own(**{**usual, "objects": np.array([ROW]), **values})
    return Batches(dataset, 2, (32, 32), "letterbox", Augmentation(), 0)[0]


def test_a_data_set_of_the_users_own_makes_batches():
    batch = batch_of()
    assert batch["image"].shape == (2, 32, 32, 3)
    assert batch["objects"].shape == (2, 1, 6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pixels": PICTURE / 255}, r"p0: the picture must be uint8 \[H, W, 3\], not float64"),
        ({"pixels": PICTURE[..., 0]}, r"p0: the picture must be uint8 \[H, W, 3\]"),
        ({"pixels": np.repeat(PICTURE[..., :1], 4, 2)}, r"p0: the picture must be uint8 \[H, W, 3\]"),
        ({"size": (80, 100)}, "p0: the picture is .*, but its sample of 100 x 80 with reduction"),
        ({"size": (0, 50)}, r"p0: a sample of 50 x 0 pixels \(width x height\)"),
        ({"objects": np.array([(20, 20, 10, 10, 2, 1.0)])}, r"p0: objects\[0\] = .*: the class must be .* 0 to 1"),
        ({"objects": np.array([(np.nan, *ROW[1:])])}, r"p0: objects\[0\] = .*: the box must be finite"),
        ({"objects": np.array([ROW[:5]])}, r"p0: objects must be floating point \[N, 6\]"),
        ({"most_objects": 0}, "p0: 1 objects, but the data set's most_objects is 0"),
        ({"objects": np.array([ROW, ROW])}, "p0: 2 objects, but the data set's most_objects is 1"),
        ({"count": 0}, "there are no pictures in the data set"),
    ],
)
def test_what_is_not_as_the_interface_says_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        batch_of(**values)
