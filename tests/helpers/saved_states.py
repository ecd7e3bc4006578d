"""The two packages whose states are saved, and a disk without room for them."""

import contextlib
import resource

import centernet_jax
import centernet_torch

PACKAGES = {"jax": centernet_jax, "torch": centernet_torch}


@contextlib.contextmanager
def no_room():
    """No file may grow beyond a few bytes: like a full disk, with another errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
