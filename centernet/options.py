"""Options that several commands share, and their checks. Imports nothing heavy: `--help` reads this file."""

from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

import tyro

from centernet_data.contract.checks import refuse

BackendName = Literal["jax", "torch"]
ImageSize = Annotated[tuple[int, ...], tyro.conf.arg(metavar="S | H W")]
Integers = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT...")]
OutputFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Overwrite = Annotated[
    bool,
    tyro.conf.arg(help="Replace files of others, too, if they are in the place of what is written."),
]
DataName = tyro.conf.Positional[
    Annotated[
        str,
        tyro.conf.arg(
            metavar="DATA",
            help="A folder in a known layout, a TOML file or YOLO's data.yaml that describes a data set, a COCO file, "
            "tfds:NAME or tfds:FOLDER, or a built-in data set (shapes, scene-text).",
        ),
    ]
]
ValShareOption = Annotated[float | None, tyro.conf.arg(metavar="SHARE", help_behavior_hint="")]
ValGroupOption = Annotated[str | None, tyro.conf.arg(metavar="REGEX", help_behavior_hint="")]
ModelFile = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MODEL", help="A run's model.safetensors.")]]


@runtime_checkable
class Command(Protocol):
    """A command of `centernet`: its fields are the options, and `run` returns the exit status."""

    def run(self) -> int: ...


def require_image_size(image_size: tuple[int, ...]) -> None:
    """Refuses anything but one or two multiples of 32."""
    if len(image_size) not in (1, 2) or any(side < 32 or side % 32 for side in image_size):
        sides = " ".join(map(str, image_size))
        refuse(f"--image-size must be one or two multiples of 32, not {sides}")


def height_and_width(image_size: tuple[int, ...]) -> tuple[int, int]:
    """An image size as (height, width); a single number stands for a square."""
    return image_size[0], image_size[-1]
