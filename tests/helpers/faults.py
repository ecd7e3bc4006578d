"""Faults to plant: each patches one function's source, and names the stage at which parity must notice it."""

import inspect
import textwrap
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple

import jax


class Fault(NamedTuple):
    """In `function` of `module` the string `old`, which occurs in it once, becomes `new`."""

    name: str
    module: str
    function: str
    old: str
    new: str
    stage: str


@contextmanager
def planted(fault: Fault):
    """Replaces the function's code inside the context, wherever it has been imported."""
    owner = import_module(fault.module)
    for part in fault.function.split("."):
        owner = getattr(owner, part)
    function = inspect.unwrap(owner)  # without the wrappers of Flax and the annotation checker
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(fault.old) == 1, f"{fault.name}: {source.count(fault.old)} times in the source"
    scope = dict(function.__globals__)
    exec(
        compile("from __future__ import annotations\n" + _without_decorators(source, fault), fault.name, "exec"), scope
    )
    sound, function.__code__ = function.__code__, scope[function.__name__].__code__
    try:
        _forget(fault)
        yield
    finally:
        function.__code__ = sound
        _forget(fault)


def _without_decorators(source: str, fault: Fault) -> str:
    return source[source.index("def ") :].replace(fault.old, fault.new)


def _forget(fault: Fault) -> None:
    if fault.module.startswith("centernet_jax"):
        jax.clear_caches()  # programs compiled from the other version


