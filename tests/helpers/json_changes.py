"""Annotation files that differ from a good one in one place."""

import copy
import json
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


def change_json(path, change):
    """Rewrites a file with its content changed in place by a function; what that returns does not count."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
