"""Pictures as users of Python hold them: what is taken, and what is said of the rest."""

import numpy as np
import pytest
import torch
from jax import numpy as jnp
from PIL import Image

from centernet_data.contract.model_config import ModelConfig
from centernet_data.detection import detect_pictures, show_heatmaps
from centernet_data.imaging.decoding import read_picture
from centernet_data.imaging.given import given_pictures

pytestmark = pytest.mark.usefixtures("as_users_call")
PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GREY = PICTURE[..., 0]
CONFIG = ModelConfig(("a",), (32, 32))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PICTURE, PICTURE),
        (GREY, np.stack([GREY] * 3, -1)),
        (GREY[..., None], np.stack([GREY] * 3, -1)),
        (PICTURE[:1, :1], PICTURE[:1, :1]),
        (PICTURE[::-1, ::-2], PICTURE[::-1, ::-2]),
        (np.asfortranarray(PICTURE), PICTURE),
        (np.broadcast_to(PICTURE[:1], PICTURE.shape), np.repeat(PICTURE[:1], 5, 0)),  # not writeable
        (torch.from_numpy(PICTURE), PICTURE),
        (jnp.asarray(PICTURE), PICTURE),
        (Image.fromarray(PICTURE), PICTURE),
        (Image.fromarray(GREY), np.stack([GREY] * 3, -1)),
        (Image.fromarray(GREY.astype(np.uint16) * 257), np.stack([GREY] * 3, -1)),
    ],
)
def test_arrays_and_images_are_taken(given, expected):
    (picture,) = given_pictures([given])
    np.testing.assert_array_equal(picture, expected)
    assert picture.flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_an_image_is_what_its_file_is(tmp_path, mode):
    image = Image.fromarray(PICTURE).convert(mode)
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    image.save(path)
    np.testing.assert_array_equal(next(given_pictures([image])), read_picture(path))


def turned():
    image = Image.fromarray(PICTURE)
    exif = Image.Exif()
    exif[0x112] = 6
    image.info["exif"] = exif.tobytes()
    return image


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PICTURE / 255, r"is of float64, not uint8 from 0 to 255; from values in 0 to 1, \(picture \* 255\)"),
        (torch.from_numpy(PICTURE) / 255, "is of float32, not uint8"),
        (PICTURE.astype(np.uint16), r"is of uint16, not uint8 .* \(picture / 257\)"),
        (PICTURE.astype(int), "is of int64, not uint8"),
        (PICTURE > 9, "is of bool, not uint8"),
        (PICTURE.astype(object), "is of object, not uint8"),
        (np.dstack([PICTURE, GREY]), r"has shape \[5, 7, 4\], not \[H, W, 3\]; of RGBA, picture\[..., :3\] is RGB"),
        (PICTURE[..., :2], r"has shape \[5, 7, 2\], not"),
        (torch.from_numpy(PICTURE).permute(2, 0, 1), r"has shape \[3, 5, 7\], .* brings the channels last"),
        (PICTURE[None], r"has shape \[1, 5, 7, 3\], not .* one by one"),
        (PICTURE[:0], r"has no pixels: its shape is \[0, 7, 3\]"),
        ("a.png", r"is the path 'a\.png'; read it first, with centernet_data\.imaging\.decoding\.read_picture"),
        (PICTURE.tolist(), "is a list, not an array"),
        (None, "is a NoneType, not an array"),
        (torch.empty(1, 1, 3, device="meta", dtype=torch.uint8), "gives no numpy array"),
        (Image.new("F", (2, 2)), "range of its 32-bit grey levels"),
        (turned(), r"has EXIF orientation 6, .*PIL\.ImageOps\.exif_transpose"),
    ],
)
def test_anything_else_is_refused_by_its_place(given, message):
    with pytest.raises(ValueError, match=rf"^picture 1 of the list.*{message}"):
        list(given_pictures([PICTURE, given]))


@pytest.mark.parametrize("given", [PICTURE, GREY, Image.fromarray(PICTURE), "a.png", b"", None, 3])
def test_one_picture_is_no_list_of_pictures(given):
    with pytest.raises(ValueError, match="the pictures must be a list"):
        given_pictures(given)


def test_a_batch_and_a_generator_are_lists_of_pictures():
    assert len(list(given_pictures(np.stack([PICTURE, PICTURE])))) == 2
    assert len(list(given_pictures(picture for picture in [PICTURE]))) == 1
    assert not list(given_pictures([]))


@pytest.mark.parametrize("min_confidence", [float("nan"), 2, -0.1, None, "0.5", True])
def test_a_confidence_that_is_no_probability_is_refused(min_confidence):
    with pytest.raises(ValueError, match="min_confidence must be a number from 0 to 1, not"):
        detect_pictures(lambda images: np.zeros((len(images), 1, 6)), [PICTURE], CONFIG, min_confidence)


def test_detections_and_heatmaps_take_them_all():
    pictures = [GREY, Image.fromarray(PICTURE), PICTURE[::-1]]
    found = detect_pictures(lambda images: np.array([[[16.0, 16, 8, 8, 0, 0.5]]] * len(images)), pictures, CONFIG, 0.5)
    assert [len(objects) for objects in found] == [1, 1, 1]
    assert [h.shape for h in show_heatmaps(lambda i: np.zeros((len(i), 8, 8)), pictures, CONFIG)] == [(5, 7)] * 3
