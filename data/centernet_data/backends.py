"""The two backends behind one face: the only place where this package reaches for them, and only when asked."""

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
