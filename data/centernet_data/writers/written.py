"""What a writer says of the data set that it wrote."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Written(NamedTuple):
    """The content of the TOML file that describes a data set, and by split what its format could not say."""

    description: Mapping[str, Any]
    notes: Mapping[str, Sequence[str]]
