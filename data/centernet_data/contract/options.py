"""Checks of arguments from Python: each raises ValueError, in the same words for both backends.

What has not been checked yet is `Any`.
"""

import math
import os
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import shown


def is_whole(value: Any) -> bool:
    """Whether it is a whole number by its type, numpy's included; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a real number by its type, numpy's included; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_odd(value: Any) -> bool:
    """Whether it is an odd whole number of at least 1."""
    return is_whole(value) and value >= 1 and value % 2 == 1


def require_argument(name: str, value: Any, valid: bool, what: str) -> None:
    """Raises ValueError, naming the argument, unless its value is `valid`."""
    if not valid:
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def require_count(name: str, value: Any) -> None:
    """Raises ValueError unless it is a whole number of at least 1."""
    require_argument(name, value, is_whole(value) and value >= 1, "a whole number of at least 1")


def require_odd(name: str, value: Any) -> None:
    """Raises ValueError unless it is an odd whole number of at least 1, so that a window of that size has a middle."""
    require_argument(name, value, is_odd(value), "odd and at least 1")


def require_positive(name: str, value: Any) -> None:
    """Raises ValueError unless it is a finite number greater than 0."""
    require_argument(name, value, is_number(value) and 0 < value < math.inf, "greater than 0 and finite")


def require_weight(name: str, value: Any) -> None:
    """Raises ValueError unless it is a finite number of at least 0."""
    require_argument(name, value, is_number(value) and 0 <= value < math.inf, "at least 0 and finite")


def require_confidence(value: Any) -> None:
    """Raises ValueError unless it is a number from 0 to 1."""
    require_argument("min_confidence", value, is_number(value) and 0 <= value <= 1, "a number from 0 to 1")


def require_choice(name: str, value: Any, choices: Sequence[object]) -> None:
    """Raises ValueError unless it is one of the choices."""
    require_argument(name, value, value in choices, f"one of {', '.join(map(str, choices))}")


def require_flag(name: str, value: Any) -> None:
    """Raises ValueError unless it is True or False."""
    require_argument(name, value, isinstance(value, bool), "True or False")


def require_instance(name: str, value: Any, kind: type) -> None:
    """Raises ValueError unless it is of this class."""
    require_argument(name, value, isinstance(value, kind), f"a {kind.__name__}")


def require_own_pretrained(backbone_kwargs: Mapping) -> None:
    """Raises ValueError if the whole network's `pretrained` is given to its backbone, which does not read it."""
    if "pretrained" in backbone_kwargs:
        raise ValueError("give pretrained to CenterNet itself, not in backbone_kwargs")


def require_seed(value: Any) -> None:
    """Raises ValueError unless it is a seed that both backends tell from every other."""
    valid = is_whole(value) and 0 <= value < 2**32
    require_argument("seed", value, valid, "a whole number from 0 to 4294967295")


def require_file(path: Any, what: str) -> Path:
    """The path, if an ordinary file that can be read is there. `what` says what to give instead, with its article.

    Raises ValueError, naming the path. What is no ordinary file (a folder, a pipe) might never end.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{shown(path)} is not a path: give that of {what}")
    where = Path(path)
    try:
        if where.is_file():
            with where.open("rb") as file:
                if file.read(1):
                    return where
            raise ValueError(f"{where}: the file is empty")
        found, download = where.exists(), "://" in str(path)
    except OSError as error:
        raise ValueError(f"{where}: it cannot be read ({error.strerror})") from None
    if found:
        raise ValueError(f"{where}: {'a folder' if where.is_dir() else 'not an ordinary file'}; give {what}")
    hint = "; nothing is downloaded here" if download else ""
    raise ValueError(f"{path if download else where}: there is no such file; give {what}{hint}")
