"""Batches from torch's own DataLoader, for comparison in `centernet data bench`."""

from collections.abc import Iterator
from typing import cast

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from centernet_data.batches import AHEAD, Batch, Batches


def by_data_loader(batches: Batches, first: int, last: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """The same as `batches.prefetched`, as tensors; with 0 workers, none is made ahead."""
    loader = DataLoader(
        cast("Dataset[Batch]", batches),  # has __getitem__, which is all that is needed
        batch_size=None,  # its items are batches already
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=_use_one_thread,
        multiprocessing_context="spawn" if workers else None,  # a fork may hang if JAX's threads are running
    )
    return iter(loader)


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(1)
