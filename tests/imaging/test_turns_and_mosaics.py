"""Vertical flips, turns and mosaics: a known rectangle is found where its object row says."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from centernet_data.batches import Batches
from centernet_data.contract.augmentation import NO_AUGMENTATION, Augmentation
from centernet_data.dataset import Sample
from centernet_data.imaging.decoding import average_blocks
from centernet_data.imaging.geometry import (
    LEAST_VISIBLE,
    PADDING,
    augment_geometry,
    fit,
    move_objects,
    quarter_turns,
    reduction_before,
    warp,
)
from centernet_data.imaging.mosaic import QUADRANTS, place, region, whole_pixels
from helpers.datasets import InNoFiles
from helpers.pictures import noise

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
ROW = np.array([[8.0, 21, 6, 20, 0, 1]])  # of a picture of 24 x 36: y from 5 to 11, x from 11 to 31


@dataclass(frozen=True)
class Rectangles(InNoFiles):
    """Pictures with one rectangle each, of a colour of its own, on black; `large` times 24 x 36 pixels or 36 x 24."""

    large: int = 1
    classes: tuple[str, ...] = ("a", "b", "c", "d", "e")
    most_objects: int = 1

    def __len__(self):
        return len(COLOURS)

    def sample(self, index):
        row, (height, width) = ROW + np.eye(6)[4] * index, (24, 36)
        if index % 2:
            row[:, :4], (height, width) = row[:, [1, 0, 3, 2]], (width, height)
        row[:, :4] *= self.large
        area = row[:, 2] * row[:, 3]
        return Sample(f"{index}", height * self.large, width * self.large, row, area, np.zeros((0, 6)))

    def picture(self, index, reduction=1):
        sample = self.sample(index)
        picture = np.zeros((sample.height, sample.width, 3), np.uint8)
        top, left, bottom, right = corners(sample.objects[0]).astype(int)
        picture[top:bottom, left:right] = COLOURS[index]
        return average_blocks(picture, reduction, reduction)


def corners(row):
    y, x, height, width = row[:4]
    return np.array([y - height / 2, x - width / 2, y + height / 2, x + width / 2])


def inside(box, hw, margin):
    """The pixels whose middle is inside a box that is larger by a margin on each side."""
    y, x = np.mgrid[: hw[0], : hw[1]] + 0.5
    top, left, bottom, right = box + np.array([-margin, -margin, margin, margin])
    return (y > top) & (y < bottom) & (x > left) & (x < right)


def near(image, colour):
    """The pixels that are of this colour for more than half."""
    return np.abs(image.astype(int) - colour).max(2) < 128


@pytest.mark.parametrize("quarters", range(4))
def test_a_turn_is_numpys_and_moves_objects_with_their_pixels(quarters):
    picture = noise(24, 36)
    matrix, turned = quarter_turns((24, 36), quarters), np.rot90(picture, quarters)
    np.testing.assert_array_equal(warp(picture, matrix, turned.shape[:2]), turned)
    marked = np.zeros((24, 36), bool)
    marked[5:11, 11:31] = True
    box = corners(move_objects(ROW, matrix)[0])
    np.testing.assert_array_equal(np.rot90(marked, quarters), inside(box, turned.shape[:2], 0))


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_turned_picture_that_shrinks_is_averaged_and_may_be_read_reduced(quarters):
    """Stretched by different factors along its two sides, which a turn swaps."""
    picture = np.kron(noise(8, 12), np.ones((4, 2, 1), np.uint8))  # 32 x 24: blocks of 4 x 2 pixels of one colour
    turn = quarter_turns((32, 24), quarters)
    matrix = np.array([[0.25, 0, 0], [0, 0.5, 0]]) @ np.vstack([turn, [0, 0, 1]])
    np.testing.assert_array_equal(warp(picture, matrix, (12, 8)), np.rot90(noise(8, 12), quarters))
    assert reduction_before(matrix) == 2
    assert reduction_before(matrix * 0.5) == 4


OPTIONS = [
    Augmentation(vertical_flip=True, flip=False, colour=0, lighting=0),
    Augmentation(turn=True, colour=0, lighting=0),
    Augmentation(vertical_flip=True, turn=True, mosaic=1, colour=0, lighting=0),
    replace(NO_AUGMENTATION, mosaic=1),
]


@pytest.mark.parametrize("hw", [(128, 128), (96, 160)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("large", [2, 24])  # enlarged; shrunk, and read reduced
@pytest.mark.parametrize("augmentation", OPTIONS)
def test_rectangles_are_exactly_where_the_rows_say(hw, resize, large, augmentation, monkeypatch):
    monkeypatch.setattr("centernet_data.batches.LEAST_VISIBLE", 1e-9)  # every rectangle that is seen has its row
    source = Batches(Rectangles(large), 5, hw, resize, augmentation, seed=4)
    for step in range(2):
        for image, rows in zip(*source[step].values(), strict=True):
            for label, colour in enumerate(COLOURS):
                boxes = [corners(row) for row in rows[(rows[:, 5] > 0) & (rows[:, 4] == label)]]
                is_colour = near(image, colour)
                surely, perhaps = (
                    np.any([inside(box, hw, margin) for box in boxes] or [np.zeros(hw, bool)], axis=0)
                    for margin in (-1, 1)
                )
                assert is_colour[surely].all()
                assert not is_colour[~perhaps].any()


def naive_colour(pictures, hw, resize, point, back, x, y):
    """The colour of a mosaic's view at one place, from the nearest pixel."""
    x_frame, y_frame, _ = back @ [x, y, 1]
    quadrant = int(y_frame > point[0]), int(x_frame > point[1])
    picture = pictures[QUADRANTS.index(quadrant)]
    scale = fit(picture.shape[:2], hw, resize)[[1, 0], [1, 0]]
    sides = np.array(picture.shape[:2])
    row, column = np.floor((np.subtract((y_frame, x_frame), point)) / scale + sides * (1 - np.array(quadrant)))
    is_inside = 0 <= row < sides[0] and 0 <= column < sides[1]
    return tuple(picture[int(row), int(column)]) if is_inside else PADDING


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_a_mosaic_against_one_made_pixel_by_pixel(seed, resize):
    rng, hw = np.random.default_rng(seed), (24, 40)
    augmentation = Augmentation(vertical_flip=True, scale=(0.7, 1.4))
    pictures = [
        np.full((*side, 3), 50 * number, np.uint8)
        for number, side in enumerate([(48, 64), (72, 40), (56, 56), (32, 72)])
    ]
    point = tuple(rng.uniform(0, hw))
    change, seen_at = whole_pixels(augment_geometry(hw, augmentation, rng), point)
    image = np.full((*hw, 3), PADDING, np.uint8)
    for picture, quadrant in zip(pictures, QUADRANTS, strict=True):
        part = region(change, seen_at, hw, quadrant)
        matrix = change @ np.vstack([place(picture.shape[:2], hw, resize, point, quadrant), [0, 0, 1]])
        if min(part.hw) > 0:
            made = warp(picture, part.from_its_corner(matrix), part.hw)
            image[part.top : part.bottom, part.left : part.right] = made
    back, compared = np.linalg.inv(np.vstack([change, [0, 0, 1]])), 0
    for y, x in np.ndindex(hw):
        near_by = [
            naive_colour(pictures, hw, resize, point, back, x + 0.5 + right, y + 0.5 + down)
            for right in (-1, 1)
            for down in (-1, 1)
        ]
        if len(set(near_by)) == 1:  # edges are interpolated
            np.testing.assert_array_equal(image[y, x], near_by[0])
            compared += 1
    assert compared > 0.6 * image[..., 0].size


