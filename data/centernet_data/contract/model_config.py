"""The configuration needed to build a model and to prepare its input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from centernet_data.contract.options import require_argument

Resize = Literal["letterbox", "stretch"]


@dataclass(frozen=True)
class ModelConfig:
    """A model's classes, input and architecture. `image_size` is (height, width) in pixels, multiples of 32.

    `hidden_channels` and `out_channels` are the channel counts after the three upscaling layers, `kernel_size` (3 or 4)
    is that of their transposed convolutions, and `head_channels` is the channel count of each branch of the head.
    Raises ValueError for invalid settings.
    """

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize = "letterbox"
    depth: int = 34
    hidden_channels: tuple[int, int] = (256, 128)
    out_channels: int = 64
    kernel_size: int = 3
    head_channels: int = 64

    def __post_init__(self):
        require_valid_settings(vars(self))

    @property
    def backbone_kwargs(self) -> dict:
        """The keyword arguments of `ResnetBackbone`."""
        names = ("depth", "hidden_channels", "out_channels", "kernel_size")
        return {name: getattr(self, name) for name in names}

    @property
    def head_kwargs(self) -> dict:
        """The keyword arguments of `CenterNetHead`."""
        return {
            "k_in_channels": self.out_channels,
            "c_classes": len(self.classes),
            "hidden_channels": self.head_channels,
        }


def require_valid_settings(values: Mapping[str, object]) -> None:
    """Raises ValueError, naming the setting, for an invalid value, such as one from a file of another project."""
    for name, value in values.items():
        is_valid, what = _VALID[name]
        require_argument(name, value, is_valid(value), what)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_count, value))


def _is_one_of(*choices: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value in choices


_A_COUNT = _is_count, "a whole number of at least 1"
_VALID: dict[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (
        lambda value: isinstance(value, tuple) and value != () and all(isinstance(name, str) for name in value),
        'a tuple of names, such as ("cat", "dog")',
    ),
    "image_size": (
        lambda value: _is_pair(value) and all(side % 32 == 0 for side in value),
        "a tuple (height, width) of multiples of 32",
    ),
    "resize": (lambda value: value in get_args(Resize), f"one of {', '.join(get_args(Resize))}"),
    "depth": (_is_one_of(18, 34), "18 or 34"),
    "hidden_channels": (_is_pair, "a tuple of two whole numbers of at least 1"),
    "out_channels": _A_COUNT,
    "kernel_size": (_is_one_of(3, 4), "3 or 4"),
    "head_channels": _A_COUNT,
}
