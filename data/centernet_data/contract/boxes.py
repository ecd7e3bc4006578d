"""Box formats and their conversions. All are numpy arrays `[..., 4]` in pixels unless noted otherwise.

- `cyxhw`: (y_centre, x_centre, height, width), the first four columns of a row of objects
- `xyxy`: corners (x_min, y_min, x_max, y_max)
- `xywh`: (x_min, y_min, width, height), COCO's `bbox`

Coordinates are continuous: pixel i covers [i, i + 1), so a picture W pixels wide spans 0 to W.
"""

import numpy as np
from jaxtyping import Float, Int

STRIDE = 4  # input pixels per cell of the network's output, along each side
MOST_DETECTIONS = 100  # per picture: the most a detector returns, and the most COCO's average precision counts

Boxes = Float[np.ndarray, "*n 4"]
Side = float | Int[np.ndarray, "*n"]  # of one picture, or of each box's picture


def cyxhw_to_xyxy(boxes: Boxes) -> Boxes:
    """Converts centre and size to corners."""
    y, x, height, width = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=-1)


def xyxy_to_cyxhw(boxes: Boxes) -> Boxes:
    """Converts corners to centre and size."""
    x_min, y_min, x_max, y_max = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([(y_min + y_max) / 2, (x_min + x_max) / 2, y_max - y_min, x_max - x_min], axis=-1)


def cyxhw_to_xywh(boxes: Boxes) -> Boxes:
    """Converts centre and size to COCO's `bbox`."""
    y, x, height, width = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([x - width / 2, y - height / 2, width, height], axis=-1)


def clip_xyxy(boxes: Boxes, height: Side, width: Side) -> Boxes:
    """Clips corners to a picture of `height` x `width`, or each box to its own; a box outside the picture ends up with
    no area."""
    return np.clip(boxes, 0, np.stack([width, height, width, height], axis=-1))
