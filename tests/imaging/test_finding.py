"""Which files a folder of pictures stands for, and what is said of the rest."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet_data.imaging.decoding import picture_suffix, read_picture
from centernet_data.imaging.finding import HEIC_ADVICE, INNER, LINKED, PICTURE_SUFFIXES, find_pictures


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(pictures):
    return [str(found.name) for found in pictures.found]


def test_find_pictures(tmp_path):
    make(tmp_path, "b.JPG", "a.png", ".hidden.png", "notes.txt", "folder.png/c.jpg")
    found = find_pictures([tmp_path / "notes.txt", tmp_path, str(tmp_path / "folder.png")])
    assert names(found) == ["notes.txt", "a.png", "b.JPG", "c.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: the folder contains no pictures"):
        find_pictures([tmp_path / "empty"])
    with pytest.raises(ValueError, match="nowhere: there is no such"):
        find_pictures([tmp_path / "nowhere"])


def test_what_is_left_out_is_noted(tmp_path):
    make(tmp_path, "a.jpg", "c.heic", "C.HEIF", "sub/deep/b.jpg", "texts/a.txt", ".b.jpg")
    make(tmp_path, *(f"{number}.txt" for number in range(5)))
    found = find_pictures([tmp_path])
    assert names(found) == ["a.jpg"]
    assert found.notes == [
        f"{tmp_path}: left out 5 (0.txt, 1.txt, 2.txt and 2 more): not a picture by its suffix; a file that is named "
        "is always taken",
        f"{tmp_path}: left out 2 (C.HEIF, c.heic): {HEIC_ADVICE}",
        f"{tmp_path}: left out 1 (sub{os.sep}): {INNER}",
    ]
    with pytest.raises(ValueError, match=r"contains no pictures .*; .*left out 1 .*deep.*--recursive looks into them"):
        find_pictures([tmp_path / "sub"])


def test_sub_folders_are_looked_into_but_not_links_to_folders(tmp_path):
    make(tmp_path, "x.jpg", "a/x.jpg", "a/b/x.jpg", ".git/x.jpg", "a/.x.jpg")
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    found = find_pictures([tmp_path], recursive=True)
    assert names(found) == ["x.jpg", "round.jpg", *map(str, (Path("a/x.jpg"), Path("a/b/x.jpg")))]
    assert found.notes == [f"{tmp_path}: left out 1 ({Path('a/b/up')}{os.sep}): {LINKED}"]


def test_a_picture_given_again_is_found_once(tmp_path):
    make(tmp_path, "b.jpg", "sub/c.jpg")
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "link").symlink_to("sub")
    given = [tmp_path, tmp_path / "b.jpg", tmp_path / "sub", tmp_path / "sub/../link", tmp_path / "link/c.jpg"]
    found = find_pictures(given)
    assert names(found) == ["b.jpg", "c.jpg"]
    again = ", ".join(str(tmp_path / name) for name in ("a.jpg", "b.jpg", "sub/../link/c.jpg"))
    assert found.notes[-1] == f"looked at once, though given again: {again} and 1 more"


def test_files_of_an_earlier_run_are_left_out(tmp_path):
    make(tmp_path, "a.jpg", "ours.jpg")
    found = find_pictures([tmp_path], is_ours=lambda path: path.name == "ours.jpg")
    assert names(found) == ["a.jpg"]
    assert found.notes == [f"{tmp_path}: left out 1 (ours.jpg): written by an earlier run"]


@pytest.mark.parametrize("suffix", [*PICTURE_SUFFIXES, ".AVIF", ".JFIF", ".JPE", ".JP2"])
def test_every_suffix_names_pictures_that_are_decoded(tmp_path, suffix):
    grey = np.full((16, 24, 3), 130, np.uint8)
    image = Image.fromarray(grey)
    (image.convert("L") if suffix == ".pgm" else image).save(tmp_path / f"a{suffix}")
    assert np.abs(read_picture(tmp_path / f"a{suffix}").astype(int) - grey).max() <= 2


@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"])
def test_the_suffix_of_a_content_is_one_that_is_found(form):
    content = io.BytesIO()
    picture = Image.new("RGB", (8, 8))
    more = {"save_all": True, "append_images": [picture]} if form == "MPO" else {}
    picture.save(content, form, **more)
    assert picture_suffix(content.getvalue(), "it") in PICTURE_SUFFIXES
