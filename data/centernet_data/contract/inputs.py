"""Checks of arrays at the entrances: each raises ValueError, in the same words for both backends.

Arrays are those of any framework: what is looked at are their `shape` and `dtype`. A backend's `host_values` gives the
values as an array of numpy, or None where nobody can look at them, as while JAX traces a function.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

HostValues = Callable[[Any], np.ndarray | None]
Form = tuple[str | int, ...]  # the names of an array's axes, or their lengths where those are fixed

UINT8, FLOATING = "uint8", "floating point"
IMAGES: Form = ("B", "H", "W", 3)
OBJECTS: Form = ("B", "N", 6)
NHWC, NCHW = "NHWC", "NCHW"


def require_array(name: str, array: Any, kind: str, form: Form, hint: str = "") -> None:
    """Raises ValueError unless it is an array of that kind of number and that form; `hint` says what helps."""
    shape, dtype = getattr(array, "shape", None), _dtype(array)
    wanted = f"{name} must be {kind} {_shown(form)}"
    if shape is None or not dtype:
        raise ValueError(f"{wanted}, not {type(array).__name__}{hint}")
    right_kind = "float" in dtype if kind == FLOATING else dtype == kind
    fits = len(shape) == len(form) and all(own == n for own, n in zip(shape, form, strict=True) if isinstance(n, int))
    if not (right_kind and fits):
        raise ValueError(f"{wanted}, not {dtype} {_shown(shape)}{hint}")


def check_uint8_images(images: Any) -> None:
    """uint8 RGB [B, H, W, 3], B at least 1, H and W multiples of 32."""
    require_array("images", images, UINT8, IMAGES)
    if not len(images):
        raise ValueError("images must be at least one, not 0")
    _require_multiples_of_32(images.shape[1:3])


def check_network_images(images: Any, layout: str) -> None:
    """Normalised floating point images in that layout, H and W multiples of 32."""
    form: Form = ("B", "H", "W", 3) if layout == NHWC else ("B", 3, "H", "W")
    shape: tuple[int, ...] = getattr(images, "shape", ())
    hint = "; normalize_images makes them of uint8 [B, H, W, 3]"
    if len(shape) == 4 and shape[1 if layout == NHWC else 3] == 3:
        hint += f", and this network's layout is {layout}"
    require_array("the network's images", images, FLOATING, form, hint)
    _require_multiples_of_32(shape[1:3] if layout == NHWC else shape[2:4])


def _require_multiples_of_32(hw: tuple[int, ...]) -> None:
    if hw[0] % 32 or hw[1] % 32 or 0 in hw:
        raise ValueError(f"height and width must be multiples of 32, not {hw[0]} x {hw[1]}")


def check_points(points: Any, layout: str) -> None:
    """Floating point maps of at least one class, two offsets and two sizes, in that layout."""
    form: Form = ("B", "H", "W", "C+4") if layout == NHWC else ("B", "C+4", "H", "W")
    require_array("points", points, FLOATING, form)
    channels = points.shape[form.index("C+4")]
    if channels < 5:
        raise ValueError(f"points must have a channel for each class and 4 more, {_shown(form)}, not {channels} in all")


def check_objects(objects: Any, host_values: HostValues, num_classes: int) -> None:
    """Floating point rows (y_centre, x_centre, height, width, class, confidence) [B, N, 6]. Real rows have confidence
    1, a finite box that is not turned inside out, and a class below `num_classes`; the others have confidence 0."""
    require_array("objects", objects, FLOATING, OBJECTS)
    if (values := host_values(objects)) is None:
        return
    values = np.asarray(values, np.float64)
    boxes, label, confidence = values[..., :4], values[..., 4], values[..., 5]
    real = confidence == 1
    _refuse_rows(~real & (confidence != 0), values, "the confidence must be 1 in a real row and 0 in padding")
    _refuse_rows(real & ~np.isfinite(boxes).all(-1), values, "the box must be finite")
    _refuse_rows(real & (boxes[..., 2:] < 0).any(-1), values, "height and width must be at least 0")
    wrong = ~((label >= 0) & (label < num_classes) & (label == np.floor(label)))
    _refuse_rows(real & wrong, values, f"the class must be a whole number from 0 to {num_classes - 1}")


def _refuse_rows(wrong: np.ndarray, values: np.ndarray, rule: str) -> None:
    if wrong.any():
        image, row = np.argwhere(wrong)[0]
        found = ", ".join(f"{value:g}" for value in values[image, row])
        raise ValueError(f"objects[{image}, {row}] = ({found}): {rule}")


def check_sample(name: str, objects: Any, most_objects: Any, num_classes: int) -> None:
    """The rows of one picture of a data set, [N, 6]: those of `check_objects`, no more than `most_objects`. Raises
    ValueError that names the picture."""
    require_array(f"{name}: objects", objects, FLOATING, ("N", 6))
    try:
        check_objects(objects[None], np.asarray, num_classes)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).replace('objects[0, ', 'objects[', 1)}") from None
    if not isinstance(most_objects, int | np.integer) or len(objects) > most_objects:
        raise ValueError(f"{name}: {len(objects)} objects, but the data set's most_objects is {most_objects}")


def check_picture(name: str, picture: Any, hw: tuple[int, int], reduction: int) -> None:
    """One picture of a data set, uint8 RGB, of its sample's size `hw` reduced. Raises ValueError that names it."""
    require_array(f"{name}: the picture", picture, UINT8, ("H", "W", 3))
    wanted = -(-hw[0] // reduction), -(-hw[1] // reduction)
    if tuple(picture.shape[:2]) != wanted:
        found = f"{picture.shape[1]} x {picture.shape[0]} pixels (width x height)"
        raise ValueError(
            f"{name}: the picture is {found}, but its sample of {hw[1]} x {hw[0]} with reduction {reduction} "
            f"makes {wanted[1]} x {wanted[0]}"
        )


def check_batch(batch: Any, host_values: HostValues, num_classes: int) -> None:
    """A batch of training, {"image": uint8 RGB [B, H, W, 3], "objects": [B, N, 6]}."""
    if not isinstance(batch, Mapping) or not {"image", "objects"} <= set(batch):
        found = sorted(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(f'a batch must be {{"image": uint8 [B, H, W, 3], "objects": [B, N, 6]}}, not {found}')
    require_array('batch["image"]', batch["image"], UINT8, IMAGES)
    check_objects(batch["objects"], host_values, num_classes)
    images, own = batch["image"].shape, batch["objects"].shape
    _require_multiples_of_32(images[1:3])
    require_same_batch("pictures", images[0], own[0])


def require_same_batch(what: str, count: int, objects: int) -> None:
    """Raises ValueError unless there are as many rows of objects as images, and at least one."""
    if count != objects or not count:
        raise ValueError(f"there are {what} of {count} images and objects of {objects}: give as many, and at least one")


def check_probabilities(extremes: np.ndarray | None) -> None:
    """Raises ValueError if the least or the largest class probability is outside [0, 1]; NaN and None pass."""
    if extremes is not None and (extremes[0] < 0 or extremes[1] > 1):
        raise ValueError(
            f"the class channels of the points must be probabilities, but reach from {extremes[0]:g} to "
            f"{extremes[1]:g}; for logits, as of return_logits=True, give CenterNetLoss(from_logits=True)"
        )


def require_same_shape(name: str, shape: tuple[int, ...], other: str, other_shape: tuple[int, ...]) -> None:
    """Raises ValueError if two arrays differ in shape, which broadcasting would hide."""
    if tuple(shape) != tuple(other_shape):
        raise ValueError(f"{name} {_shown(shape)} and {other} {_shown(other_shape)} must have the same shape")


def _dtype(array: Any) -> str:
    return str(getattr(array, "dtype", "")).removeprefix("torch.")


def _shown(form: Form) -> str:
    return f"[{', '.join(map(str, form))}]"
