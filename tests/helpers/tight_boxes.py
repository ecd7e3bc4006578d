"""The edges of a box, and those of the pixels that it should enclose, to compare: y_min, x_min, y_max, x_max."""

import numpy as np


def edges(box):
    y, x, height, width = box
    return np.array([y - height / 2, x - width / 2, y + height / 2, x + width / 2])


def extremes(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
