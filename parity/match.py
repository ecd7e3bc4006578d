"""Pairs the boxes of one backend with the other's."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

OTHER_CLASS = 1e6  # costs more than any distance between boxes
MARGIN = 1.0001  # ratio of two scores, from the bound of a forward pass in float32

Boxes = Float[np.ndarray, "_ 6"]


def in_the_same_order(ours: Boxes, theirs: Boxes) -> tuple[Boxes, Boxes]:
    """`ours` in the order of `theirs`: each row with the nearest of its class. Both lose the boxes of the lowest score.

    The last bit of a score decides which box is the last of a full list, so boxes that do not score clearly above the
    lowest are left out. If the lists then differ in length, they keep their order.
    """
    cut = MARGIN * max((rows[:, 5].min() for rows in (ours, theirs) if len(rows)), default=0.0)
    kept, other = (rows[rows[:, 5] > cut] for rows in (ours, theirs))
    if len(kept) != len(other):
        return kept, other
    cost = np.abs(kept[:, None, :] - other[None, :, :]).sum(2)
    cost += OTHER_CLASS * (kept[:, None, 4] != other[None, :, 4])
    rows, columns = linear_sum_assignment(cost)
    return kept[rows[np.argsort(columns)]], other