JAX, TORCH = "centernet_jax.", "centernet_torch."
FAULTS = [
    Fault("class bias 0", JAX + "head", "CenterNetHead.setup", "CLASS_BIAS", "0.0", "fresh weights"),
    Fault("mean in BGR", TORCH + "network", "normalize_images", "(IMAGENET_MEAN,", "(IMAGENET_MEAN[::-1],", "images"),
    Fault(
        "SAME padding in the stem",
        JAX + "cpu.convolution",
        "_plain_conv",
        "[(pad, pad), (pad, pad)]",
        '"SAME" if stride == 2 else [(pad, pad), (pad, pad)]',
        "stem",
    ),
    Fault("the pool's windows shifted", JAX + "cpu.pooling", "_split_taps", "(1, -1, 0)", "(-1, 1, 0)", "stem"),
    Fault(
        "kernels transposed in the transfer",
        JAX + "weights",
        "to_torch",
        "value.transpose(TO_TORCH)",
        "value.transpose(3, 2, 1, 0)",
        "stem",
    ),
    Fault("epsilon 1e-3", JAX + "cpu.normalization", "normalize_channels", "EPSILON", "1e-3", "stem"),
    Fault("no ReLU in the block", TORCH + "backbone", "BasicBlock.forward", "F.relu(self.bn1", "(self.bn1", "layer1"),
    Fault("no ReLU after the sum", TORCH + "backbone", "BasicBlock.forward", "F.relu(x + y)", "x + y", "layer1"),
    Fault(
        "shortcut without batch norm",
        TORCH + "backbone",
        "BasicBlock.forward",
        "x = self.downsample(x)",
        "x = self.downsample[0](x)",
        "layer2",
    ),
    Fault(
        "unflipped transposed kernels",
        TORCH + "backbone",
        "UpscaleTwiceLayer.forward",
        "self.conv(x)",
        "F.conv_transpose2d(x, self.conv.weight.flip(2, 3), None, 2, 1, 1)",
        "upscale 0",
    ),
    Fault(
        "phases swapped",
        JAX + "cpu.convolution",
        "upscale_twice",
        "jnp.stack(columns,",
        "jnp.stack(columns[::-1],",
        "upscale 0",
    ),
    Fault(
        "no ReLU after the last upscaling",
        TORCH + "backbone",
        "UpscaleTwiceLayer.forward",
        "return F.relu(",
        "return (F.relu if self.bn.num_features > 8 else lambda y: y)(",
        "upscale 2",
    ),
    Fault("no ReLU in the head", TORCH + "head", "Branch.forward", "F.relu(self.conv1(x))", "self.conv1(x)", "head"),
    Fault(
        "offset and size swapped in the head",
        TORCH + "head",
        "CenterNetHead.forward",
        "self.offset(x), self.size(x)",
        "self.size(x), self.offset(x)",
        "head",
    ),
    Fault("Gaussians summed", TORCH + "convert", "draw_heatmap", '"amax"', '"sum"', "heatmap target"),
    Fault(
        "centre rounded", TORCH + "convert", "objects_to_cells", "centre.floor()", "centre.round()", "heatmap target"
    ),
    Fault("radius rounded up", TORCH + "convert", "draw_heatmap", ".floor()", ".ceil()", "heatmap target"),
    Fault(
        "sigma twice as wide",
        TORCH + "convert",
        "draw_heatmap",
        "(2 * radius + 1) / 6",
        "(2 * radius + 1) / 3",
        "heatmap target",
    ),
    Fault(
        "radius by the corrected roots",
        TORCH + "convert",
        "gaussian_radius",
        "if exact",
        "if not exact",
        "heatmap target",
    ),
    Fault(
        "boxes not clipped",
        TORCH + "convert",
        "objects_to_cells",
        "torch.where(clipped, high - low, size)",
        "size",
        "heatmap target",
    ),
    Fault(
        "offsets swapped",
        TORCH + "convert",
        "objects_to_cells",
        "centre - cell,",
        "(centre - cell).flip(-1),",
        "offset target",
    ),
    Fault(
        "last one kept in a shared cell",
        TORCH + "convert",
        "objects_to_points",
        '"amin")',
        '"amax", include_self=False)',
        "offset target",
    ),
    Fault(
        "height and width swapped",
        TORCH + "convert",
        "objects_to_cells",
        "size, valid)",
        "size.flip(-1), valid)",
        "size target",
    ),
    Fault(
        "negatives only where the target is 0",
        TORCH + "loss",
        "focal_loss",
        "positive, negative)",
        "positive, torch.where(target == 0, negative, 0))",
        "heatmap loss",
    ),
    Fault("alpha for beta", TORCH + "loss", "focal_loss", "** beta", "** alpha", "heatmap loss"),
    Fault(
        "collisions counted twice",
        TORCH + "loss",
        "CenterNetLoss._normalize",
        "(target == 1).sum()",
        "objects.sum()",
        "heatmap loss",
    ),
    Fault(
        "normalised by image",
        TORCH + "loss",
        "CenterNetLoss._normalize",
        '== "image"',
        '== "batch"',
        "heatmap loss",
    ),
    Fault(
        "smooth L1",
        TORCH + "loss",
        "l1_loss",
        "difference.abs()",
        'F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none")',
        "offset loss",
    ),
    Fault("size loss not weighted", TORCH + "loss", "CenterNetLoss.forward", "self.l_size_lambda * ", "", "size loss"),
    Fault(
        "a tap of the pool's gradient lost",
        JAX + "cpu.pooling",
        "_merge_taps",
        "after + from_next",
        "after",
        "gradient of stem",
    ),
    Fault(
        "decay the wrong way round",
        JAX + "backbone",
        "BatchNorm.__call__",
        "0.9 * mean.value + 0.1 * batch_mean",
        "0.1 * mean.value + 0.9 * batch_mean",
        "running statistics",
    ),
    Fault(
        "biased running variance",
        JAX + "backbone",
        "BatchNorm.__call__",
        " * (count / (count - 1))",
        "",
        "running statistics",
    ),
    Fault("drop one step late", TORCH + "optimizer", "learning_rate", "step < first", "step <= first", "learning rate"),
    Fault(
        "one drop forgotten",
        TORCH + "optimizer",
        "learning_rate",
        "0.1 if step < second else 0.01",
        "0.1",
        "learning rate",
    ),
    Fault("schedule off by one step", TORCH + "optimizer", "learning_rate", "(step + 1)", "step", "learning rate"),
    Fault(
        "no weight decay",
        TORCH + "optimizer",
        "create_optimizer",
        "recipe.weight_decay if",
        "0.0 if",
        "step 1: parameters",
    ),
    Fault(
        "trunk at the full rate",
        TORCH + "train",
        "train_step",
        'rate * group["factor"]',
        "rate",
        "step 1: parameters",
    ),
    Fault(
        "the neck as slow as the trunk",
        TORCH + "optimizer",
        "create_optimizer",
        '"backbone.resnet."',
        '"backbone."',
        "step 1: parameters",
    ),
    Fault(
        "decay of biases too", TORCH + "optimizer", "create_optimizer", ".ndim > 1", ".ndim > 0", "step 1: parameters"
    ),
    Fault(
        "accumulation sums",
        TORCH + "train",
        "mean_loss_and_gradients",
        "if p.grad is not None], count)",
        "if p.grad is not None], 1)",
        "step 1: gradient_norm",
    ),
    Fault(
        "the last batch alone",
        JAX + "train",
        "mean_loss_and_gradients",
        "jax.tree.map(jnp.add, total, gradients)",
        "jax.tree.map(lambda gradient: count * gradient, gradients)",
        "step 1: gradient_norm",
    ),
    Fault(
        "the last batch's loss alone",
        TORCH + "train",
        "mean_loss_and_gradients",
        "losses.mean(0)",
        "losses[-1]",
        "step 1: loss",
    ),
    Fault(
        "running statistics moved by the last batch alone",
        JAX + "train",
        "mean_loss_and_gradients",
        "state.replace(batch_stats=batch_stats)",
        "state",
        "step 1: running statistics",
    ),
    Fault(
        "no clipping", TORCH + "optimizer", "clip_by_global_norm", "not norm < clip_norm", "norm < 0", "step 1: exp_avg"
    ),
    Fault(
        "beta2 0.99",
        TORCH + "optimizer",
        "create_optimizer",
        "lr=recipe.learning_rate)",
        "lr=recipe.learning_rate, betas=(0.9, 0.99))",
        "step 1: exp_avg_sq",
    ),
    Fault("step not counted", TORCH + "train", "train_step", "state.step + 1", "state.step", "step 1: count"),
    Fault(
        "stale mean at evaluation",
        JAX + "backbone",
        "BatchNorm.__call__",
        "(x - mean.value)",
        "(x - 0.9 * mean.value)",
        "eval: stem",
    ),
    Fault(
        "peaks across classes",
        TORCH + "network",
        "points_non_max_suppression",
        "padding=kernel_size // 2)",
        "padding=kernel_size // 2).amax(1, keepdim=True)",
        "peaks",
    ),
    Fault(
        "ties by the other order",
        TORCH + "convert",
        "top_k",
        "equal.cumsum(1)",
        "equal.flip(1).cumsum(1).flip(1)",
        "boxes",
    ),
    Fault(
        "y and x swapped", TORCH + "convert", "points_to_objects", "torch.stack([y, x]", "torch.stack([x, y]", "boxes"
    ),
    Fault(
        "least confidence left out",
        TORCH + "convert",
        "points_to_objects",
        ">= min_confidence",
        "> min_confidence",
        "boxes",
    ),
    Fault(
        "boxes in cells",
        TORCH + "network",
        "ScaleObjects.forward",
        "scale_objects(objects, self.scale)",
        "objects",
        "boxes",
    ),
    Fault(
        "stretched, not letterboxed",
        TORCH + "detector",
        "Detector.__call__",
        "self.config,",
        'ModelConfig(self.config.classes, self.config.image_size, "stretch"),',
        "detections: boxes",
    ),
    Fault(
        "statistics of the batch",
        TORCH + "detector",
        "_evaluating",
        "model.eval()",
        "model.train()",
        "detections: boxes",
    ),
    Fault(
        "stale statistics in the detector",
        TORCH + "detector",
        "Detector.of",
        "state.ema)",
        '{n: t for n, t in state.ema.items() if "running" not in n}, strict=False)',
        "detections: boxes",
    ),
    Fault(
        "average forgotten in the detector",
        TORCH + "detector",
        "Detector.of",
        "state.ema)",
        "state.model.state_dict())",
        "detections: boxes",
    ),
    Fault(
        "mirror image not turned back",
        TORCH + "network",
        "average_flipped",
        "flipped.flip(-1)",
        "flipped",
        "flip test",
    ),
    Fault(
        "offset averaged too",
        TORCH + "network",
        "average_flipped",
        "points[:, -4:-2]",
        "mean[:, -4:-2]",
        "flip test",
    ),
    Fault("average not moved", TORCH + "optimizer", "update_ema", "], 1 - decay", "], 0.0", "step 1: average"),
    Fault(
        "average of the weights alone",
        TORCH + "train",
        "train_step",
        "state.model.state_dict(),",
        "state.ema | dict(state.model.named_parameters()),",
        "step 1: average",
    ),
    Fault(
        "average's decay not warmed up",
        TORCH + "optimizer",
        "ema_decay",
        "recipe.ema_decay, (1 + step) / (10 + step)",
        "recipe.ema_decay, 1",
        "step 1: average",
    ),
    Fault(
        "average's decay too high",
        TORCH + "optimizer",
        "ema_decay",
        "min(recipe.ema_decay",
        "min(1.0",
        "step 2: average",
    ),
]
