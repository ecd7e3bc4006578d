"""Which picture comes when: the order of an epoch, as a pure function of (seed, epoch)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from centernet_data.dataset import Dataset
from centernet_data.stored import SamplesInMemory

SHUFFLE, VIEW, MOSAIC = 0, 1, 2  # random streams: the order of an epoch; one view; which views are mosaics, and of what


@dataclass(frozen=True, eq=False)  # compared by identity, so that orders can be remembered
class Repeats:
    """How often each picture is shown in an epoch, on average; they sum to the number of pictures."""

    counts: Float[np.ndarray, "n"]


def repeats_by_class(dataset: Dataset, balance: float) -> Repeats:
    """LVIS's repeat factor sampling (arXiv:1908.03195), its factors scaled so that an epoch keeps its length.

    A class in a share f of the pictures has the factor max(1, sqrt(balance / f)), a picture the largest of its classes'
    factors, and one without objects 1.
    """
    picture, label = _classes_in_pictures(dataset)
    pictures = np.bincount(label, minlength=len(dataset.classes))
    factors = np.maximum(1, np.sqrt(balance * len(dataset) / np.maximum(pictures, 1)))
    counts = np.ones(len(dataset))
    np.maximum.at(counts, picture, factors[label])
    return Repeats(counts * len(dataset) / counts.sum())


def _classes_in_pictures(dataset: Dataset) -> Int[np.ndarray, "2 m"]:
    """Each picture with each class that it shows, once."""
    if isinstance(dataset, SamplesInMemory):
        counts, labels = dataset.samples.objects_in, dataset.samples.labels
    else:
        rows = [dataset.sample(index).objects for index in range(len(dataset))]
        counts, labels = [len(own) for own in rows], np.concatenate(rows)[:, 4]
    return np.unique(np.stack([np.repeat(np.arange(len(dataset)), counts), labels.astype(int)]), axis=1)


@lru_cache(maxsize=4)  # every view needs it, and a batch may span two epochs
def plain_order(seed: int, epoch: int, count: int) -> Int[np.ndarray, "count"]:
    """Each picture once."""
    return np.random.default_rng([seed, SHUFFLE, epoch]).permutation(count)


@lru_cache(maxsize=4)
def repeated_order(seed: int, epoch: int, repeats: Repeats) -> Int[np.ndarray, "n"]:
    """As many pictures as there are, each as often as `repeats` says, rounded up or down at random."""
    rng = np.random.default_rng([seed, SHUFFLE, epoch])
    order = rng.permutation(len(repeats.counts))  # systematic sampling, along a random order
    ends = np.floor(np.cumsum(repeats.counts[order]) + rng.random())
    ends[-1] = len(order)  # whatever the rounding errors
    return rng.permutation(np.repeat(order, np.diff(ends, prepend=0).astype(int)))
