"""Batches by torch's own DataLoader, for `centernet data bench` to compare with."""

from collections.abc import Iterator

import cv2
from torch import Tensor
from torch.utils.data import DataLoader

from centernet_data.batches import AHEAD, Batches


def by_data_loader(batches: Batches, first: int, last: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """The same as `batches.prefetched`, as tensors; with 0 workers none is made ahead."""
    loader = DataLoader(
        batches,
        batch_size=None,  # they are batches already
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=_use_one_thread,
        multiprocessing_context="spawn" if workers else None,  # a fork may hang where JAX's threads run
    )
    return iter(loader)


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(1)
