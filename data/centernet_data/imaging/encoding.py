"""Writes pictures to files."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from centernet_data.contract.files import written_beside

JPEG_QUALITY = 92


def write_picture(path: Path, picture: Image.Image | np.ndarray) -> None:
    """Writes a picture (uint8 RGB) atomically, in the format that the suffix of `path` names."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    options: dict[str, Any] = {"quality": JPEG_QUALITY} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    with written_beside(path) as beside:
        image.save(beside, **options)
