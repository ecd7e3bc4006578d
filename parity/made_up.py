"""What needs no network, compared on made-up input: targets, losses, and the decoding of a map."""

from collections.abc import Iterator
from itertools import product
from typing import get_args

import jax
import numpy as np
import torch

import centernet_jax
import centernet_jax.network
import centernet_torch
import centernet_torch.network
from centernet_data.contract.recipe import Normalization
from centernet_data.contract.targets import Targets
from parity.difference import Difference, difference
from parity.numerics import torch_device
from parity.stages import Tensors, nhwc

GRID = (48, 64)  # cells; large enough that every mode draws peaks of several widths
NUM_CLASSES = 3
# Within the clamp of the losses to [1e-4, 1 - 1e-4], at its bounds, and beyond it.
PROBABILITIES = (0, 9e-5, 1e-4, 2e-4, 1e-3, 5e-3, 0.02, 0.3, 0.7, 0.98, 0.995, 0.999, 0.9998, 1 - 1e-4, 0.99991, 1)


def made_up_objects(images: int, hw: tuple[int, int], dtype: str, count: int = 20) -> np.ndarray:
    """Objects [images, count + 4, 6] on a grid or in a picture of `hw`, of any size and shape; some beyond the frame,
    some in one cell. The last image has none."""
    rng = np.random.default_rng(0)
    objects = np.zeros((images, count + 4, 6))
    objects[:-1, :count, :2] = rng.uniform(-0.05, 1.05, (images - 1, count, 2)) * hw
    objects[:-1, :count, 2:4] = np.exp(rng.uniform(np.log(0.01), 0, (images - 1, count, 2))) * hw
    objects[:-1, :count, 4] = rng.integers(0, NUM_CLASSES, (images - 1, count))
    objects[:-1, :count, 5] = 1
    objects[:-1, 1, :2] = objects[:-1, 0, :2]
    return objects.astype(dtype)


def compare_target_modes(dtype: str, bound: float) -> Iterator[Difference]:
    """The heatmaps of every mode, `fixed` with several kernels, from objects of many sizes."""
    cells = made_up_objects(4, GRID, dtype)
    tensor = torch.as_tensor(cells, device=torch_device())
    for mode in get_args(Targets):
        ours, theirs = {}, {}
        for kernel in (0, 3, 7) if mode == "fixed" else (3,):
            options = {"hw": GRID, "num_classes": NUM_CLASSES, "smooth_kernel_size": kernel, "targets": mode}
            points = jax.jit(centernet_jax.ObjectsToPoints(**options).__call__)(cells)
            ours[f"kernel {kernel}"] = np.asarray(points)[..., :-4]
            theirs[f"kernel {kernel}"] = nhwc(centernet_torch.ObjectsToPoints(**options)(tensor))[..., :-4]
        yield difference(f"{mode} heatmap", ours, theirs, bound)


def compare_losses(dtype: str, bound: float) -> Iterator[Difference]:
    """All losses of made-up points, and their gradients: from logits and from probabilities, normalised by the batch
    and by the image."""
    objects = made_up_objects(4, (4 * GRID[0], 4 * GRID[1]), dtype)
    for from_logits, normalization in product((True, False), get_args(Normalization)):
        points = _points(from_logits, dtype)
        options = {"from_logits": from_logits, "normalization": normalization, "targets": "adaptive"}
        ours, theirs = _jax_loss(options, points, objects), _torch_loss(options, points, objects)
        name = f"loss of {'logits' if from_logits else 'probabilities'} by {normalization}"
        yield difference(name, {"losses": ours["losses"]}, {"losses": theirs["losses"]}, bound)
        yield difference(f"{name}: gradient", {"points": ours["points"]}, {"points": theirs["points"]}, bound)


def _points(from_logits: bool, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(4, *GRID, NUM_CLASSES + 4)) * 5
    if not from_logits:
        points[..., :-4] = rng.choice(PROBABILITIES, points[..., :-4].shape)
    return points.astype(dtype)


def _jax_loss(options: dict, points: np.ndarray, objects: np.ndarray) -> Tensors:
    loss = centernet_jax.CenterNetLoss(**options)

    @jax.jit
    def both(points, objects):
        gradient = jax.grad(lambda points: loss(points, objects).mean(0).sum())(points)
        return {"losses": loss(points, objects), "points": gradient}

    return jax.device_get(both(points, objects))


def _torch_loss(options: dict, points: np.ndarray, objects: np.ndarray) -> Tensors:
    tensor = torch.as_tensor(points, device=torch_device()).permute(0, 3, 1, 2).requires_grad_()
    losses = centernet_torch.CenterNetLoss(**options)(tensor, torch.as_tensor(objects, device=torch_device()))
    (gradient,) = torch.autograd.grad(losses.mean(0).sum(), tensor)
    return {"losses": losses.detach().cpu().numpy(), "points": nhwc(gradient)}


def compare_decoding(image_size: tuple[int, int], num_classes: int, dtype: str) -> Iterator[Difference]:
    """The flip test's average, peaks and boxes of a synthetic map full of plateaus and ties: bit-identical."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, image_size[0] // 4, image_size[1] // 4, num_classes + 4)).astype(dtype)
    points[..., :-4] = rng.integers(0, 9, points[..., :-4].shape) / 8
    tensor = torch.as_tensor(points, device=torch_device()).permute(0, 3, 1, 2)
    ours = np.asarray(jax.jit(centernet_jax.network.average_flipped)(points, points[::-1]))
    theirs = nhwc(centernet_torch.network.average_flipped(tensor, tensor.flip(0)))
    yield difference("flip test", {"points": ours}, {"points": theirs}, 0)
    ours = np.asarray(jax.jit(centernet_jax.PointsNonMaxSuppression().__call__)(points))
    peaks = centernet_torch.PointsNonMaxSuppression()(tensor)
    yield difference("peaks", {"points": ours}, {"points": nhwc(peaks)}, 0)
    # One box fewer than the first image has cells of that confidence: there ties decide, in the other the threshold.
    options = {"objects_per_image": int((ours[0, ..., :-4] >= 0.875).sum()) - 1, "min_confidence": 0.875}
    scaled = jax.jit(lambda p: centernet_jax.ScaleObjects()(centernet_jax.PointsToObjects(**options)(p)))
    boxes = centernet_torch.ScaleObjects()(centernet_torch.PointsToObjects(**options)(peaks))
    yield difference("boxes", {"objects": np.asarray(scaled(ours))}, {"objects": boxes.cpu().numpy()}, 0)
