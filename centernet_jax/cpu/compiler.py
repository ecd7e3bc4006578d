"""What XLA is told when it compiles for a CPU."""

import os
import warnings
from functools import cache
from importlib.metadata import version

import jax
import jax.numpy as jnp

# The YNNPACK of these jaxlibs computes some products that end in a sum wrongly, or crashes (issues 39103, 39257 and
# 40412 of jax-ml/jax): float64 266342400 instead of 268435456. It does neither if it leaves reductions alone.
WRONG_REDUCTIONS = ("0.10.2", "0.11.0")
OPTION = "xla_cpu_experimental_ynn_fusion_type"
FLAG = f"--{OPTION}=-reduce"  # for XLA_FLAGS, which can take a kind away; an option of one program lists what is left
ALL_BUT_REDUCTIONS = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
# In float32 its convolutions and products are the slower ones too: with them a training step of ResNet-34 takes 2.1 s
# instead of 1.6 (8 x 256 x 256), a detection 106 ms instead of 81 (1 x 256 x 256), on two cores. In float64 a step
# takes ten times as long without them (ResNet-18, 4 x 96 x 96: 3.0 s instead of 0.3).
NOTHING = ""


def compiler_options(platform: str, dtype: jnp.dtype) -> dict[str, str]:
    """The options of `jax.jit` for a program of `dtype` on `platform`; those that this jaxlib does not know are left
    out."""
    if platform != "cpu":
        return {}
    wanted = NOTHING if dtype == jnp.float32 else ALL_BUT_REDUCTIONS
    return {OPTION: wanted} if _is_known(OPTION, wanted) else {}


def avoid_wrong_reductions() -> None:
    """Adds to the environment's XLA_FLAGS what keeps all of JAX's programs from computing wrongly on a CPU.

    For a program to call before JAX computes anything. Where XLA_FLAGS has the option already, or this jaxlib computes
    rightly, it changes nothing.
    """
    if _reduces_wrongly() and OPTION not in _flags():
        os.environ["XLA_FLAGS"] = f"{_flags()} {FLAG}".strip()


@cache  # once
def warn_of_wrong_reductions() -> None:
    """Warns where JAX's programs, other than this package's own, may compute wrongly on a CPU."""
    if _reduces_wrongly() and OPTION not in _flags():
        warnings.warn(
            f"jaxlib {version('jaxlib')} computes some sums wrongly on a CPU (github.com/jax-ml/jax/issues/39103). The "
            "training steps and detectors of centernet_jax avoid that; functions that you jit yourself do not. Set the "
            f"environment variable XLA_FLAGS={FLAG} before JAX starts, or install another jaxlib.",
            RuntimeWarning,
            stacklevel=3,
        )


def _reduces_wrongly() -> bool:
    return version("jaxlib") in WRONG_REDUCTIONS


def _flags() -> str:
    return os.environ.get("XLA_FLAGS", "")


@cache
def _is_known(name: str, value: str) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except RuntimeError:  # what XLA raises for an option that it does not have
        return False
    return True
