"""Pictures as users of Python hold them, to uint8 RGB [H, W, 3]."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from centernet_data.contract.messages import one_line, shown
from centernet_data.imaging.decoding import image_orientation, image_pixels

READ = "centernet_data.imaging.decoding.read_picture"


def given_pictures(pictures: Iterable[Any]) -> Iterator[UInt8[np.ndarray, "_ _ 3"]]:
    """Each picture as uint8 RGB [H, W, 3], of its own size.

    A picture may be a uint8 array, of any framework, of shape [H, W, 3] (RGB), [H, W] or [H, W, 1] (grey), or a PIL
    image of any mode. Raises ValueError, with the picture's index, for anything else, and for one picture alone, whose
    rows would be taken for pictures.
    """
    rank = len(getattr(pictures, "shape", "BHWC"))
    if isinstance(pictures, str | bytes | os.PathLike | Image.Image) or rank != 4:
        raise ValueError(f"the pictures must be a list, for a single one [picture], not {_kind(pictures)}")
    try:
        each = enumerate(pictures)
    except TypeError:
        raise ValueError(f"the pictures must be a list, not {_kind(pictures)}") from None
    return (_given_picture(picture, index) for index, picture in each)


def _given_picture(picture: Any, index: int) -> UInt8[np.ndarray, "_ _ 3"]:
    where = f"picture {index} of the list"
    if isinstance(picture, str | bytes | os.PathLike):
        raise ValueError(f"{where} is {_kind(picture)}; read it first, with {READ}(path)")
    if isinstance(picture, Image.Image):
        return _of_image(picture, where)
    if not hasattr(picture, "__array__"):
        raise ValueError(f"{where} is {_kind(picture)}, not an array, uint8 [H, W, 3], or a PIL image")
    try:
        array = np.asarray(picture)
    except Exception as error:  # torch raises a TypeError for a tensor on a GPU
        raise ValueError(f"{where} is {_kind(picture)}, which gives no numpy array ({one_line(error)})") from None
    return _of_array(array, where)


def _of_image(image: Image.Image, where: str) -> UInt8[np.ndarray, "_ _ 3"]:
    if (orientation := image_orientation(image)) != 1:  # in which pixels would its boxes be: those before, or after?
        raise ValueError(
            f"{where} has EXIF orientation {orientation}, so that viewers show it turned; give it upright, by "
            "PIL.ImageOps.exif_transpose(image)"
        )
    return _of_array(image_pixels(image, where), where)


def _of_array(array: np.ndarray, where: str) -> UInt8[np.ndarray, "_ _ 3"]:
    if array.dtype != np.uint8:
        raise ValueError(f"{where} is of {array.dtype}, not uint8 from 0 to 255{_HINTS.get(array.dtype.kind, '')}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ValueError(f"{where} has shape {list(array.shape)}, not [H, W, 3]{_hint_of_shape(array.shape)}")
    if not array.size:
        raise ValueError(f"{where} has no pixels: its shape is {list(array.shape)}")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


_HINTS = {
    "f": "; from values in 0 to 1, (picture * 255).round().astype(numpy.uint8) makes it",
    "u": "; from 16 bits, (picture / 257).round().astype(numpy.uint8) makes it",
    "i": "; from values in 0 to 255, picture.astype(numpy.uint8) makes it",
    "b": "; picture.astype(numpy.uint8) * 255 makes it",
}


def _hint_of_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[2] == 4:
        return "; of RGBA, picture[..., :3] is RGB"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "; picture.transpose(1, 2, 0), in torch permute(1, 2, 0), brings the channels last"
    return "; a batch is no picture: give its pictures one by one" if len(shape) == 4 else ""


def _kind(value: object) -> str:
    if isinstance(value, str | os.PathLike):
        return f"the path {shown(str(value))}"
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" if shape is None else f"one array of shape {list(shape)}"
