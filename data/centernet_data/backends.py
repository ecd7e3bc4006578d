"""The two backends behind one face, and their comparison: the only place where this package reaches for them, and
only when asked."""

from importlib.util import find_spec
from types import ModuleType


def open_backend(name: str) -> ModuleType:
    """`centernet_jax` or `centernet_torch`. ValueError if its framework is not installed."""
    try:
        if name == "torch":
            import centernet_torch as backend
        else:
            import centernet_jax as backend
    except ModuleNotFoundError as error:
        hint = ' (pip install -e ".[torch]")' if name == "torch" else ""
        raise ValueError(f"--backend {name} needs the package {error.name}, which is not installed{hint}") from error
    return backend


def open_parity() -> ModuleType:
    """`parity.command`, which needs both frameworks. ValueError if one is not installed."""
    try:
        from parity import command
    except ModuleNotFoundError as error:
        raise ValueError(
            f'parity needs both backends, but {error.name} is not installed (pip install -e ".[torch]")'
        ) from error
    return command


def open_data_loader() -> ModuleType | None:
    """`parity.data_loader`, which needs torch alone; None if that is not installed."""
    if find_spec("torch") is None:
        return None
    from parity import data_loader

    return data_loader
