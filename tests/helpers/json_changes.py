"""Annotation files that differ from a good one in one place."""

import copy
from functools import reduce
from operator import getitem


def changed_in(good, keys, value):
    """`good` with one value, found by `keys`, replaced, or left out if `value` is Ellipsis."""
    content = copy.deepcopy(good)
    *path, last = keys
    place = reduce(getitem, path, content)
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content
