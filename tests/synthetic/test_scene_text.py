"""Rendered words: tight boxes, legible words, and the files that hold them."""

import json

import cv2
import numpy as np
import pytest

from centernet.cli import main
from centernet_data.readers.cocotext import LEAST_AREA, read_cocotext
from centernet_data.source import open_train_and_val
from centernet_data.synthetic import text_look
from centernet_data.synthetic.lettering import PRINTED, VISIBLE, WRITTEN, printed, visible_outline, written
from centernet_data.synthetic.scene_text import SceneTextDataset
from centernet_data.synthetic.text_layout import Block, layout, project
from centernet_data.synthetic.words import random_word
from helpers.small_data import refused
from helpers.tight_boxes import edges, extremes

SIZES = [(256, 256), (128, 192), (320, 64)]


def scenes(size, count=25):
    for seed in range(count):
        yield layout(np.random.default_rng(seed), size)


def seen(block, size):
    """The block's ink as it lies in the picture."""
    return text_look._warped(block.ink, block, (slice(0, size[0]), slice(0, size[1])))


def ink_of(word, block):
    """The ink of one word of the block."""
    flat = project(np.linalg.inv(block.matrix), word.quad)
    (left, top), (right, bottom) = np.rint([flat.min(axis=0), flat.max(axis=0)]).astype(int)
    ink = np.zeros_like(block.ink)
    ink[top:bottom, left:right] = block.ink[top:bottom, left:right]
    return ink


@pytest.mark.parametrize("size", SIZES)
def test_samples_are_well_formed(size):
    dataset = SceneTextDataset("val", count=15, size=size)
    for i in range(len(dataset)):
        sample, picture = dataset.sample(i), dataset.picture(i)
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8
        assert (sample.height, sample.width) == size
        assert sample.objects.shape == (len(sample.areas), 6)
        assert len(sample.objects) + len(sample.ignored) == len(dataset.words(i))
        least = LEAST_AREA * size[0] * size[1]
        assert (sample.areas >= least).all()
        assert (sample.ignored[:, 2] * sample.ignored[:, 3] < least).all()
        for row in np.concatenate([sample.objects, sample.ignored]):
            assert tuple(row[4:]) == (0, 1)
            top, left, bottom, right = edges(row[:4])
            assert -1e-3 <= top < bottom <= size[0] + 1e-3
            assert -1e-3 <= left < right <= size[1] + 1e-3
    assert len({dataset.name(i) for i in range(15)}) == 15


def test_no_scene_has_more_words_than_a_batch_has_room_for():
    dataset = SceneTextDataset("val", count=40, size=(64, 1500))  # lines of up to 90 words
    counts = [len(dataset.words(i)) for i in range(len(dataset))]
    assert 80 <= max(counts) <= dataset.most_objects


@pytest.mark.parametrize("size", SIZES[:2])
def test_boxes_are_tight_about_the_ink_in_the_picture(size):
    errors = []
    for blocks in scenes(size):
        for block in blocks:
            for word in block.words:
                top, left, bottom, right = edges(word.box)
                inside = min(top, left) > 3 and bottom < size[0] - 3 and right < size[1] - 3
                if block.outlined or not inside:  # of a word cut by the frame the ink may end before its outline does
                    continue
                alone = seen(block._replace(ink=ink_of(word, block)), size)
                if alone.max() < 2 * VISIBLE:  # too thin or too small to locate its edge to a pixel
                    continue
                errors.append(np.abs(extremes(alone > VISIBLE / 2) - edges(word.box)))
    assert len(errors) > 100
    assert np.max(errors) < 2  # a faint hairline may lie beyond
    assert np.mean(errors) < 0.5


