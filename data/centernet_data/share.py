"""Makes a validation split where a data set has none: a share of its pictures, chosen by their names."""

import re
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from centernet_data.contract.val_share import ValShare


class Parts(NamedTuple):
    """The indices of the pictures to train on and to validate on, each in order, and how many groups are in each."""

    train: list[int]
    val: list[int]
    train_groups: int
    val_groups: int


def parts(names: Sequence[str], val_share: ValShare, where: str) -> Parts:
    """Divides pictures by their names alone: the same names give the same parts, on any machine, in any order, and
    pictures that are added later move few of the others.

    Groups come in the order of a hash of their text; the first ones, until they hold the share of all pictures, are
    validated on. Raises ValueError, beginning with `where`, if none would be left to train on.
    """
    groups = defaultdict(list)
    for index, name in enumerate(names):
        groups[_group(name, val_share.group)].append(index)
    ordered = sorted(groups, key=lambda text: (blake2b(text.encode("utf-8", "surrogateescape")).digest(), text))
    val, count = [], 0
    while count < len(ordered) and (not val or len(val) < val_share.share * len(names)):
        val += groups[ordered[count]]
        count += 1
    if count == len(ordered):
        share = f"a share of {val_share.share:g} to validate on"
        raise ValueError(f"{where}: {share} would be all of its {len(names)} pictures, in {count} groups")
    train = sorted(set(range(len(names))).difference(val))
    return Parts(train, sorted(val), len(ordered) - count, count)


def _group(name: str, pattern: str | None) -> str:
    found = pattern and re.search(pattern, name)
    if not found:
        return name
    return found[1] or name if found.re.groups else found[0] or name
