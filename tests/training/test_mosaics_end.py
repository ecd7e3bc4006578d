"""A run's mosaics end before it does, as its options say."""

import pytest

from centernet.training.plan import make_plan
from centernet.training.settings import Settings
from centernet_data.contract.augmentation import Augmentation
from helpers.small_data import make_data


@pytest.mark.parametrize(("share", "last"), [(0.1, 18), (0, 20), (1, 0), (0.25, 15)])
def test_mosaics_end_at_the_share_of_the_steps(tmp_path, share, last):
    data, augmentation = str(make_data(tmp_path / "data")), Augmentation(mosaic=1, without_mosaic=share)
    settings = Settings(data=data, out=tmp_path / "run", batch_size=3, epochs=20, augmentation=augmentation)
    batches = make_plan(settings, backend=None).batches
    assert [batches.is_mosaic(step, 0) for step in range(20)] == [True] * last + [False] * (20 - last)


def test_options_that_would_do_nothing_are_refused(tmp_path):
    settings = Settings(data="shapes", out=tmp_path / "run", augmentation=Augmentation(turn=True))
    with pytest.raises(ValueError, match="shapes: rendered scenes are not augmented: leave out the --augmentation"):
        make_plan(settings, backend=None)
