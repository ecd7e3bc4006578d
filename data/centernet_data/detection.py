"""Runs pictures of any size through a network of one input size; both backends' detectors use it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from centernet_data.contract.boxes import MOST_DETECTIONS, STRIDE, clip_xyxy, cyxhw_to_xyxy, xyxy_to_cyxhw
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.options import require_confidence
from centernet_data.imaging.geometry import compose, fit, invert, move_objects, warp
from centernet_data.imaging.given import given_pictures

Picture = UInt8[np.ndarray, "_ _ 3"]  # each with its own height and width
BATCH_SIZE = 16
COCO_DECODING = {"objects_per_image": MOST_DETECTIONS, "min_confidence": 0.0}  # options of PointsToObjects


def check_class_count(config: ModelConfig, num_classes: int) -> None:
    """Raises ValueError if a model does not have the classes that `config` names."""
    if num_classes != len(config.classes):
        raise ValueError(f"the model has {num_classes} classes, but config.classes names {len(config.classes)}")


def detect_pictures(
    network: Callable[[UInt8[np.ndarray, "b h w 3"]], Float[np.ndarray, "b n 6"]],
    pictures: Iterable[Any],
    config: ModelConfig,
    min_confidence: float,
) -> list[Float[np.ndarray, "_ 6"]]:
    """Detects the objects of each picture: best first, in the picture's own pixels, clipped to it.

    `network` maps images (uint8 RGB at the input's size) to objects in pixels of the input. Raises ValueError for a
    `min_confidence` outside [0, 1] and for what `given_pictures` does not take.
    """
    require_confidence(min_confidence)
    found = []
    for batch in in_batches(given_pictures(pictures)):
        for picture, objects in zip(batch, network(frame(batch, config)), strict=True):
            objects = objects[(objects[:, 5] > 0) & (objects[:, 5] >= min_confidence)].astype(np.float64)
            back = invert(fit(picture.shape[:2], config.image_size, config.resize))
            found.append(clip_objects(move_objects(objects, back), picture.shape[:2]))
    return found


def show_heatmaps(
    network: Callable[[UInt8[np.ndarray, "b h w 3"]], Float[np.ndarray, "b h4 w4"]],
    pictures: Iterable[Any],
    config: ModelConfig,
) -> list[Float[np.ndarray, "_ _"]]:
    """Computes, for each pixel of each picture, the highest class probability, in [0, 1].

    `network` maps images (uint8 RGB at the input's size) to the highest class probability of each cell. Raises
    ValueError for what `given_pictures` does not take.
    """
    maps = []
    for batch in in_batches(given_pictures(pictures)):
        for picture, heat in zip(batch, network(frame(batch, config)), strict=True):
            cell = np.array([[STRIDE, 0.0, 0.0], [0.0, STRIDE, 0.0]])
            back = invert(fit(picture.shape[:2], config.image_size, config.resize))
            grey = np.repeat((heat * 255).astype(np.uint8)[..., None], 3, axis=2)
            maps.append(warp(grey, compose(back, cell), picture.shape[:2], padding=None)[..., 0] / 255)
    return maps


def frame(pictures: Sequence[Picture], config: ModelConfig) -> UInt8[np.ndarray, "b h w 3"]:
    """Resizes the pictures to the network's input size in the way the model was trained with."""
    return np.stack([warp(p, fit(p.shape[:2], config.image_size, config.resize), config.image_size) for p in pictures])


def in_batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yields full batches and a smaller last one, so that a network is compiled for at most two batch sizes."""
    rest = iter(pictures)
    while batch := list(islice(rest, BATCH_SIZE)):
        yield batch


def clip_objects(objects: Float[np.ndarray, "n 6"], hw: tuple[int, int]) -> Float[np.ndarray, "m 6"]:
    """Clips boxes to the picture and drops those entirely outside."""
    boxes = xyxy_to_cyxhw(clip_xyxy(cyxhw_to_xyxy(objects[:, :4]), *hw))
    return np.column_stack([boxes, objects[:, 4:]])[(boxes[:, 2:] > 0).all(1)]
