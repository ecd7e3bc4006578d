"""Naive numpy loops, written from the definitions, with which the fast paths are compared. Layout: NHWC."""

import math

import numpy as np


def clip_to_cells(row, hw):
    """(y, x, h, w) of an object in cells, clipped to the grid by its corners; None if nothing is left."""
    y, x, h, w, _, confidence = row
    top, bottom = max(y - h / 2, 0), min(y + h / 2, hw[0])
    left, right = max(x - w / 2, 0), min(x + w / 2, hw[1])
    if confidence <= 0 or bottom <= top or right <= left:
        return None
    if (top, bottom, left, right) == (y - h / 2, y + h / 2, x - w / 2, x + w / 2):
        return y, x, h, w
    return (top + bottom) / 2, (left + right) / 2, bottom - top, right - left


def radius_authors(height, width, min_overlap=0.7):
    """CornerNet's gaussian_radius as in its code."""
    b1, c1 = height + width, width * height * (1 - min_overlap) / (1 + min_overlap)
    r1 = (b1 + math.sqrt(b1**2 - 4 * c1)) / 2
    b2, c2 = 2 * (height + width), (1 - min_overlap) * width * height
    r2 = (b2 + math.sqrt(b2**2 - 16 * c2)) / 2
    a3, b3, c3 = 4 * min_overlap, -2 * min_overlap * (height + width), (min_overlap - 1) * width * height
    r3 = (b3 + math.sqrt(b3**2 - 4 * a3 * c3)) / 2
    return min(r1, r2, r3)


def radius_exact(height, width, min_overlap=0.7):
    """The greatest shift of the corners that keeps an overlap of at least `min_overlap`, found by bisection."""

    def least_overlap(r):
        area = height * width
        kept = max(height - r, 0) * max(width - r, 0)
        shifted = kept / (2 * area - kept)
        shrunk = max(height - 2 * r, 0) * max(width - 2 * r, 0) / area
        grown = area / ((height + 2 * r) * (width + 2 * r))
        return min(shifted, shrunk, grown)

    low, high = 0.0, max(height, width)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if least_overlap(middle) >= min_overlap else (low, middle)
    return low


def heatmap(objects, hw, num_classes, smooth_kernel_size, mode):
    target = np.zeros((len(objects), *hw, num_classes))
    for b, rows in enumerate(objects):
        for row in rows:
            box = clip_to_cells(row, hw)
            if box is None:
                continue
            if mode == "fixed":
                radius = smooth_kernel_size // 2
                sigma = (smooth_kernel_size // 2 + 1) / 3
            else:
                find = {"adaptive": radius_authors, "exact": radius_exact}[mode]
                radius = max(math.floor(find(math.ceil(box[2]), math.ceil(box[3]))), 0)
                sigma = (2 * radius + 1) / 6
            cell_y, cell_x = math.floor(box[0]), math.floor(box[1])
            for y in range(max(cell_y - radius, 0), min(cell_y + radius + 1, hw[0])):
                for x in range(max(cell_x - radius, 0), min(cell_x + radius + 1, hw[1])):
                    value = math.exp(-((y - cell_y) ** 2 + (x - cell_x) ** 2) / (2 * sigma**2))
                    target[b, y, x, int(row[4])] = max(target[b, y, x, int(row[4])], value)
    return target


def dense_regression(objects, hw):
    dense = np.zeros((len(objects), *hw, 4))
    for b, rows in enumerate(objects):
        seen = set()
        for row in rows:
            box = clip_to_cells(row, hw)
            if box is None:
                continue
            cell = math.floor(box[0]), math.floor(box[1])
            if cell not in seen:
                seen.add(cell)
                dense[b, cell[0], cell[1]] = box[0] - cell[0], box[1] - cell[1], box[2], box[3]
    return dense


def losses(points, objects, target, normalization):
    """[B, 3]: focal, offset and size loss; `points` with probabilities, objects in cells, 0.1 on the size."""
    batch, height, width, channels = points.shape
    classes = channels - 4
    sums, counts = np.zeros((batch, 3)), np.zeros(batch)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(classes):
                    p, t = points[b, y, x, c], target[b, y, x, c]
                    if t == 1:
                        sums[b, 0] -= (1 - p) ** 2 * math.log(p)
                    else:
                        sums[b, 0] -= (1 - t) ** 4 * p**2 * math.log(1 - p)
        for row in objects[b]:
            box = clip_to_cells(row, (height, width))
            if box is None:
                continue
            counts[b] += 1
            y, x = math.floor(box[0]), math.floor(box[1])
            said = points[b, y, x, classes:]
            sums[b, 1] += abs(said[0] - (box[0] - y)) + abs(said[1] - (box[1] - x))
            sums[b, 2] += 0.1 * (abs(said[2] - box[2]) + abs(said[3] - box[3]))
    if normalization == "image":
        return sums / (counts[:, None] + 1)
    positives = max((target == 1).sum(), 1)
    return batch * sums / np.array([positives, 2 * counts.sum() + 1e-4, 2 * counts.sum() + 1e-4])


def average_flipped(points, flipped):
    result = points.copy()
    batch, height, width, channels = points.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    if c not in (channels - 4, channels - 3):  # the offset
                        result[b, y, x, c] = (points[b, y, x, c] + flipped[b, y, width - 1 - x, c]) / 2
    return result


def peaks(points, kernel_size):
    result, half = points.copy(), kernel_size // 2
    batch, height, width, channels = points.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(channels - 4):
                    window = points[b, max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1, c]
                    if points[b, y, x, c] != window.max():
                        result[b, y, x, c] = 0
    return result


def decode(points, objects_per_image, min_confidence):
    batch, height, width, channels = points.shape
    found = np.zeros((batch, objects_per_image, 6))
    for b in range(batch):
        rows = []
        for c in range(channels - 4):
            for y in range(height):
                for x in range(width):
                    dy, dx, h, w = points[b, y, x, channels - 4 :]
                    rows.append((y + dy, x + dx, h, w, c, points[b, y, x, c]))
        rows.sort(key=lambda row: -row[5])  # stable: ties stay in order of class, y, x
        for n, row in enumerate(rows[:objects_per_image]):
            if row[5] >= min_confidence:
                found[b, n] = row
    return found
