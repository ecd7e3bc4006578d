"""The work that is measured, in JAX; `torch_work.py` is its twin, and neither imports the other's framework.

Each function prepares everything and returns the work, to be called many times. A call returns when its result is
computed.
"""

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import centernet_jax
from centernet_data.contract.precision import Device
from centernet_data.detection import COCO_DECODING
from centernet_jax.cpu.compiler import compiler_options
from centernet_jax.detector import Detector
from centernet_jax.train import TrainState
from parity.bench.task import Task

Work = Callable[[], object]


def prepare(device: Device, dtype: str) -> None:
    """From now on, computes on one device of the kind `device` and in `dtype`.

    Raises ValueError if there is no such device.
    """
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or torch would find no memory left
        if jax.default_backend() != device:
            raise ValueError(f"--device {device}: JAX finds no such device here")
    jax.config.update("jax_enable_x64", dtype == "float64")


def forward(task: Task) -> Work:
    """From normalised images to points."""
    state = _fresh(task)
    images = centernet_jax.normalize_images(jnp.asarray(task.batch()["image"]), jnp.dtype(task.dtype))
    # As the detector has them: with what can be computed from the weights alone.
    shape = (task.batch_size, *task.image_size, 3)
    variables = Detector.of(state, task.config, precision=task.precision).variables_for(shape)
    options = compiler_options(jax.default_backend(), jnp.dtype(task.weights_dtype))
    network = jax.jit(state.model.apply, compiler_options=options)
    return lambda: jax.block_until_ready(network(variables, images))


def detection(task: Task) -> Work:
    """From uint8 images of the input's size to boxes, both numpy arrays."""
    detector, images = Detector.of(_fresh(task), task.config, precision=task.precision), task.batch()["image"]
    return lambda: detector.detect(images)


def training(task: Task) -> Work:
    """One whole step on a batch of numpy arrays."""
    state, batch = _fresh(task), task.batch()

    def step() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(centernet_jax.train_step(state, batch))

    return step


def loss(task: Task) -> Work:
    """From objects and logits to targets, losses and the gradient with respect to the logits."""
    losses = centernet_jax.CenterNetLoss(
        targets=task.recipe.targets, normalization=task.recipe.normalization, from_logits=True
    )
    gradient = jax.jit(jax.value_and_grad(lambda logits, objects: losses(logits, objects).mean(0).sum()))
    logits, objects = jnp.asarray(task.points()), jnp.asarray(task.batch()["objects"])
    return lambda: jax.block_until_ready(gradient(logits, objects))


def decoding(task: Task) -> Work:
    """From points with probabilities to boxes."""
    model = centernet_jax.create_model(task.config, points_to_objects_kwargs=COCO_DECODING)
    points = jnp.asarray(task.points())
    decode = jax.jit(lambda points: model.apply({}, points, method="decode"))
    return lambda: jax.block_until_ready(decode(points))


def matrix_product(side: int, dtype: str) -> Work:
    """The product of two square matrices."""
    left, right = (jnp.asarray(np.random.default_rng(i).random((side, side)), dtype) for i in range(2))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(left, right))


def peak_device_bytes() -> int:
    """The most of the accelerator's memory that has been in use."""
    return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]


def _fresh(task: Task) -> TrainState:
    # The only place that decides the precision of JAX's weights.
    state = centernet_jax.create_state(task.config, task.recipe, device=task.device)
    return jax.tree.map(lambda a: a.astype(task.weights_dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, state)


WORK: dict[str, Callable[[Task], Work]] = {
    "forward": forward,
    "detection": detection,
    "training": training,
    "loss": loss,
    "decoding": decoding,
}
