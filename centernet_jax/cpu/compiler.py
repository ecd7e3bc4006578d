"""What XLA is told when it compiles training or detection."""

from functools import cache

import jax
import jax.numpy as jnp

# jaxlib 0.10.2 hands float32 convolutions and products on a CPU to YNNPACK, whose kernels are the slower ones: with
# them a training step of ResNet-34 takes 2.1 s instead of 1.6 (8 x 256 x 256), a detection 106 ms instead of 81 (1 x
# 256 x 256), on two cores. In float64 everything takes three times as long without them.
WITHOUT_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compiler_options(platform: str, dtype: jnp.dtype) -> dict[str, str]:
    """The options of `jax.jit` for a program of `dtype` on `platform`; those that this jaxlib does not know are left
    out."""
    wanted = WITHOUT_YNNPACK if platform == "cpu" and dtype == jnp.float32 else {}
    return {name: value for name, value in wanted.items() if _is_known(name, value)}


@cache
def _is_known(name: str, value: str) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except RuntimeError:  # what XLA raises for an option that it does not have
        return False
    return True
