"""The options that make a validation split of a share of the pictures."""

import re
from typing import NamedTuple

from centernet_data.contract.checks import refuse


class ValShare(NamedTuple):
    """The share of the pictures to validate on, between 0 and 1; and a regular expression of which pictures stay
    together: those in whose names its first group, or without one all of it, finds the same text."""

    share: float
    group: str | None = None


def check_val_share(share: float | None, group: str | None) -> ValShare | None:
    """The two options as a `ValShare`; None if no share is given. Refuses (ValueError) a share out of range, and a
    group that is no regular expression or is given alone."""
    if share is None:
        if group is not None:
            refuse("--val-group says which pictures --val-share keeps together: give both")
        return None
    if not 0 < share < 1:
        refuse(f"--val-share must be between 0 and 1, such as 0.2, not {share}")
    try:
        re.compile(group or "")
    except re.error as error:
        refuse(f"--val-group must be a regular expression, not {group!r}: {error}")
    return ValShare(share, group)
