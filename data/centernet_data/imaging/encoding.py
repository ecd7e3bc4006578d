"""Writes pictures to files."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from centernet_data.contract.files import written_beside

JPEG_QUALITY = 92
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


def write_picture(path: Path, picture: Image.Image | np.ndarray, author: str = "") -> None:
    """Writes a picture (uint8 RGB) atomically, in the format that the suffix of `path` names.

    PNG and JPEG files name their author, such as "centernet predict", if one is given.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with written_beside(path) as beside:
        image.save(beside, **_options(path.suffix.lower(), author))


def _options(suffix: str, author: str) -> dict[str, Any]:
    if suffix in JPEG_SUFFIXES:
        return {"quality": JPEG_QUALITY} | ({"comment": author} if author else {})
    if suffix == ".png" and author:
        about = PngInfo()
        about.add_text("Software", author)
        return {"pnginfo": about}
    return {}
