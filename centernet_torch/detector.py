"""A trained model in use: uint8 pictures of any size in, boxes in those pictures' own pixels out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device, Precision, require_precision
from centernet_data.contract.weights_file import read_model_file
from centernet_data.detection import COCO_DECODING, Picture, detect_pictures, show_heatmaps
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
    """The model in evaluation mode, and afterwards in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@dataclass(frozen=True, eq=False)
class Detector:
    """A model with its weights.

    Called with pictures (uint8 RGB [H, W, 3], of any sizes), it returns for each an array [n, 6] of (y_centre,
    x_centre, height, width, class, confidence), best first, in that picture's pixels; `config.classes` names the
    classes. With `flip_test` it looks at each picture and its mirror image. In `precision` "bfloat16", which is for
    accelerators, the network computes in it, with the same weights."""

    config: ModelConfig
    model: CenterNet
    flip_test: bool = False
    precision: Precision = "float32"

    def __post_init__(self):
        require_precision(self.precision)

    @classmethod
    def of(
        cls, state: TrainState, config: ModelConfig, flip_test: bool = False, precision: Precision = "float32"
    ) -> "Detector":
        """The detector that a training state amounts to: a copy of the moving average of its weights."""
        weight = next(state.model.parameters())
        model = create_model(config, points_to_objects_kwargs=COCO_DECODING).to(weight.device, weight.dtype)
        model.load_state_dict(state.ema)
        return cls(config, model, flip_test, precision)

    def __call__(self, pictures: Sequence[Picture], min_confidence: float = 0.1) -> list[Float[np.ndarray, "n 6"]]:
        return detect_pictures(self.detect, pictures, self.config, min_confidence)

    def heatmaps(self, pictures: Sequence[Picture]) -> list[Float[np.ndarray, "h w"]]:
        """For each picture the highest class probability at each of its pixels."""
        return show_heatmaps(self.heatmap, pictures, self.config)

    def detect(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b n 6"]:
        """Images of the network's input size to padded objects in its pixels."""
        return detect(self.model, self._to_device(images), self.flip_test, self.precision).cpu().numpy()

    def heatmap(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b h4 w4"]:
        """Images of the network's input size to the highest class probability of each cell."""
        return heatmap(self.model, self._to_device(images), self.flip_test, self.precision).cpu().numpy()

    def _to_device(self, images: UInt8[np.ndarray, "b h w 3"]) -> UInt8[Tensor, "b h w 3"]:
        return torch.as_tensor(images, device=next(self.model.parameters()).device)

    def save(self, path: str | Path) -> None:
        """Writes `model.safetensors`, which either backend loads."""
        save_weights(path, self.model, self.config)


def load(
    path: str | Path, flip_test: bool = False, precision: Precision = "float32", device: Device | None = None
) -> Detector:
    """The detector in a `model.safetensors`, on a device of the kind `device`; by default of the best kind.

    Raises ValueError, naming the file, if it holds no such model, or if there is no such device.
    """
    tensors, config = read_model_file(path)
    model = create_model(config, device=device, points_to_objects_kwargs=COCO_DECODING)
    load_weights(path, tensors, model)
    return Detector(config, model, flip_test, precision)
