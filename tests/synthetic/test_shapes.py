"""The rendered shapes: correct boxes and visible objects."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from centernet_data.synthetic import shape_layout, shape_look
from centernet_data.synthetic.shape_layout import Shape, clipped_box, layout
from centernet_data.synthetic.shape_look import paint
from centernet_data.synthetic.shapes import ShapesDataset
from helpers.tight_boxes import edges, extremes

SIZES = [(192, 192), (96, 160), (320, 256)]


def scenes(size, count=40):
    for seed in range(count):
        yield layout(np.random.default_rng(seed), size)


@pytest.mark.parametrize("size", [*SIZES, (32, 32)])
def test_samples_are_well_formed(size):
    dataset = ShapesDataset("val", count=30, size=size)
    for i in range(len(dataset)):
        sample, picture = dataset.sample(i), dataset.picture(i)
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8
        assert (sample.height, sample.width) == size
        assert sample.objects.dtype == sample.areas.dtype == np.float32
        assert sample.objects.shape == (len(sample.areas), 6)
        assert sample.ignored.shape == (0, 6)
        np.testing.assert_allclose(sample.areas, sample.objects[:, 2] * sample.objects[:, 3])
        assert (sample.objects[:, 5] == 1).all()
        for row in sample.objects:
            top, left, bottom, right = edges(row[:4])
            assert 0 <= top + 1e-4 < bottom <= size[0] + 1e-4
            assert 0 <= left + 1e-4 < right <= size[1] + 1e-4
    assert len({dataset.sample(i).name for i in range(30)}) == 30
    assert max(len(dataset.sample(i).objects) for i in range(30)) == dataset.most_objects


@pytest.mark.parametrize("size", SIZES)
def test_a_drawn_shape_fills_its_box(size):
    for seed, scene in enumerate(scenes(size)):
        for shape in scene:
            canvas = np.full((*size, 3), 128, np.uint8)
            paint(canvas, np.random.default_rng(seed), shape)
            change = np.abs(canvas.astype(int) - 128).max(axis=2)
            box = edges(clipped_box(shape, size))
            beyond = (extremes(change > 0) - box) * (-1, -1, 1, 1)
            assert (beyond < 1).all()
            # If a shape reaches beyond the picture, its clipped box may be larger than its visible part.
            if (shape.outline >= 0).all() and (shape.outline <= size[::-1]).all():
                short = (extremes(change > 0.15 * change.max()) - box) * (1, 1, -1, -1)
                assert (short <= 1).all()


def test_a_shape_is_drawn_at_its_pixels_and_not_half_a_pixel_beside():
    canvas = np.full((32, 32, 3), 128, np.uint8)
    square = np.array([[8.0, 10.0], [20.0, 10.0], [20.0, 22.0], [8.0, 22.0]])
    paint(canvas, np.random.default_rng(0), Shape(shape_layout.SQUARE, square))
    expected = np.zeros((32, 32), bool)
    expected[10:22, 8:20] = True
    changed = np.abs(canvas.astype(int) - 128).max(axis=2)
    np.testing.assert_array_equal(changed > 20, expected)
    assert (changed[~expected] == 0).all()


def test_pictures_show_what_the_samples_say(monkeypatch):
    """Outside the boxes a picture is the same as without any shape."""
    monkeypatch.setattr(shape_look, "camera", lambda picture, random: picture)
    dataset = ShapesDataset(count=25)
    pictures = [dataset.picture(i) for i in range(25)]
    monkeypatch.setattr(shape_look, "paint", lambda picture, random, shape: None)
    for i, picture in enumerate(pictures):
        changed = (picture != dataset.picture(i)).any(axis=2)
        unexplained = changed.copy()
        for row in dataset.sample(i).objects:
            top, left, bottom, right = np.rint(edges(row[:4])).astype(int)
            inside = slice(max(0, top - 1), bottom + 1), slice(max(0, left - 1), right + 1)
            assert changed[inside].mean() > 0.2
            unexplained[inside] = False
        assert not unexplained.any()


@pytest.mark.parametrize("size", SIZES)
def test_half_of_every_object_is_seen(size):
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for scene in scenes(size, 25):
        owner = np.full(len(centres), -1)
        for number, shape in enumerate(scene):
            owner[Outline(shape.outline).contains_points(centres)] = number
        for number, shape in enumerate(scene):
            x, y = shape.outline.T
            area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
            assert np.sum(owner == number) >= 0.5 * area


def test_shapes_have_the_form_of_their_class():
    for scene in scenes((192, 192)):
        for kind, outline in scene:
            sides = np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1)
            reach = np.linalg.norm(outline - outline.mean(axis=0), axis=1)
            assert len(outline) == {shape_layout.CIRCLE: 72, shape_layout.SQUARE: 4, shape_layout.TRIANGLE: 3}[kind]
            if kind == shape_layout.TRIANGLE:
                assert sides.max() < 1.4 * sides.min()
            else:
                np.testing.assert_allclose(sides, sides[0])
                np.testing.assert_allclose(reach, reach[0])


def test_scenes_are_varied():
    dataset = ShapesDataset(count=400)
    samples = [dataset.sample(i) for i in range(400)]
    counts = np.bincount([len(sample.objects) for sample in samples])
    objects = np.concatenate([sample.objects for sample in samples])
    assert 0 < counts[0] < 0.06 * 400
    assert len(counts) - 1 == 4
    assert (np.bincount(objects[:, 4].astype(int)) > 0.25 * len(objects)).all()
    longer = objects[:, 2:4].max(axis=1)
    assert longer.max() <= shape_layout.LONGER_SIDES[1] + 1e-3
    assert (np.histogram(longer, [30, 72, 90, 111])[0] > 0.12 * len(objects)).all()
    at_border = np.abs(objects[:, 0] - objects[:, 2] / 2) < 1e-3
    assert 0.005 < at_border.mean() < 0.3


def test_shapes_stand_out_against_their_background():
    behind = np.random.default_rng(0).uniform(90, 160, (24, 3)).astype(np.float32)
    for seed in range(30):
        colour = shape_look._colour_against(np.random.default_rng(seed), behind)
        assert np.linalg.norm(colour - behind.mean(axis=0)) > 60
