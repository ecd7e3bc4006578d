"""What the options of several commands share."""

from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

import tyro

Backend = Literal["jax", "torch"]
ImageSize = Annotated[tuple[int, ...], tyro.conf.arg(metavar="S | H W")]


@runtime_checkable
class Command(Protocol):
    """A command of `centernet`: its options are fields, its `run` returns the exit status."""

    def run(self) -> int: ...


def require_image_size(image_size: tuple[int, ...]) -> None:
    """Raises ValueError for anything but one or two multiples of 32."""
    if len(image_size) not in (1, 2) or any(side < 32 or side % 32 for side in image_size):
        sides = " ".join(map(str, image_size))
        raise ValueError(f"--image-size must be one or two multiples of 32, not {sides}")


def height_and_width(image_size: tuple[int, ...]) -> tuple[int, int]:
    """An image size as (height, width); one number stands for a square."""
    return image_size[0], image_size[-1]


def require_parent_folder(path: Path | None) -> None:
    """Raises ValueError if `path` is given and the folder it lies in does not exist."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