def test_no_ink_without_a_word_and_no_word_without_ink():
    size = (256, 256)
    for blocks in scenes(size):
        for block in blocks:
            ink = seen(block, size)
            for word in block.words:
                top, left, bottom, right = np.rint(edges(word.box)).astype(int)
                if word.box[2] * word.box[3] > 150 and not block.outlined:
                    assert ink[top:bottom, left:right].max() > VISIBLE / 2
            for word in block.words:
                top, left, bottom, right = np.rint(edges(word.box)).astype(int)
                ink[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 0
            assert not (ink > VISIBLE).any()


def test_an_outline_makes_the_box_larger():
    outlined = [block for blocks in scenes((256, 256), 60) for block in blocks if block.outlined]
    assert outlined
    for block in outlined:
        wide = cv2.dilate(block.ink, np.ones((1 + 2 * block.outlined,) * 2, np.uint8))
        drawn = extremes(seen(Block(wide, *block[1:]), (256, 256)) > VISIBLE)
        boxes = np.array([edges(word.box) for word in block.words])
        around = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        if around.min() > 2 and around.max() < 254:
            assert np.abs(drawn - around).max() <= 2


def test_blocks_do_not_overlap():
    for blocks in scenes((256, 256), 40):
        covered = sum((seen(Block(np.full_like(b.ink, 255), *b[1:]), (256, 256)) > 200).astype(int) for b in blocks)
        assert np.count_nonzero(np.asarray(covered) > 1) <= 20 * len(blocks)  # no more than their rims touch


def test_words_stand_out():
    """Ink differs in brightness from its background, before light and noise are added."""
    faint, total = 0, 0
    for seed, blocks in enumerate(scenes((256, 256), 40)):
        for block in blocks:
            picture = text_look.background(np.random.default_rng(seed), (256, 256), 5)
            text_look._paint(picture, np.random.default_rng(seed), block)
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
            core = seen(block, (256, 256)) > 200
            ring = (cv2.dilate(core.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~core
            if core.sum() > 30:
                total += 1
                faint += abs(np.median(grey[core]) - np.median(grey[ring])) < 25
    assert total > 40
    assert faint <= 0.05 * total


def test_scenes_are_varied():
    dataset = SceneTextDataset(count=150)
    counts = np.array([len(dataset.words(i)) for i in range(150)])
    words = [word for i in range(150) for word in dataset.words(i)]
    assert (counts > 15).mean() > 0.2  # pages
    assert ((counts > 0) & (counts < 8)).mean() > 0.2  # signs
    assert (counts == 0).mean() < 0.05
    assert counts.max() <= 100  # the number that average precision counts
    assert 0.1 < np.mean([word.handwritten for word in words]) < 0.4
    assert np.percentile([word.box[2] for word in words], [5, 95]).tolist() == pytest.approx([7, 30], rel=0.4)


@pytest.mark.parametrize("face", sorted({*PRINTED, *WRITTEN}))
def test_every_face_has_every_character(face):
    blank = printed("\0", face, 30).mask
    random = np.random.default_rng(0)
    for character in sorted(
        {letter for _ in range(400) for letter in random_word(random) + random_word(random).upper()}
    ):
        mask = printed(character, face, 30).mask
        assert mask.max() > VISIBLE
        assert mask.shape != blank.shape or (mask != blank).any()


def test_outlines_enclose_the_ink():
    random = np.random.default_rng(0)
    for number in range(40):
        text = random_word(random)
        mask = written(random, text, WRITTEN[number % len(WRITTEN)], 14 + number).mask
        low, high = visible_outline(mask).min(axis=0) - 0.5, visible_outline(mask).max(axis=0) + 0.5
        np.testing.assert_array_equal(extremes(mask > VISIBLE), [low[1], low[0], high[1], high[0]])
    assert visible_outline(np.full((3, 3), VISIBLE, np.uint8)) is None


def test_words_are_words():
    random = np.random.default_rng(0)
    words = [random_word(random) for _ in range(500)]
    assert len(set(words)) > 250
    assert all(2 <= len(word) <= 20 and word.isascii() and word.isprintable() and " " not in word for word in words)


def test_rendered_files_read_back(tmp_path, capsys):
    assert main(["data", "render", "scene-text", "--out", str(tmp_path / "o"), "--count", "5", "--val-count", "2"]) == 0
    toml = tmp_path / "o" / "scene-text.toml"
    assert str(toml) in " ".join(capsys.readouterr().out.split())
    for split, dataset in zip(("train", "val"), open_train_and_val(toml), strict=True):
        scenes = SceneTextDataset(split, len(dataset))
        assert len(dataset) == {"train": 5, "val": 2}[split]
        for i in range(len(dataset)):
            np.testing.assert_array_equal(dataset.picture(i), scenes.picture(i))
            read, made = dataset.sample(i), scenes.sample(i)
            for kind in ("objects", "areas", "ignored"):
                np.testing.assert_allclose(getattr(read, kind), getattr(made, kind), rtol=1e-5, atol=1e-4)
    images, annotations = toml.parent / "images", toml.parent / "cocotext.v2.json"
    content = json.loads(annotations.read_text())
    words = [word for i in range(5) for word in SceneTextDataset().words(i)]
    assert [record["utf8_string"] for record in content["anns"].values()][: len(words)] == [word.text for word in words]
    for key, record in content["anns"].items():
        assert str(record["id"]) == key
        assert len(record["mask"]) == 8
        assert record["id"] in content["imgToAnns"][str(record["image_id"])]
    by_class = read_cocotext(images, annotations, "train", ["machine printed", "handwritten"], least_area=0)
    labels = np.concatenate([by_class.sample(i).objects[:, 4] for i in range(5)])
    np.testing.assert_array_equal(labels, [word.handwritten for word in words])


def test_files_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "scene-text.toml").write_text("mine")
    assert main(["data", "render", "scene-text", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path}: already exists; choose another" in capsys.readouterr().err
    assert (tmp_path / "scene-text.toml").read_text() == "mine"


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(self, index):
        raise KeyboardInterrupt

    monkeypatch.setattr(SceneTextDataset, "picture", interrupt)
    assert main(["data", "render", "scene-text", "--out", str(tmp_path / "o"), "--count", "1"]) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [("--count", "0"), ("--val-count", "0"), ("--seed", "-1")])
def test_bad_options(tmp_path, capsys, option):
    arguments = ("data", "render", "scene-text", "--out", tmp_path / "words", *option)
    assert f"{option[0]} must be at least" in refused(capsys, *arguments)
