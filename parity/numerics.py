"""The precision in which both backends compute, and the device on which they do."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import torch

from centernet_data.contract.precision import Device, DType


@contextmanager
def numerics(dtype: DType, device: Device = "cpu") -> Iterator[None]:
    """float64 switched on in JAX if asked for, TF32 off in both, and JAX on `device`. ValueError if it is not there."""
    try:
        jax_device = jax.devices(device)[0]
    except RuntimeError:
        raise ValueError(f"--device {device}: JAX finds no such device here") from None
    if device == "gpu" and not torch.cuda.is_available():
        raise ValueError("--device gpu: torch finds no such device here")
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        with ExitStack() as stack:
            stack.enter_context(jax.enable_x64(dtype == "float64"))
            stack.enter_context(jax.default_matmul_precision("highest"))
            stack.enter_context(jax.default_device(jax_device))
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def torch_device() -> str:
    """torch's name for the device on which JAX computes."""
    (device,) = jnp.zeros(()).devices()
    return "cuda" if device.platform == "gpu" else "cpu"
