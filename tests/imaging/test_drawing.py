"""Drawing for people: boxes, heatmaps, pages and curves, without a display."""

import re

import matplotlib
import numpy as np
import pytest
from PIL import Image

from centernet.training.curves import draw_curves, save_curves
from centernet_data.contract.model_config import ModelConfig
from centernet_data.detection import show_heatmaps
from centernet_data.imaging.drawing import class_colours, draw_objects, overlay_heatmap
from centernet_data.imaging.pages import CAPTION_HEIGHT, MARGIN, TILE, contact_sheet, predictions_page

GREY = np.full((120, 160, 3), 128, np.uint8)
NAMES = ("circle", "square")


def rows(*objects):
    return np.array(objects, np.float32).reshape(-1, 6)


def changed(picture, original=GREY):
    return (picture != original).any(axis=2)


def test_a_box_is_drawn_where_it_is():
    picture = draw_objects(GREY, rows((70, 60, 40, 50, 0, 1)), NAMES)
    colour = class_colours(2)[0]
    assert (picture[50, 35:85] == colour).all()
    assert (picture[89, 35:85] == colour).all()
    assert (picture[50:90, 35] == colour).all()
    assert (picture[50:90, 84] == colour).all()
    assert not changed(picture)[90:].any()
    assert not changed(picture)[52:88, 37:83].any()


def test_drawing_leaves_its_input_alone():
    image, objects, heat = GREY.copy(), rows((50, 50, 20, 20, 1, 0.5)), np.ones((30, 40))
    draw_objects(image, objects, NAMES)
    overlay_heatmap(image, heat)
    predictions_page([("name", image, objects, objects, heat)], NAMES)
    np.testing.assert_array_equal(image, GREY)
    np.testing.assert_array_equal(objects, rows((50, 50, 20, 20, 1, 0.5)))
    assert (heat == 1).all()


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 60, 60),
        (120, 160, 60, 60),
        (60, 80, 400, 400),
        (60, 80, 1e9, 3),
        (60, 80, 0, 0),
        (-500, 80, 20, 20),
        (60, 158, 5, 3),
    ],
)
def test_boxes_over_the_border_are_drawn_within_it(box):
    picture = draw_objects(GREY, rows((*box, 1, 0.75)), NAMES)
    assert picture.shape == GREY.shape
    assert picture.dtype == np.uint8
    assert changed(picture).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (8, 400, 3), (400, 8, 3)])
def test_pictures_of_any_size_can_be_drawn_on(shape):
    image = np.zeros(shape, np.uint8)
    assert draw_objects(image, rows((4, 4, 4, 4, 0, 1)), ("a very long name indeed",)).shape == shape
    page = predictions_page([("a\nname " * 99, image, rows(), rows(), np.zeros((2, 2)))], NAMES)
    assert page.width < 1100
    assert page.height < 800


def test_without_objects_the_picture_stays_as_it_is():
    np.testing.assert_array_equal(draw_objects(GREY, rows(), NAMES), GREY)
    np.testing.assert_array_equal(draw_objects(GREY, np.zeros((5, 6)), NAMES), GREY)


def test_the_most_certain_is_drawn_last():
    sure, unsure = (70, 60, 40, 50, 0, 0.9), (70, 60, 40, 50, 1, 0.2)
    for objects in (rows(sure, unsure), rows(unsure, sure)):
        picture = draw_objects(GREY, objects, NAMES)
        assert (picture[89, 60] == class_colours(2)[0]).all()


def test_a_label_hides_no_more_certain_label_and_no_other_centre():
    sure, beside = (70, 60, 40, 50, 0, 0.9), (70, 66, 40, 50, 1, 0.2)
    both, alone = draw_objects(GREY, rows(sure, beside), NAMES), draw_objects(GREY, rows(sure), NAMES)
    np.testing.assert_array_equal(
        both[:50], alone[:50]
    )  # the label of the less certain one, above its box, is left out
    for under in ((44, 60, 6, 6, 1, 0.95), (44, 60, 6, 6, 1, 0.2)):  # its centre lies where the label would
        picture = draw_objects(GREY, rows(sure, under), NAMES)
        assert not (picture[36:40, 36:48] == class_colours(2)[0]).all()


def test_scores_can_be_left_out():
    objects = rows((70, 60, 40, 50, 0, 0.9))
    with_scores, without = draw_objects(GREY, objects, NAMES), draw_objects(GREY, objects, NAMES, show_scores=False)
    assert changed(with_scores).sum() > changed(without).sum()


@pytest.mark.parametrize("wrong", [(5, 5, 5, 5, 2, 1), (5, 5, 5, 5, -1, 1), (5, np.nan, 5, 5, 0, 1)])
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match=r"2 classes|finite"):
        draw_objects(GREY, rows(wrong), NAMES)


def test_eighty_classes_have_eighty_colours():
    colours = class_colours(80)
    assert len(np.unique(colours, axis=0)) == 80
    np.testing.assert_array_equal(class_colours(3), colours[:3])
    assert class_colours(100).shape == (100, 3)
    distances = np.linalg.norm(colours[:, None].astype(float) - colours, axis=2) + 1000 * np.eye(80)
    assert distances.min() > 20
    picture = draw_objects(
        GREY, rows(*[(60, 2 * i, 9, 9, i, 0.5) for i in range(80)]), [f"class {i}" for i in range(80)]
    )
    assert changed(picture).any()


