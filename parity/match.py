"""Which box of one backend is which of the other's."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

OTHER_CLASS = 1e6  # dearer than any distance between boxes
MARGIN = 1.0001  # between two scores: the bound of a forward pass in float32

Boxes = Float[np.ndarray, "_ 6"]


def in_the_same_order(ours: Boxes, theirs: Boxes) -> tuple[Boxes, Boxes]:
    """Both without the boxes at the end of the list, and `ours` in the order of `theirs`: each row beside its nearest
    of the same class.

    Which box is the last of a full list is decided by the last bit of a score, so boxes whose score is not clearly
    above the lowest are left out. Two lists that then differ in length stay as they are.
    """
    cut = MARGIN * max((rows[:, 5].min() for rows in (ours, theirs) if len(rows)), default=0.0)
    kept, other = (rows[rows[:, 5] > cut] for rows in (ours, theirs))
    if len(kept) != len(other):
        return kept, other
    cost = np.abs(kept[:, None, :] - other[None, :, :]).sum(2)
    cost += OTHER_CLASS * (kept[:, None, 4] != other[None, :, 4])
    rows, columns = linear_sum_assignment(cost)
    return kept[rows[np.argsort(columns)]], other
