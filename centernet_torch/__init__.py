"""CenterNet ("Objects as Points", arXiv:1904.07850) in torch."""

from centernet_data import __version__
from centernet_torch.backbone import HeadlessResnet34, ResnetBackbone, UpscaleTwiceLayer
from centernet_torch.checkpoints import Checkpointer
from centernet_torch.convert import ObjectsToPoints, PointsToObjects
from centernet_torch.detector import Detector, load
from centernet_torch.head import CenterNetHead
from centernet_torch.loss import CenterNetLoss
from centernet_torch.network import CenterNet, PointsNonMaxSuppression, ScaleObjects, normalize_images
from centernet_torch.train import (
    TrainState,
    all_gather,
    broadcast_from_first,
    create_model,
    create_state,
    join_processes,
    train_step,
)

__all__ = [
    "CenterNet",
    "CenterNetHead",
    "CenterNetLoss",
    "Checkpointer",
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
    "join_processes",
    "load",
    "normalize_images",
    "train_step",
]
