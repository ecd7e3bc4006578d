"""CenterNet ("Objects as Points", arXiv:1904.07850) in JAX/Flax."""

from centernet_data import __version__
from centernet_jax.backbone import HeadlessResnet34, ResnetBackbone, UpscaleTwiceLayer
from centernet_jax.checkpoints import from_arrays, read_older, to_arrays
from centernet_jax.convert import ObjectsToPoints, PointsToObjects
from centernet_jax.detector import Detector, load
from centernet_jax.devices import all_gather, broadcast_from_first, join_processes
from centernet_jax.head import CenterNetHead
from centernet_jax.loss import CenterNetLoss
from centernet_jax.network import CenterNet, PointsNonMaxSuppression, ScaleObjects, normalize_images
from centernet_jax.train import TrainState, create_model, create_state, train_step

__all__ = [
    "CenterNet",
    "CenterNetHead",
    "CenterNetLoss",
    "Detector",
    "HeadlessResnet34",
    "ObjectsToPoints",
    "PointsNonMaxSuppression",
    "PointsToObjects",
    "ResnetBackbone",
    "ScaleObjects",
    "TrainState",
    "UpscaleTwiceLayer",
    "__version__",
    "all_gather",
    "broadcast_from_first",
    "create_model",
    "create_state",
    "from_arrays",
    "join_processes",
    "load",
    "normalize_images",
    "read_older",
    "to_arrays",
    "train_step",
]
