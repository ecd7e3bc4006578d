"""One interface to both backends for the tests: numpy arrays in and out, NHWC, in the precision of the input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import TypeCheckError

import centernet_jax
import centernet_torch


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _jax_heatmap(objects, hw, num_classes, smooth_kernel_size, targets):
    cells = centernet_jax.convert.objects_to_cells(objects, hw)
    return centernet_jax.convert.draw_heatmap(cells, hw, num_classes, smooth_kernel_size, targets)


@partial(jax.jit, static_argnums=0)
def _jax_call(module, array):
    return module(array)


@jax.jit
def _jax_logit(probability):
    return centernet_jax.loss.logit(probability), jax.vmap(jax.grad(centernet_jax.loss.logit))(probability)


@partial(jax.jit, static_argnums=0)
def _jax_loss(loss, points, objects):
    gradient = jax.grad(lambda p: loss(p, objects).mean(0).sum())(points)
    return loss(points, objects), gradient.astype(float)


class Jax:
    name, package = "jax", centernet_jax

    def heatmap(self, objects, hw, num_classes, smooth_kernel_size=3, targets="fixed"):
        with jax.enable_x64(True):
            return np.asarray(_jax_heatmap(objects, hw, num_classes, smooth_kernel_size, targets))

    def radius(self, size, exact):
        with jax.enable_x64(True):
            return np.asarray(centernet_jax.convert.gaussian_radius(jnp.asarray(size), exact))

    def objects_to_points(self, objects, **options):
        with jax.enable_x64(True):
            return np.asarray(_jax_call(centernet_jax.ObjectsToPoints(**options), objects))

    def points_to_objects(self, points, **options):
        with jax.enable_x64(True):
            return np.asarray(_jax_call(centernet_jax.PointsToObjects(**options), points))

    def suppress(self, points, **options):
        with jax.enable_x64(True):
            return np.asarray(_jax_call(centernet_jax.PointsNonMaxSuppression(**options), points))

    def decode(self, points, **options):
        """Calls the network's own method, with its options."""
        with jax.enable_x64(True):
            model = centernet_jax.CenterNet(**options)
            return np.asarray(jax.jit(partial(model.apply, {}, method="decode"))(points))

    def average_flipped(self, points, flipped):
        with jax.enable_x64(True):
            return np.asarray(centernet_jax.network.average_flipped(jnp.asarray(points), jnp.asarray(flipped)))

    def loss(self, points, objects, dtype=None, objects_dtype=None, **options):
        """The losses [B, 3], and the gradient of their summed mean over B with respect to the points."""
        with jax.enable_x64(True):
            loss, objects = centernet_jax.CenterNetLoss(**options), jnp.asarray(objects, objects_dtype)
            return tuple(map(np.asarray, _jax_loss(loss, jnp.asarray(points, dtype), objects)))

    def logit(self, probability, dtype):
        """The logits of a row of probabilities, and their gradients, in float64."""
        with jax.enable_x64(True):
            return tuple(np.asarray(x, float) for x in _jax_logit(jnp.asarray(probability, dtype)))

    def array(self, nhwc):
        """As the package takes it: an array of JAX."""
        return jnp.asarray(nhwc)


class Torch:
    name, package = "torch", centernet_torch

    def heatmap(self, objects, hw, num_classes, smooth_kernel_size=3, targets="fixed"):
        cells = centernet_torch.convert.objects_to_cells(torch.as_tensor(objects), hw)
        return _nhwc(centernet_torch.convert.draw_heatmap(cells, hw, num_classes, smooth_kernel_size, targets))

    def radius(self, size, exact):
        return centernet_torch.convert.gaussian_radius(torch.as_tensor(size), exact).numpy()

    def objects_to_points(self, objects, **options):
        return _nhwc(centernet_torch.ObjectsToPoints(**options)(torch.as_tensor(objects)))

    def points_to_objects(self, points, **options):
        return centernet_torch.PointsToObjects(**options)(_nchw(points)).numpy()

    def suppress(self, points, **options):
        return _nhwc(centernet_torch.PointsNonMaxSuppression(**options)(_nchw(points)))

    def decode(self, points, **options):
        return centernet_torch.CenterNet(**options).decode(_nchw(points)).numpy()

    def average_flipped(self, points, flipped):
        return _nhwc(centernet_torch.network.average_flipped(_nchw(points), _nchw(flipped)))

    def loss(self, points, objects, dtype=None, objects_dtype=None, **options):
        function = centernet_torch.CenterNetLoss(**options)
        points = _nchw(points).to(getattr(torch, dtype) if dtype else None).requires_grad_()
        losses = function(points, torch.as_tensor(objects).to(getattr(torch, objects_dtype) if objects_dtype else None))
        (gradient,) = torch.autograd.grad(losses.mean(0).sum(), points)
        return losses.detach().numpy(), _nhwc(gradient.double())

    def logit(self, probability, dtype):
        probability = torch.tensor(probability, dtype=getattr(torch, dtype), requires_grad=True)
        logits = centernet_torch.loss.logit(probability)
        (gradient,) = torch.autograd.grad(logits.sum(), probability)
        return logits.detach().double().numpy(), gradient.double().numpy()

    def array(self, nhwc):
        """As the package takes it: a tensor, four axes of which are NCHW."""
        return _nchw(nhwc) if nhwc.ndim == 4 else torch.as_tensor(nhwc)


def _nchw(array):
    return torch.as_tensor(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _nhwc(tensor):
    return tensor.detach().permute(0, 2, 3, 1).numpy()


TWINS = {twin.name: twin for twin in (Jax(), Torch())}

# What a wrong option raises: the project's own ValueError, or the type error of the annotation checker before it.
WRONG = (ValueError, TypeCheckError)
