"""What the program needs of a backend. `centernet_jax` and `centernet_torch` both offer it, and only this file imports
them, when a command asks for one."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol, SupportsFloat

import numpy as np
from jaxtyping import Float
from platformdirs import user_cache_path

from centernet.terminal import complain
from centernet_data.batches import Batches
from centernet_data.contract.messages import one_line
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Device, Precision
from centernet_data.contract.recipe import Recipe
from centernet_data.detection import Picture

State = Any  # weights, their average and the optimizer, in the backend's own arrays; only the backend looks inside


class Detector(Protocol):
    """A trained model. Pictures are uint8 RGB [H, W, 3], each of its own size."""

    @property
    def config(self) -> ModelConfig:
        """The network's settings and the names of its classes."""
        ...

    def __call__(self, pictures: Sequence[Picture], min_confidence: float = 0.1) -> list[Float[np.ndarray, "_ 6"]]:
        """The objects in each picture, best first: rows of (y_centre, x_centre, height, width, class, confidence) in
        that picture's own pixels."""
        ...

    def heatmaps(self, pictures: Sequence[Picture]) -> list[Float[np.ndarray, "_ _"]]:
        """The highest class probability at each pixel of each picture."""
        ...

    def save(self, path: str | Path) -> None:
        """Writes a `model.safetensors`, which either backend can load."""
        ...


class MakesDetectors(Protocol):
    """A backend's class of detectors."""

    def of(
        self, state: State, config: ModelConfig, flip_test: bool = False, precision: Precision = "float32"
    ) -> Detector:
        """The detector of a training state, with a copy of the moving average of its weights."""
        ...


class Backend(Protocol):
    """The module `centernet_jax` or `centernet_torch`."""

    def load(
        self, path: str | Path, flip_test: bool = False, precision: Precision = "float32", device: Device | None = None
    ) -> Detector:
        """The detector in a `model.safetensors`. Raises ValueError, naming the file, if it holds none."""
        ...

    def create_state(
        self,
        config: ModelConfig,
        recipe: Recipe,
        seed: int = 0,
        pretrained: str | Path | None = None,
        device: Device | None = None,
    ) -> State:
        """A state before the first step. Raises ValueError if the file `pretrained` does not fit the ResNet."""
        ...

    def train_step(self, state: State, batch: Mapping[str, Any]) -> tuple[State, Mapping[str, SupportsFloat]]:
        """The next state, and the step's metrics. `state` must not be used again.

        batch: {"image": uint8 RGB [B, H, W, 3], "objects": float32 [B, N, 6] in pixels of the input}.
        """
        ...

    def to_arrays(self, state: State) -> dict[str, np.ndarray]:
        """Everything in a state, copied, by names that are the same in both backends."""
        ...

    def from_arrays(self, state: State, arrays: Mapping[str, np.ndarray]) -> State:
        """A state made from such arrays; `state` gives names, shapes and devices, and may be changed in place."""
        ...

    def read_older(self, path: Path, state: State) -> State:
        """A state as versions before 0.2 wrote it."""
        ...

    def join_processes(self, coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
        """Connects to the other processes of a training run. Returns (index, count) of this one."""
        ...

    def all_gather(self, values: np.ndarray) -> np.ndarray:
        """The equally shaped arrays of all processes, stacked in the order of the processes."""
        ...

    def broadcast_from_first(self, step: int, state: State) -> tuple[int, State]:
        """The step and the state of the first process, in all of them."""
        ...

    @property
    def Detector(self) -> MakesDetectors: ...  # last: above it, the name means the protocol


def open_backend(name: str) -> Backend:
    """`centernet_jax` or `centernet_torch`. Raises ValueError if its framework is not installed, or cannot be
    imported."""
    with _importing(f"--backend {name} needs the package {{}}, which is", name == "torch"):
        if name == "torch":
            import centernet_torch as backend

            return backend
        return _import_jax()


@contextmanager
def needs_both_backends(command: str) -> Iterator[None]:
    """A context for imports that need both frameworks. Raises ValueError if one is not installed, cannot be imported,
    or does not start."""
    with _importing(f"{command} needs both backends, but {{}} is", may_lack_torch=True):
        _import_jax()
        yield
    from centernet_jax.devices import find_devices

    find_devices()


def _import_jax() -> Backend:
    """Imports `centernet_jax`, in a process in which all of JAX computes rightly on a CPU."""
    _cache_compiled_programs()
    import centernet_jax
    from centernet_jax.cpu.compiler import avoid_wrong_reductions

    avoid_wrong_reductions()
    return centernet_jax


@contextmanager
def _importing(who: str, may_lack_torch: bool) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        hint = ' (pip install -e ".[torch]")' if may_lack_torch else ""
        raise ValueError(f"{who.format(error.name)} not installed{hint}") from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # versions that do not fit, a library missing
        raise ValueError(f"{who.format('a framework')} not usable here: {one_line(error)}") from error


def open_data_loader() -> Callable[[Batches, int, int, int], Iterator[Mapping]] | None:
    """`parity.data_loader.by_data_loader`, which needs torch but not JAX; None if torch is not installed."""
    if find_spec("torch") is None:
        return None
    from parity.data_loader import by_data_loader

    return by_data_loader


def _cache_compiled_programs() -> None:
    """Makes JAX, which is not imported yet, cache compiled programs in the user's cache folder, and says so once.

    The environment variable JAX_COMPILATION_CACHE_DIR overrides the folder; if it is empty, nothing is cached. Nor is
    it where the folder cannot be used, which is said.
    """
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if folder == "" or "://" in (folder or ""):  # JAX itself opens a cloud's storage
        return
    try:
        folder = folder or str(user_cache_path("centernet-jax"))
        is_new = _make_writable(Path(folder))
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        where = folder or "the user's cache folder"
        complain(f"{where}: cannot be used to cache compiled programs ({reason}); continuing without a cache")
        folder, is_new = "", False  # not unset, so that it is said once
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    if is_new:
        complain(f"caching compiled programs in {folder}, so that the next start is faster")


def _make_writable(folder: Path) -> bool:
    """Makes the cache's folder; whether it is new. Raises OSError if nothing can be written to it, and ValueError for
    a "~" that stands for no home."""
    if folder.parts[:1] == ("~",):
        raise ValueError("there is no home folder")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        return is_new
