"""The components used one by one with their defaults, as a course would introduce them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import centernet_jax
import centernet_torch
from helpers.arrays import random

FEATURES = jnp.asarray(random(2, 16, 16, 64), jnp.float32)  # [B, H/4, W/4, k_in_channels]
OBJECTS = np.zeros((2, 3, 6), np.float32)  # in pixels of an input of 64 x 64, whose output grid is 16 x 16
OBJECTS[0, 0] = (20, 30, 16, 24, 0, 1)
OBJECTS[0, 1] = (50, 10, 8, 12, 1, 1)
OBJECTS[1, 0] = (33, 41, 20, 20, 1, 1)
BRANCHES = ("heatmap", "offset", "size")


def jax_head():
    head = centernet_jax.CenterNetHead()
    return head, head.init(jax.random.key(0), FEATURES)


def torch_features():
    return torch.from_numpy(np.array(FEATURES).transpose(0, 3, 1, 2).copy())


def test_the_heads_class_channels_are_probabilities():
    head, variables = jax_head()
    points = np.asarray(head.apply(variables, FEATURES))
    logits = np.asarray(head.apply(variables, FEATURES, return_logits=True))
    assert points.shape == (2, 16, 16, 2 + 4)
    assert 0 < points[..., :2].min() < points[..., :2].max() < 1
    np.testing.assert_allclose(points[..., :2], 1 / (1 + np.exp(-logits[..., :2])), rtol=1e-5)
    np.testing.assert_array_equal(points[..., 2:], logits[..., 2:])

    head = centernet_torch.CenterNetHead()
    points, logits = (head(torch_features(), return_logits=given).detach().numpy() for given in (False, True))
    assert points.shape == (2, 2 + 4, 16, 16)
    assert 0 < points[:, :2].min() < points[:, :2].max() < 1
    np.testing.assert_allclose(points[:, :2], 1 / (1 + np.exp(-logits[:, :2])), rtol=1e-5)
    np.testing.assert_array_equal(points[:, 2:], logits[:, 2:])


def test_the_loss_of_the_heads_output_gives_every_branch_a_gradient():
    head, variables = jax_head()
    loss = centernet_jax.CenterNetLoss()
    gradients = jax.grad(lambda v: loss(head.apply(v, FEATURES), jnp.asarray(OBJECTS)).mean(0).sum())(variables)[
        "params"
    ]
    for branch in BRANCHES:
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients[branch])), branch

    head = centernet_torch.CenterNetHead()
    centernet_torch.CenterNetLoss()(head(torch_features()), torch.from_numpy(OBJECTS)).mean(0).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_head_and_loss_put_together_by_their_defaults_learn():
    head, variables = jax_head()
    optimizer, loss = optax.adam(1e-2), centernet_jax.CenterNetLoss()

    def losses_of(variables):
        return loss(head.apply(variables, FEATURES), jnp.asarray(OBJECTS)).mean(0)

    @jax.jit
    def step(variables, state):
        updates, state = optimizer.update(jax.grad(lambda v: losses_of(v).sum())(variables), state)
        return optax.apply_updates(variables, updates), state

    before, state = losses_of(variables), optimizer.init(variables)
    for _ in range(30):
        variables, state = step(variables, state)
    assert (losses_of(variables) < before / 2).all()

    torch.manual_seed(0)
    head, loss, objects = centernet_torch.CenterNetHead(), centernet_torch.CenterNetLoss(), torch.from_numpy(OBJECTS)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    before = loss(head(torch_features()), objects).mean(0).detach()
    for _ in range(30):
        optimizer.zero_grad()
        loss(head(torch_features()), objects).mean(0).sum().backward()
        optimizer.step()
    assert (loss(head(torch_features()), objects).mean(0) < before / 2).all()


@pytest.mark.parametrize("package", [centernet_jax, centernet_torch])
def test_the_loss_takes_the_targets_options_and_checks_them(package):
    points = np.random.default_rng(0).random((2, 16, 16, 6)).astype(np.float32)
    if package is centernet_torch:
        points, objects = torch.from_numpy(points.transpose(0, 3, 1, 2).copy()), torch.from_numpy(OBJECTS)
    else:
        points, objects = jnp.asarray(points), jnp.asarray(OBJECTS)
    expected = np.asarray(package.CenterNetLoss(smooth_kernel_size=5)(points, objects))
    for options in (
        {"hw": 16, "num_classes": 2, "smooth_kernel_size": 5},
        {"hw": (16, 16), "smooth_kernel_size": 5},
        {"obj_to_points": package.ObjectsToPoints(hw=16, num_classes=2, smooth_kernel_size=5)},
    ):
        np.testing.assert_array_equal(np.asarray(package.CenterNetLoss(**options)(points, objects)), expected)
    message = (
        r"targets have 64 x 64 cells and 2 classes, but the points have 16 x 16 cells and 2 classes; give hw=\(16, 16"
    )
    for options in ({"hw": 64}, {"obj_to_points": package.ObjectsToPoints()}):
        with pytest.raises(ValueError, match=message):
            package.CenterNetLoss(**options)(points, objects)
    with pytest.raises(ValueError, match=r"cells and 3 classes, but .* and num_classes=2"):
        package.CenterNetLoss(num_classes=3)(points, objects)


def test_features_of_another_width_are_refused():
    message = "the head takes 32 channels, but the features have 64"
    with pytest.raises(ValueError, match=message):
        centernet_jax.CenterNetHead(k_in_channels=32).init(jax.random.key(0), FEATURES)
    with pytest.raises(ValueError, match=message):
        centernet_torch.CenterNetHead(k_in_channels=32)(torch_features())
