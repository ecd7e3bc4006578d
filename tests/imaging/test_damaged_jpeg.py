"""A damaged JPEG is refused, even where a decoder only warns; an odd one that is complete is accepted."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from centernet_data.imaging.decoding import decode_picture
from helpers.pictures import noise

PICTURE = Image.fromarray(noise(128, 128))
END = b"\xff\xd9"


def jpeg(image=PICTURE, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


PLAIN, PROGRESSIVE, RESTARTS = jpeg(), jpeg(progressive=True), jpeg(restart_marker_rows=1)
CMYK = jpeg(PICTURE.convert("CMYK"))


def places(content, marker):
    return [found.start() for found in re.finditer(re.escape(marker), content)]


def without_restarts(first, last):
    marks = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", RESTARTS)]
    return RESTARTS[: marks[first]] + RESTARTS[marks[last] :]


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("reduction", [1, 4])
@pytest.mark.parametrize(
    "content",
    [
        half(PLAIN) + END,
        half(PLAIN),
        PLAIN[:-3] + END,
        half(PROGRESSIVE) + END,
        half(PROGRESSIVE),
        PROGRESSIVE[: places(PROGRESSIVE, b"\xff\xda")[-1]] + END,  # whole scans are missing
        PROGRESSIVE[: places(PROGRESSIVE, b"\xff\xda")[1]],
        without_restarts(1, 2),
        without_restarts(1, 4),
        half(CMYK) + END,
        half(PLAIN) + bytes(200) + half(PLAIN[::-1])[::-1],
        PLAIN.replace(b"\xff\xc4", b"\0\0\xff\xc4", 1)[: len(PLAIN) // 2] + END,  # behind a harmless warning
    ],
)
def test_a_damaged_jpeg_is_refused_without_a_word_on_stderr(content, reduction, capfd):
    with pytest.raises(ValueError, match=r"^b\.jpg: the picture cannot be decoded: it is damaged: "):
        decode_picture(content, "b.jpg", reduction)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        (PLAIN[:-2], PLAIN),
        (PLAIN[:-1], PLAIN),
        (PROGRESSIVE[:-2], PROGRESSIVE),
        (PLAIN + b"\0junk" * 99, PLAIN),
        (PLAIN + jpeg(Image.new("RGB", (8, 8))), PLAIN),
        (PLAIN[:-2] + bytes(500) + END, PLAIN),
        (PLAIN.replace(b"\xff\xc4", b"\0\1\2\xff\xff\xff\xc4", 1), PLAIN),
        (PLAIN.replace(b"JFIF\0\1", b"JFIF\0\2"), PLAIN),
        (re.sub(rb"(\xff\xda\0\x0c.{7})\0\x3f\0", rb"\1\0\0\0", PLAIN, flags=re.DOTALL), PLAIN),
        (PLAIN[:2] + b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\7" + PLAIN[20:], PLAIN),
        (PLAIN[:2] + b"\xff\xe1\x10\0" + jpeg(Image.new("RGB", (8, 8))).ljust(4094, b"\0") + PLAIN[2:], PLAIN),
    ],
)
def test_an_odd_jpeg_with_all_pixels_is_accepted(content, plain, capfd):
    assert content != plain
    np.testing.assert_array_equal(decode_picture(content, "odd.jpg"), decode_picture(plain, "plain.jpg"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_tiny_pictures_are_reduced_by_their_blocks(side, reduction):
    content = jpeg(Image.fromarray(noise(side, 2 * side)), quality=100, subsampling=0)
    whole, reduced = decode_picture(content, "whole"), decode_picture(content, "reduced", reduction)
    assert reduced.shape[:2] == (-(-side // reduction), -(-2 * side // reduction))
    if side >= reduction:
        means = whole[:reduction, :reduction].mean((0, 1))
        np.testing.assert_allclose(reduced[0, 0], means, atol=8)


def test_a_telephones_file_of_several_pictures_is_a_jpeg():
    file = io.BytesIO()
    PICTURE.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    content = file.getvalue()
    assert Image.open(io.BytesIO(content)).format == "MPO"
    np.testing.assert_array_equal(decode_picture(content, "a.jpg"), np.asarray(Image.open(file)))
    with pytest.raises(ValueError, match="damaged"):
        decode_picture(content.replace(content[2000:5000], b"", 1), "a.jpg")
