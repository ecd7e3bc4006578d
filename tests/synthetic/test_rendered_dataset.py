"""What holds for both built-in data sets: the number of scenes, and the same scenes every time."""

from itertools import product

import numpy as np
import pytest

from centernet_data.synthetic.scene_text import SceneTextDataset, _layout_of
from centernet_data.synthetic.shapes import ShapesDataset

both = pytest.mark.parametrize("kind", [ShapesDataset, SceneTextDataset])


@pytest.mark.parametrize(
    ("kind", "train", "size", "classes"),
    [
        (ShapesDataset, 4000, (192, 192), ("circle", "square", "triangle")),
        (SceneTextDataset, 8000, (256, 256), ("text",)),
    ],
)
def test_sizes_of_the_splits(kind, train, size, classes):
    assert len(kind()) == train
    assert len(kind("val")) == 200
    assert len(kind("val", count=7)) == 7
    assert len(kind(count=0)) == 0
    assert kind().size == size
    assert kind().classes == classes
    assert kind().notes == ()


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "there is no split 'test', only train and val"),
        ({"count": -1}, "the number of scenes must not be negative, but is -1"),
        ({"seed": -1}, "the seed must not be negative, but is -1"),
    ],
)
def test_wrong_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=f"^{kind.data}: {message}$"):
        kind(**arguments)


@pytest.mark.parametrize(("kind", "side"), [(ShapesDataset, 32), (SceneTextDataset, 64)])
def test_the_smallest_side(kind, side):
    kind(size=(side, side))
    message = rf"{kind.data}: height and width must be at least {side}, but are \(192, {side - 1}\)"
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(size=(192, side - 1))


@pytest.mark.parametrize("index", [-1, 5])
@pytest.mark.parametrize(
    ("kind", "what"), [*product([ShapesDataset, SceneTextDataset], ["sample", "picture"]), (SceneTextDataset, "words")]
)
def test_an_index_outside_is_refused(kind, what, index):
    with pytest.raises(IndexError, match=f"^{kind.data}: there is no scene {index} among the 5 of 'train'$"):
        getattr(kind(count=5), what)(index)


@both
def test_a_scene_is_the_same_in_any_order_of_access(kind):
    first, second = kind(count=4), kind(count=9)
    pictures = [first.picture(i) for i in range(4)]
    samples = [first.sample(i) for i in range(4)]
    _layout_of.cache_clear()
    for i in (3, 0, 2, 1):
        np.testing.assert_array_equal(second.sample(i).objects, samples[i].objects)
        np.testing.assert_array_equal(second.picture(i), pictures[i])


@both
@pytest.mark.parametrize("other", [{"split": "val"}, {"seed": 1}])
def test_splits_and_seeds_share_no_scene(kind, other):
    def signatures(dataset):
        return {dataset.sample(i).objects.tobytes() for i in range(50) if len(dataset.sample(i).objects)}

    assert not signatures(kind()) & signatures(kind(**{"split": "train", **other}))
