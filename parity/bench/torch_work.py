"""The work that is measured, in torch; `jax_work.py` is its twin, and neither imports the other's framework.

Each function prepares everything and returns the work, to be called many times. A call returns when its result is
computed.

torch runs at its best: channels_last (as in the backend itself), inference mode where nothing is trained, and cuDNN's
own search for the fastest kernels. With `compiled` it uses `torch.compile`, in inference with frozen weights, so that
Inductor folds batch normalisation into the convolutions.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

import centernet_torch
from centernet_data.contract.precision import Device
from centernet_data.detection import COCO_DECODING
from centernet_torch.devices import find_device
from centernet_torch.train import TrainState
from parity.bench.task import Task

Work = Callable[[], object]
Result = TypeVar("Result")
FROZEN = {"freezing": True}


def prepare(device: Device, dtype: str) -> None:
    """From now on, computes on one device of the kind `device` and in `dtype`. float32 may use TF32, as it may in JAX.

    Raises ValueError if there is no such device.
    """
    find_device(device)
    torch.set_default_dtype(torch.float64 if dtype == "float64" else torch.float32)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def forward(task: Task, compiled: bool = False) -> Work:
    """From normalised images to points."""
    model = _fresh(task).model.eval()
    if compiled:
        model.compile(options=FROZEN)
    images = centernet_torch.normalize_images(
        _tensor(task.batch()["image"], task.device), getattr(torch, task.weights_dtype)
    )

    @torch.inference_mode()
    def network() -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=task.precision == "bfloat16"):
            return _finished(model(images))

    return network


def detection(task: Task, compiled: bool = False) -> Work:
    """From uint8 images of the input's size to boxes, both numpy arrays."""
    detector = centernet_torch.Detector.of(_fresh(task), task.config, precision=task.precision)
    images = task.batch()["image"]
    if compiled:
        detector.model.compile(options=FROZEN)
    return lambda: detector.detect(images)


def training(task: Task, compiled: bool = False) -> Work:
    """One whole step on a batch of tensors that share numpy's memory."""
    state, batch = _fresh(task), {name: torch.from_numpy(array) for name, array in task.batch().items()}
    if compiled:
        state.model.compile()

    def step() -> None:
        nonlocal state
        state, metrics = centernet_torch.train_step(state, batch)
        _finished(metrics)

    return step


def loss(task: Task, compiled: bool = False) -> Work:
    """From objects and logits to targets, losses and the gradient with respect to the logits."""
    losses = centernet_torch.CenterNetLoss(
        targets=task.recipe.targets, normalization=task.recipe.normalization, from_logits=True
    )
    if compiled:
        losses.compile()
    logits, objects = _points(task).requires_grad_(), _tensor(task.batch()["objects"], task.device)
    return lambda: _finished(torch.autograd.grad(losses(logits, objects).mean(0).sum(), logits))


def decoding(task: Task, compiled: bool = False) -> Work:
    """From points with probabilities to boxes."""
    decode = centernet_torch.create_model(
        task.config, points_to_objects_kwargs=COCO_DECODING, device=task.device
    ).decode
    decode, points = torch.compile(decode) if compiled else decode, _points(task)
    return torch.inference_mode()(lambda: _finished(decode(points)))


def matrix_product(side: int, dtype: str, device: Device) -> Work:
    """The product of two square matrices."""
    left, right = (
        _tensor(np.random.default_rng(i).random((side, side)), device).to(getattr(torch, dtype)) for i in range(2)
    )
    return lambda: _finished(left @ right)


def peak_device_bytes() -> int:
    """The most of the accelerator's memory that has been in use."""
    return torch.cuda.max_memory_allocated()


def _fresh(task: Task) -> TrainState:
    return centernet_torch.create_state(
        task.config, task.recipe, device=task.device
    )  # in the precision set by `prepare`


def _tensor(array: np.ndarray, device: Device) -> Tensor:
    return torch.from_numpy(array).to(find_device(device))


def _points(task: Task) -> Tensor:
    return _tensor(task.points(), task.device).permute(0, 3, 1, 2)  # channels_last, as the network's output is


def _finished(result: Result) -> Result:
    """The result, once it is computed."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


WORK: dict[str, Callable[..., Work]] = {
    "forward": forward,
    "detection": detection,
    "training": training,
    "loss": loss,
    "decoding": decoding,
}
