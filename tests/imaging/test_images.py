"""Pictures are decoded as a viewer shows them, and damaged ones are refused."""

import io

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from centernet_data.imaging.decoding import decode_picture, read_picture, upright_size

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_lossless_rgb_is_read_as_it_is(tmp_path, suffix):
    image = read_picture(saved(tmp_path / f"a.{suffix}", Image.fromarray(RGB)))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, RGB)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    upright = np.kron(np.array([[0, 60, 120], [180, 210, 255]], np.uint8), np.ones((16, 16), np.uint8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    image = read_picture(path)
    assert image.shape == (32, 48, 3)
    np.testing.assert_allclose(image[..., 0], upright, atol=12)
    np.testing.assert_array_equal(decode_picture(path.read_bytes(), "here"), image)
    assert upright_size(path.read_bytes(), "here") == (32, 48)


SMOOTH = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (97, 131, 3), np.uint8), (0, 0), 2)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1, "quality": 30}])
def test_jpeg_files_have_the_pixels_that_pillow_gives(grey, options):
    content = encoded(Image.fromarray(SMOOTH[..., 0] if grey else SMOOTH), "jpeg", **options)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode_picture(content, "here"), expected)


def block_means(image, side):
    """Each pixel is the mean of its block; the last blocks repeat the pixels of the edge."""
    rows, columns = -(-image.shape[0] // side), -(-image.shape[1] // side)
    means = np.zeros((rows, columns, 3))
    for y in range(rows):
        for x in range(columns):
            ys = np.minimum(np.arange(y * side, (y + 1) * side), image.shape[0] - 1)
            xs = np.minimum(np.arange(x * side, (x + 1) * side), image.shape[1] - 1)
            means[y, x] = image[np.ix_(ys, xs)].mean((0, 1))
    return means


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(("suffix", "atol", "mean"), [("png", 1, 0.5), ("jpeg", 12, 1.5)])
@pytest.mark.parametrize("size", [(96, 128), (97, 131)])
def test_a_reduced_picture_is_that_of_its_blocks(suffix, atol, mean, orientation, reduction, size):
    picture = cv2.GaussianBlur(SMOOTH, (0, 0), 4)[: size[0], : size[1]]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(picture)), suffix, exif=exif)
    reduced, expected = (
        decode_picture(content, "here", reduction),
        block_means(decode_picture(content, "here"), reduction),
    )
    assert reduced.shape == expected.shape
    assert np.abs(reduced - expected).max() <= atol
    assert np.abs(reduced - expected).mean() < mean


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12"])
def test_unreadable_exif_does_not_hide_the_picture(tmp_path, exif):
    assert read_picture(saved(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif)).shape == (5, 7, 3)


def test_grey_and_black_and_white(tmp_path):
    grey = RGB[..., 0]
    np.testing.assert_array_equal(
        read_picture(saved(tmp_path / "a.png", Image.fromarray(grey))), grey[..., None] + 0 * RGB
    )
    bits = Image.fromarray(grey).point(lambda level: 255 * (level > 99), "1")
    expected = np.repeat(255 * (grey > 99)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "b.png", bits)), expected)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    levels = np.array([[0, 257, 300], [32896, 40000, 65535]], np.uint16)
    image = read_picture(saved(tmp_path / f"a.{suffix}", Image.fromarray(levels)))
    np.testing.assert_array_equal(image, np.repeat([[[0], [1], [1]], [[128], [156], [255]]], 3, axis=2))


def test_palette_and_cmyk(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8).repeat(8, 0).repeat(8, 1)
    image = Image.fromarray(colours)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.png", image.quantize(4))), colours)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.tiff", image.convert("CMYK"))), colours)
    jpeg = read_picture(saved(tmp_path / "a.jpg", image.convert("CMYK"), quality=95))
    np.testing.assert_allclose(jpeg.astype(int), colours, atol=8)


def test_transparency_lies_over_white(tmp_path):
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    expected = [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.png", Image.fromarray(rgba))), expected)
    grey = Image.fromarray(np.array([[[0, 0], [90, 255]]], np.uint8), "LA")
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "b.png", grey)), [[[255] * 3, [90] * 3]])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([1, 2, 3, 4, 5, 6])
    for transparency in (0, b"\0\xff"):  # an index, or one alpha per colour
        path = saved(tmp_path / "c.png", palette, transparency=transparency)
        np.testing.assert_array_equal(read_picture(path), [[[255, 255, 255], [4, 5, 6]]])


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    image = read_picture(saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(image, np.broadcast_to([255, 0, 0], (3, 4, 3)))


def read_or_error(path):
    try:
        return read_picture(path), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
        ("PPM", {}),
    ],
)
def test_a_truncated_file_is_an_error_or_whole(tmp_path, suffix, options):
    """Cut after any byte, a file either raises or decodes to the whole picture: never to a half-grey one."""
    content = encoded(Image.fromarray(np.tile(RGB, (4, 4, 1))), suffix, **options)
    path = tmp_path / "cut"
    path.write_bytes(content)
    whole = read_picture(path)
    for length in [*range(1, len(content) - 40, 31), *range(len(content) - 40, len(content))]:
        path.write_bytes(content[:length])
        image, message = read_or_error(path)
        if image is None:
            assert str(path) in message
            assert "\n" not in message
        else:
            np.testing.assert_array_equal(image, whole)


JPEG = encoded(Image.fromarray(np.tile(RGB, (9, 9, 1))), "JPEG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "the file is empty"),
        (b"hello, world", "not an image file"),
        (JPEG[:2], "not an image file"),
        (JPEG[: len(JPEG) // 2], "cannot be decoded: it is damaged: .*premature end"),
        (encoded(Image.new("F", (3, 3)), "TIFF"), "32-bit grey levels"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.jpg: .*{message}"):
        read_picture(path)


def test_bad_content_in_memory_says_where_it_is_from():
    for read in (decode_picture, upright_size):
        with pytest.raises(ValueError, match=r"^record 7: not an image file"):
            read(b"", "record 7")
    with pytest.raises(ValueError, match=r"^record 7: the picture cannot be decoded"):
        decode_picture(encoded(Image.fromarray(RGB), "PNG")[:-30], "record 7")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(ValueError, match="a folder, not a picture"):
        read_picture(tmp_path)


@pytest.mark.parametrize("limit", [20, 10])  # the first makes Pillow warn, the second makes it raise
def test_a_decompression_bomb_is_a_clear_error(tmp_path, monkeypatch, limit):
    path = saved(tmp_path / "bomb.png", Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"bomb\.png: the picture is too large"):
        read_picture(path)
