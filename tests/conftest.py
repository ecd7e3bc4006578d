"""For all tests: shape annotations are checked as the code runs, and compiled programs are kept between runs."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

_hook = install_import_hook(["centernet_jax", "centernet_torch", "centernet_data"], "checking.checked")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def tiny_coco() -> Path:
    """16 photographs of COCO with instances.json."""
    return _require(SHARED / "tiny_coco")


@pytest.fixture(scope="session")
def bccd() -> Path:
    """Blood smears in VOC layout."""
    return _require(SHARED / "bccd")


def _require(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