def test_heat_covers_the_picture_where_it_is_hot():
    heat = np.zeros((30, 40))
    heat[5, 30] = 1
    picture = overlay_heatmap(GREY, heat)
    y, x = np.argwhere(changed(picture)).mean(axis=0) + 0.5
    assert abs(y - 22) < 1
    assert abs(x - 122) < 1
    np.testing.assert_array_equal(overlay_heatmap(GREY, np.zeros((3, 4))), GREY)
    np.testing.assert_array_equal(overlay_heatmap(GREY, np.full((3, 4), np.nan)), GREY)
    np.testing.assert_array_equal(overlay_heatmap(GREY, np.full((3, 4), 7.0)), overlay_heatmap(GREY, np.ones((3, 4))))


def test_a_page_shows_a_row_for_every_picture():
    small, large = np.zeros((96, 96, 3), np.uint8), np.zeros((900, 1200, 3), np.uint8)
    box = rows((40, 40, 30, 30, 1, 1))
    page = predictions_page(
        [("small", small, box, box, np.zeros((24, 24))), ("large", large, box, rows(), np.ones((9, 12)))], NAMES
    )
    assert page.mode == "RGB"
    assert page.width == 3 * 320 + 4 * 12
    assert 320 + 240 < page.height < 320 + 240 + 160
    empty = predictions_page([], NAMES)
    assert empty.width == page.width
    assert empty.height < 60


def training_line(step, **other):
    losses = {"heatmap": 2 / (step + 1), "offset": 0.3, "size": 0.1, "loss": 0.4 + 2 / (step + 1)}
    return {"step": step, "epoch": 0, **losses, "learning_rate": 1e-4, "images_per_second": 9.0, **other}


def evaluation_line(step, value):
    return {"step": step, "epoch": 0, "AP": value, "AP50": value, "AP75": value}


NAN = float("nan")


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [training_line(1)],
        [evaluation_line(1, 0.5)],
        [training_line(i) for i in range(20)],
        [*map(training_line, range(5000)), *(evaluation_line(i, i / 9000) for i in range(0, 5000, 500))],
        [training_line(1), evaluation_line(1, NAN), evaluation_line(2, None), {"step": 3, "AP": 0.1}],
        [training_line(1, loss=NAN, offset=0.0, size=float("inf"), learning_rate=0.0)],
        [training_line(i, loss=1.0) for i in (1, 2, 3, 2, 3, 4)],
    ],
    ids=["none", "one", "evaluation only", "no evaluation", "thousands", "NaN AP", "NaN losses", "resumed"],
)
def test_curves_are_written(tmp_path, metrics):
    path = tmp_path / "curves.png"
    save_curves(metrics, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 1000 < picture.width < 2000
        assert 500 < picture.height < 1200
    assert list(tmp_path.iterdir()) == [path]


def test_curves_show_the_last_value_of_a_step_that_was_done_twice():
    figure = draw_curves([training_line(1), training_line(2, loss=5.0), training_line(2, loss=7.0)])
    steps, values = figure.axes[0].lines[0].get_data()
    np.testing.assert_array_equal(steps, [1, 2])
    assert values[1] == 7
    assert [axes.get_title() for axes in figure.axes if axes.axison] == [
        "total loss",
        "heatmap loss",
        "offset loss",
        "size loss",
        "learning rate",
    ]


def test_a_failed_save_leaves_the_old_picture(tmp_path):
    path = tmp_path / "curves.png"
    save_curves([training_line(1)], path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape("could not convert")):
        save_curves([training_line(1, loss="much")], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_curves_changes_no_global_state():
    before = dict(matplotlib.rcParams)
    draw_curves([training_line(1)])
    assert dict(matplotlib.rcParams) == before


def test_a_contact_sheet_shows_each_picture_with_its_own_classes():
    tall, box = np.full((200, 50, 3), 128, np.uint8), rows((100, 25, 60, 30, 1, 1))
    tiles = [(GREY, rows(), (), "a", ""), (tall, box, NAMES, "b", "odd"), (None, rows(), (), "c", "gone")]
    page = np.array(contact_sheet(tiles, columns=2))
    assert page.shape == (2 * (TILE + 2 * CAPTION_HEIGHT) + MARGIN, 2 * (TILE + MARGIN) + MARGIN, 3)
    assert (page == class_colours(2)[1]).all(axis=2).any()
    grey = (page == 128).all(axis=2)
    assert grey[: MARGIN + TILE, : TILE + MARGIN].sum() == TILE * TILE * 120 // 160  # fitted, its shape kept
    assert not grey[MARGIN + TILE :].any()
    assert contact_sheet([]).size[0] > 0


def test_an_empty_heatmap_is_empty_up_to_the_edges():
    (heat,) = show_heatmaps(lambda images: np.zeros((len(images), 16, 16)), [GREY], ModelConfig(("a",), (64, 64)))
    assert heat.shape == GREY.shape[:2]
    assert (heat == 0).all()
