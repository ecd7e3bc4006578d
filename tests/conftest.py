"""For all tests: shape annotations are checked as the code runs, and compiled programs are kept between runs."""

import ctypes
import functools
import gc
import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

import helpers.checking  # noqa: F401 (the hook below finds it as an attribute of `helpers`)

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).mkdir(parents=True, exist_ok=True)  # or each command says that it is new
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("CENTERNET_CACHE_DIR", "")  # nor does a test know pictures that another has verified
YNNPACK = "xla_cpu_experimental_ynn_fusion_type"  # as the program sets it, for JAX, which starts later: see
if YNNPACK not in (flags := os.environ.get("XLA_FLAGS", "")):  # centernet_jax/cpu/compiler.py
    os.environ["XLA_FLAGS"] = f"{flags} --{YNNPACK}=-reduce".strip()
os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads, which wait for each other in a loop: one a worker

_PACKAGES = ["centernet_jax", "centernet_torch", "centernet_data", "parity"]
_hook = install_import_hook(_PACKAGES, "helpers.checking.checked")

SHARED = Path(__file__).parents[2] / "shared" / "data"
MEMORY_OF_A_WORKER = 5 * 2**30  # bytes; the whole ResNet-34s of the slow tests need most of it


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """For `-n auto`: a worker for each core, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not hasattr(os, "sysconf"):
        return cores
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores, memory // MEMORY_OF_A_WORKER))


@pytest.fixture(scope="module", autouse=True)
def free_compiled_programs():
    """The next file's tests need hardly any of the programs that one file's tests compiled."""
    yield
    import jax

    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="module")
def quick_compilation(free_compiled_programs):
    """For files whose tests depend neither on the programs' speed nor on their last bits: JAX compiles in half the
    time, to slower programs."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    """Returns freed memory to the system. glibc would keep it: 2.3 of 3 GB after test_train.py."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture
def as_users_call():
    """Switches the check of the annotations off, which users do not have: the project's own checks must refuse."""
    from jaxtyping import config

    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(params=["jax", "torch"])
def backend(request) -> str:
    """The name of each backend in turn."""
    return request.param


@pytest.fixture(scope="module", params=["jax", "torch"])
def twin(request):
    """Each backend in turn, with the common interface of `helpers.twins`."""
    from helpers.twins import TWINS

    return TWINS[request.param]


@pytest.fixture(scope="session")
def tiny_coco() -> Path:
    """16 photographs of COCO with instances.json."""
    return _require(SHARED / "tiny_coco")


@pytest.fixture(scope="session")
def bccd() -> Path:
    """Blood smears in VOC layout."""
    return _require(SHARED / "bccd")


@pytest.fixture(scope="session")
def tiny_coco_or_shapes():
    """The 16 photographs as a data set, or as many rendered scenes if they are absent."""
    from centernet_data.readers.coco import read_coco
    from centernet_data.synthetic.shapes import ShapesDataset

    folder = SHARED / "tiny_coco"
    if folder.is_dir():
        return read_coco(folder / "images", folder / "instances.json")
    return ShapesDataset("train", 16)


def _require(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    return folder


@pytest.fixture
def refused(capfd):
    """Runs a command that must end with status 2 and one line on stderr. Returns that line."""
    from helpers import small_data

    return functools.partial(small_data.refused, capfd)
