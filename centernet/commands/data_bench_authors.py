"""The authors' way of making a training sample, written from the paper (section 5) and their recipe, for comparison.

It does on the CPU, in floats and in numpy, what they do there: reads the picture whole, warps it, changes its colours,
normalises it, and draws the targets. Here the last two are a part of the network's step.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float

from centernet_data.batches import Batches
from centernet_data.contract.boxes import STRIDE, cyxhw_to_xyxy
from centernet_data.imaging.colour import LIGHTING_DIRECTIONS, LIGHTING_SPREADS

MOST_OBJECTS = 128
LEAST_OVERLAP = 0.7  # of a box with the true one, which sets the radius of a target's peak
BORDER = 128  # pixels that the window's centre keeps from the picture's edges
STRENGTH, LIGHTING = 0.4, 0.1
MEAN, STD = np.array([0.408, 0.447, 0.470], np.float32), np.array([0.289, 0.274, 0.278], np.float32)  # of COCO, BGR

Targets = dict[str, np.ndarray]


def authors_batch(batches: Batches, step: int) -> Targets:
    """The pictures of this step's batch, as the authors would make them: [B, 3, H, W] float32 and dense targets.

    The pictures must be stored in files.
    """
    samples = [authors_sample(batches, step, slot) for slot in range(batches.batch_size)]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def authors_sample(batches: Batches, step: int, slot: int) -> Targets:
    """One of them."""
    index, rng = batches.index(step, slot), np.random.default_rng([batches.seed, step, slot])
    sample, content = batches.dataset.sample(index), batches.dataset.content(index)
    if content is None:
        raise ValueError(f"{sample.name}: it is rendered, and the authors' sampler reads files")
    picture = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
    boxes = cyxhw_to_xyxy(sample.objects[:, :4])
    centre, side = _window(picture.shape[:2], rng)
    if rng.random() < 0.5:
        width = picture.shape[1]
        picture, centre[0] = picture[:, ::-1], width - centre[0] - 1
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]] - 1
    height, width = batches.image_size
    to_input = _to_frame(centre, side, (height, width))
    image = cv2.warpAffine(picture, to_input, (width, height), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    _change_colours(image, rng)
    image = ((image - MEAN) / STD).transpose(2, 0, 1)
    frame = height // STRIDE, width // STRIDE
    to_output = _to_frame(centre, side, frame)
    rows = zip(boxes, sample.objects[:, 4].astype(int), strict=True)
    moved = [(_moved(box, to_output, frame), label) for box, label in rows]
    return {"input": image} | _targets(moved, frame, len(batches.dataset.classes))


def _window(hw: tuple[int, int], rng: np.random.Generator) -> tuple[Float[np.ndarray, "2"], float]:
    side = max(hw) * rng.choice(np.arange(0.6, 1.4, 0.1))
    centre = np.zeros(2, np.float32)
    for axis, length in enumerate(reversed(hw)):
        border = BORDER
        while length - border <= border:
            border //= 2
        centre[axis] = rng.integers(border, length - border)
    return centre, side


def _to_frame(centre: Float[np.ndarray, "2"], side: float, hw: tuple[int, int]) -> Float[np.ndarray, "2 3"]:
    """The affine map of three points, as they find it."""
    middle = np.array([hw[1] / 2, hw[0] / 2], np.float32)
    up_here, up_there = np.array([0, -side / 2], np.float32), np.array([0, -hw[1] / 2], np.float32)
    here = np.stack([centre, centre + up_here, centre + up_here[::-1] * [1, -1]])
    there = np.stack([middle, middle + up_there, middle + up_there[::-1] * [1, -1]])
    return cv2.getAffineTransform(here.astype(np.float32), there.astype(np.float32))


def _change_colours(image: Float[np.ndarray, "h w 3"], rng: np.random.Generator) -> None:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    mean = grey.mean()
    for kind in rng.permutation(3):
        factor = 1 + rng.uniform(-STRENGTH, STRENGTH)
        image *= factor
        if kind > 0:  # contrast by the mean's grey, saturation by each pixel's own
            image += (1 - factor) * (mean if kind == 1 else grey[:, :, None])
    light = LIGHTING_DIRECTIONS @ (LIGHTING_SPREADS * rng.normal(0, LIGHTING, 3))
    image += light[::-1].astype(np.float32)


def _moved(box: Float[np.ndarray, "4"], matrix: Float[np.ndarray, "2 3"], hw: tuple[int, int]) -> list[float]:
    corners = [matrix @ np.array([*box[at : at + 2], 1]) for at in (0, 2)]
    return np.clip(np.concatenate(corners), 0, [hw[1] - 1, hw[0] - 1] * 2).tolist()


def _targets(moved: list[tuple[list[float], int]], hw: tuple[int, int], classes: int) -> Targets:
    heatmap = np.zeros((classes, *hw), np.float32)
    size, offset = np.zeros((MOST_OBJECTS, 2), np.float32), np.zeros((MOST_OBJECTS, 2), np.float32)
    index, mask = np.zeros(MOST_OBJECTS, np.int64), np.zeros(MOST_OBJECTS, np.uint8)
    for row, ((left, top, right, bottom), label) in enumerate(moved[:MOST_OBJECTS]):
        height, width = bottom - top, right - left
        if height <= 0 or width <= 0:
            continue
        centre = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
        x, y = centre.astype(int)
        _draw(heatmap[label], x, y, max(0, int(_radius(math.ceil(height), math.ceil(width)))))
        size[row], offset[row] = (width, height), centre - (x, y)
        index[row], mask[row] = y * hw[1] + x, 1
    return {"hm": heatmap, "wh": size, "reg": offset, "ind": index, "reg_mask": mask}


def _radius(height: float, width: float) -> float:
    """The smallest of the three radii, with the roots as they take them."""
    around, area = height + width, height * width
    cases = (
        (1, around, area * (1 - LEAST_OVERLAP) / (1 + LEAST_OVERLAP)),
        (4, 2 * around, (1 - LEAST_OVERLAP) * area),
        (4 * LEAST_OVERLAP, -2 * LEAST_OVERLAP * around, (LEAST_OVERLAP - 1) * area),
    )
    return min((b + math.sqrt(b * b - 4 * a * c)) / 2 for a, b, c in cases)


def _draw(heatmap: Float[np.ndarray, "h w"], x: int, y: int, radius: int) -> None:
    """Merges a peak by maximum."""
    steps, sigma = np.arange(-radius, radius + 1), (2 * radius + 1) / 6
    peak = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * sigma * sigma))
    left, right = min(x, radius), min(heatmap.shape[1] - x, radius + 1)
    top, bottom = min(y, radius), min(heatmap.shape[0] - y, radius + 1)
    part = heatmap[y - top : y + bottom, x - left : x + right]
    np.maximum(part, peak[radius - top : radius + bottom, radius - left : radius + right], out=part)
