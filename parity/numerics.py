"""The precision and the device that both backends compute with."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import torch

from centernet_data.contract.precision import Device, DType


@contextmanager
def numerics(dtype: DType, device: Device = "cpu") -> Iterator[None]:
    """A context in which JAX computes on `device`, in float64 if asked for, and neither backend uses TF32.

    Raises ValueError if there is no such device.
    """
    try:
        jax_device = jax.devices(device)[0]
    except RuntimeError:
        raise ValueError(f"--device {device}: JAX finds no such device here") from None
    if device == "gpu" and not torch.cuda.is_available():
        raise ValueError("--device gpu: torch finds no such device here")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with ExitStack() as stack:
            stack.enter_context(jax.enable_x64(dtype == "float64"))
            stack.enter_context(jax.default_matmul_precision("highest"))
            stack.enter_context(jax.default_device(jax_device))
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def device_kind() -> Device:
    """The kind of the device that JAX computes on."""
    (device,) = jnp.zeros(()).devices()
    return "gpu" if device.platform == "gpu" else "cpu"


def torch_device() -> str:
    """torch's name for the device that JAX computes on."""
    return "cuda" if device_kind() == "gpu" else "cpu"
