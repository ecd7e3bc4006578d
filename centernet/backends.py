"""The two backends behind one face, and their comparison: the only place where this package reaches for them, and
only when asked."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from platformdirs import user_cache_path


def open_backend(name: str) -> ModuleType:
    """`centernet_jax` or `centernet_torch`. ValueError if its framework is not installed."""
    try:
        if name == "torch":
            import centernet_torch as backend
        else:
            _keep_compiled_programs()
            import centernet_jax as backend
    except ModuleNotFoundError as error:
        hint = ' (pip install -e ".[torch]")' if name == "torch" else ""
        raise ValueError(f"--backend {name} needs the package {error.name}, which is not installed{hint}") from error
    return backend


@contextmanager
def needs_both_backends(command: str) -> Iterator[None]:
    """For importing parts of `parity` that need both frameworks. Raises ValueError if one is not installed."""
    _keep_compiled_programs()
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f'{command} needs both backends, but {error.name} is not installed (pip install -e ".[torch]")'
        ) from error


def open_data_loader() -> ModuleType | None:
    """`parity.data_loader`, which needs torch alone; None if that is not installed."""
    if find_spec("torch") is None:
        return None
    from parity import data_loader

    return data_loader


def _keep_compiled_programs() -> None:
    """Lets JAX, which is not imported yet, keep what it compiles in a folder of the user's, and says so where that
    folder is new. Whoever set JAX_COMPILATION_CACHE_DIR (empty: keep nothing) has it so."""
    folder = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(user_cache_path("centernet-jax")))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    if folder and not Path(folder).exists():
        print(f"centernet: compiled programs are kept in {folder}, so that the next start is faster", file=sys.stderr)
