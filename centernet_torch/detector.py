"""A trained model in use: uint8 pictures of any size in, boxes in those pictures' own pixels out."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from centernet_data.contract.inputs import check_uint8_images
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.options import require_flag
from centernet_data.contract.precision import Device, Precision, require_device, require_precision
from centernet_data.contract.weights_file import read_model_file
from centernet_data.detection import COCO_DECODING, check_class_count, detect_pictures, show_heatmaps
from centernet_torch.network import CenterNet, average_flipped, normalize_images
from centernet_torch.train import TrainState, create_model
from centernet_torch.weights import load_weights, save_weights


@torch.inference_mode()
def detect(
    model: CenterNet, images: UInt8[Tensor, "b h w 3"], flip_test: bool = False, precision: Precision = "float32"
) -> Float[Tensor, "b n 6"]:
    """uint8 RGB images to objects in pixels of the input, best first: normalise, network, peaks, top-k, boxes.

    With `flip_test` the network also sees the mirror images, and both results are averaged. In `precision` "bfloat16"
    the network computes up to its logits, everything else in float32; "float32" stands for the precision of the
    weights."""
    return model.decode(_points(model, images, flip_test, precision))


@torch.inference_mode()
def heatmap(
    model: CenterNet, images: UInt8[Tensor, "b h w 3"], flip_test: bool = False, precision: Precision = "float32"
) -> Float[Tensor, "b h4 w4"]:
    """uint8 RGB images to the highest class probability of each cell, with the options of `detect`."""
    return _points(model, images, flip_test, precision)[:, :-4].amax(1)


def _points(
    model: CenterNet, images: UInt8[Tensor, "b h w 3"], flip_test: bool, precision: Precision
) -> Float[Tensor, "b p h4 w4"]:
    weight = next(model.parameters())
    images = normalize_images(images, weight.dtype)
    with _evaluating(model), torch.autocast(weight.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        points = model(images)
        return average_flipped(points, model(images.flip(-1))) if flip_test else points


@contextmanager
def _evaluating(model: CenterNet) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode that it was in: when the last thread is done with it."""
    with _LOCK:
        users, training = _IN_USE.get(model, (0, []))
        training = training if users else [module for module in model.modules() if module.training]
        _IN_USE[model] = users + 1, training
        model.eval()
    try:
        yield
    finally:
        with _LOCK:
            users, training = _IN_USE.pop(model)
            if users > 1:
                _IN_USE[model] = users - 1, training
            else:
                for module in training:
                    module.training = True


_LOCK = Lock()
_IN_USE: dict[CenterNet, tuple[int, list[torch.nn.Module]]] = {}  # how many use a model; what is to be in training mode


@dataclass(frozen=True, eq=False)
class Detector:
    """A model with its weights.

    Called with a list of pictures of any sizes (uint8 arrays, RGB [H, W, 3] or grey [H, W], or PIL images), it returns
    for each an array [n, 6] of (y_centre, x_centre, height, width, class, confidence), best first, in that picture's
    pixels; `config.classes` names the classes. With `flip_test` it looks at each picture and its mirror image. In
    `precision` "bfloat16", which is for accelerators, the network computes in it, with the same weights. Several
    threads may call one detector. Raises ValueError for other options and other pictures."""

    config: ModelConfig
    model: CenterNet
    flip_test: bool = False
    precision: Precision = "float32"

    def __post_init__(self):
        require_flag("flip_test", self.flip_test)
        require_precision(self.precision)
        check_class_count(self.config, self.model.num_classes)

    @classmethod
    def of(
        cls, state: TrainState, config: ModelConfig, flip_test: bool = False, precision: Precision = "float32"
    ) -> "Detector":
        """The detector that a training state amounts to: a copy of the moving average of its weights.

        Raises ValueError for a state of another number of classes."""
        check_class_count(config, state.model.num_classes)
        weight = next(state.model.parameters())
        model = create_model(config, points_to_objects_kwargs=COCO_DECODING).to(weight.device, weight.dtype)
        model.load_state_dict(state.ema)
        return cls(config, model.eval(), flip_test, precision)

    def __call__(self, pictures: Iterable[Any], min_confidence: float = 0.1) -> list[Float[np.ndarray, "n 6"]]:
        return detect_pictures(self.detect, pictures, self.config, min_confidence)

    def heatmaps(self, pictures: Iterable[Any]) -> list[Float[np.ndarray, "h w"]]:
        """For each picture the highest class probability at each of its pixels."""
        return show_heatmaps(self.heatmap, pictures, self.config)

    def detect(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b n 6"]:
        """uint8 RGB images of one size, multiples of 32, to padded objects in their pixels. Raises ValueError for any
        other array."""
        return detect(self.model, self._to_device(images), self.flip_test, self.precision).cpu().numpy()

    def heatmap(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b h4 w4"]:
        """uint8 RGB images of one size, multiples of 32, to the highest class probability of each cell. Raises
        ValueError for any other array."""
        return heatmap(self.model, self._to_device(images), self.flip_test, self.precision).cpu().numpy()

    def _to_device(self, images: UInt8[np.ndarray, "b h w 3"]) -> UInt8[Tensor, "b h w 3"]:
        check_uint8_images(images)
        writeable = np.require(images, requirements=["C", "W"])  # torch takes no negative strides, and warns of others
        return torch.as_tensor(writeable, device=next(self.model.parameters()).device)

    def save(self, path: str | Path) -> None:
        """Writes `model.safetensors`, which either backend loads."""
        save_weights(path, self.model, self.config)


def load(
    path: str | Path, flip_test: bool = False, precision: Precision = "float32", device: Device | None = None
) -> Detector:
    """The detector in a `model.safetensors`, on a device of the kind `device`; by default of the best kind.

    Raises ValueError, naming the file, if it holds no such model, or if there is no such device.
    """
    require_device(device)
    tensors, config = read_model_file(path)
    model = create_model(config, device=device, points_to_objects_kwargs=COCO_DECODING)
    load_weights(path, tensors, model)
    return Detector(config, model.eval(), flip_test, precision)
