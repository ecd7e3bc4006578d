"""JAX computes rightly here: two programs that jaxlib 0.10.2 by itself computes wrongly on a CPU, or crashes in."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from centernet_jax.cpu.compiler import compiler_options

ROOT = Path(__file__).parents[2]
# github.com/jax-ml/jax/issues/39103: with 0.10.2 266342400 and 1065369600.
SUM = """
import jax, jax.numpy as jnp, numpy as np
def last_square(x):
    return jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=x.dtype) @ row) ** 2))(x)[-1]
def numbers(count, dtype):
    return jnp.zeros((count, 3), dtype).at[:, 0].set(jnp.arange(count, dtype=dtype))
"""
# github.com/jax-ml/jax/issues/40412: with 0.10.2 a segmentation fault.
CRASH = """
a = np.ones((3, 1, 2, 2, 8, 8, 8), np.float32)
print(float(jax.jit(lambda a, b: jnp.sum(a * b, axis=3))(a, a).sum()))
"""


def run(code, **settings):
    """What the code prints in a process without XLA's flags; stderr is not read."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(
        command, env=environment | settings, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("dtype", "count"), [(np.float64, 16_385), (np.float32, 32_769)])
def test_sums_are_right_in_the_tests(dtype, count):
    scope = {}
    exec(SUM, scope)
    with jax.enable_x64(True):
        numbers = scope["numbers"](count, dtype)
        assert jax.jit(scope["last_square"])(numbers) == (count - 1.0) ** 2
        options = compiler_options("cpu", jnp.dtype(dtype))
        assert jax.jit(scope["last_square"], compiler_options=options)(numbers) == (count - 1.0) ** 2


def test_sums_are_right_in_the_program():
    code = f"""
from centernet.backends import open_backend
open_backend("jax")
{SUM}
print(float(jax.jit(last_square)(numbers(32_769, jnp.float32))))
{CRASH}"""
    assert run(code) == [str(32_768.0**2), str(6.0 * 512 * 2)]


def test_whoever_imports_the_backend_is_warned_once_and_its_own_programs_are_right():
    code = f"""
import warnings
from centernet_jax.cpu.compiler import WRONG_REDUCTIONS, compiler_options
from centernet_jax.devices import find_devices
{SUM}
jax.config.update("jax_enable_x64", True)
with warnings.catch_warnings(record=True) as caught:
    find_devices()
    find_devices("cpu")
print(len(caught) == int(jax.lib.__version__ in WRONG_REDUCTIONS))
print(all("XLA_FLAGS=--xla_cpu" in str(one.message) and one.category is RuntimeWarning for one in caught))
options = compiler_options("cpu", jnp.dtype("float64"))
print(float(jax.jit(last_square, compiler_options=options)(numbers(16_385, float))))
"""
    assert run(code, JAX_PLATFORMS="cpu") == ["True", "True", str(16_384.0**2)]


def test_a_platform_that_does_not_start_is_one_line():
    code = """
from centernet.backends import needs_both_backends, open_backend
def said(action):
    try:
        action()
    except ValueError as error:
        print(error)
def both():
    with needs_both_backends("parity"):
        pass
backend = open_backend("jax")
said(both)
said(lambda: backend.join_processes(None, None, None))
said(lambda: backend.load("no-such-file"))
"""
    lines = run(code, JAX_PLATFORMS="cuda")
    assert len(lines) == 3
    assert all(line.startswith("JAX does not start here with JAX_PLATFORMS=cuda: ") for line in lines[:2])
    assert lines[2].startswith("no-such-file: there is no such file")
