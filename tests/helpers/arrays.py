"""Arrays for tests of layers, and the same in torch's layout."""

import numpy as np
import torch


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def nchw(array):
    return torch.tensor(np.asarray(array).transpose(0, 3, 1, 2))


def nchw_kernel(array):
    return torch.tensor(np.asarray(array).transpose(3, 2, 0, 1))