def test_objects_outside_or_hardly_visible_are_dropped_from_mosaics():
    source = Batches(Rectangles(), 5, (64, 96), "letterbox", Augmentation(mosaic=1), seed=1)
    rows = np.concatenate([source[step]["objects"] for step in range(8)])
    assert rows.shape == (40, 4, 6)  # room for the objects of four pictures
    real = rows[rows[..., 5] > 0]
    assert 0 < len(real) < 160
    for row in real:
        top, left, bottom, right = np.clip(corners(row), 0, [64, 96, 64, 96])
        assert (bottom - top) * (right - left) >= (LEAST_VISIBLE - 1e-6) * row[2] * row[3]


def test_mosaics_are_as_many_as_asked_and_end_before_the_run():
    half = Augmentation(mosaic=0.5)
    source = Batches(Rectangles(), 5, (32, 32), "letterbox", half, seed=0, mosaic_until=40)
    mosaics = np.array([[source.is_mosaic(step, slot) for slot in range(5)] for step in range(60)])
    assert 0.4 < mosaics[:40].mean() < 0.6
    assert not mosaics[40:].any()
    assert source[50]["objects"].shape == source[0]["objects"].shape == (5, 4, 6)
    plain = Batches(Rectangles(), 5, (32, 32), "letterbox", Augmentation(), seed=0)
    for step, slot in [(0, 0), (3, 2), (50, 1)]:  # a view that is none is what it would be without mosaics
        same = np.array_equal(source[step]["image"][slot], plain[step]["image"][slot])
        assert same != mosaics[step, slot]
