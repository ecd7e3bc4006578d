"""Faults to plant: each patches one function's source, and names the stage at which parity must notice it."""

import inspect
import textwrap
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple

import jax


class Fault(NamedTuple):
    """In `function` of `module` the string `old`, which occurs in it once, becomes `new`."""

    name: str
    module: str
    function: str
    old: str
    new: str
    stage: str
    dtype: str = "float64"  # in which it is to be noticed


@contextmanager
def planted(fault: Fault):
    """Replaces the function's code inside the context, wherever it has been imported."""
    owner = import_module(fault.module)
    for part in fault.function.split("."):
        owner = getattr(owner, part)
    function = inspect.unwrap(owner)  # without the wrappers of Flax and the annotation checker
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(fault.old) == 1, f"{fault.name}: {source.count(fault.old)} times in the source"
    scope = dict(function.__globals__)
    exec(
        compile("from __future__ import annotations\n" + _without_decorators(source, fault), fault.name, "exec"), scope
    )
    sound, function.__code__ = function.__code__, scope[function.__name__].__code__
    try:
        _forget(fault)
        yield
    finally:
        function.__code__ = sound
        _forget(fault)


def _without_decorators(source: str, fault: Fault) -> str:
    return source[source.index("def ") :].replace(fault.old, fault.new)


def _forget(fault: Fault) -> None:
    if fault.module.startswith("centernet_jax"):
        jax.clear_caches()  # programs compiled from the other version


JAX, TORCH = "centernet_jax.", "centernet_torch."
