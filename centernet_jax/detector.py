"""A trained model in use: uint8 pictures of any size in, boxes in those pictures' own pixels out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8

from centernet_data.contract.inputs import check_uint8_images
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.options import require_flag
from centernet_data.contract.precision import Device, Precision, require_device, require_precision
from centernet_data.contract.weights_file import read_model_file
from centernet_data.detection import COCO_DECODING, check_class_count, detect_pictures, show_heatmaps
from centernet_jax.cpu.compiler import compiler_options
from centernet_jax.devices import Devices, find_devices, local_devices_of, mesh_of, replicate
from centernet_jax.network import CenterNet, apply, average_flipped, normalize_images
from centernet_jax.train import TrainState, create_model
from centernet_jax.weights import dtype_of, load_weights, save_weights

Shape = tuple[int, int, int, int]


@partial(jax.jit, static_argnums=(0, 3, 4))
def detect(
    model: CenterNet,
    variables: Mapping,
    images: UInt8[Array, "b h w 3"],
    flip_test: bool = False,
    precision: Precision = "float32",
) -> Float[Array, "b n 6"]:
    """uint8 RGB images to objects in pixels of the input, best first: normalise, network, peaks, top-k, boxes.

    With `flip_test` the network also sees the mirror images, and both results are averaged. In `precision` "bfloat16"
    the network computes up to its logits, everything else in float32; "float32" stands for the precision of the
    variables."""
    return apply(model, variables, _points(model, variables, images, flip_test, precision), method="decode")


@partial(jax.jit, static_argnums=(0, 3, 4))
def heatmap(
    model: CenterNet,
    variables: Mapping,
    images: UInt8[Array, "b h w 3"],
    flip_test: bool = False,
    precision: Precision = "float32",
) -> Float[Array, "b h4 w4"]:
    """uint8 RGB images to the highest class probability of each cell, with the options of `detect`."""
    return _points(model, variables, images, flip_test, precision)[..., :-4].max(-1)


def _points(
    model: CenterNet, variables: Mapping, images: UInt8[Array, "b h w 3"], flip_test: bool, precision: Precision
) -> Float[Array, "b h4 w4 p"]:
    dtype = jnp.dtype("bfloat16") if precision == "bfloat16" else dtype_of(variables)
    images = normalize_images(images, dtype)
    points = apply(model, variables, images)
    return average_flipped(points, apply(model, variables, images[:, :, ::-1])) if flip_test else points


@partial(jax.jit, static_argnums=(0, 2))
def kernel_transforms(model: CenterNet, variables: Mapping, shape: Shape) -> dict:
    """What can be computed from the weights alone for images of shape [B, H, W, 3]: further variables, of the
    collection "transforms", with which the results are the same and a CPU computes them sooner."""
    images = jnp.zeros(shape, dtype_of(variables))
    _, transforms = model.apply(variables, images, mutable="transforms")
    return dict(transforms)


@cache
def _compiled(devices: tuple[Any, ...], dtype: jnp.dtype):
    run = partial(_on_each_device, devices)
    return jax.jit(run, static_argnums=(0, 1, 4, 5), compiler_options=compiler_options(devices[0].platform, dtype))


def _on_each_device(
    devices: tuple[Any, ...],
    function: Callable,
    model: CenterNet,
    variables: Mapping,
    images: UInt8[Array, "b h w 3"],
    *options,
) -> Float[Array, "b ..."]:
    # From the arrays' sharding alone, XLA would choose the best hundred of all images on every device.
    def part(variables, images):
        return function(model, variables, images, *options)

    mesh = mesh_of(list(devices))
    return jax.shard_map(part, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P("batch"))(variables, images)


@dataclass(frozen=True, eq=False)
class Detector:
    """A model with its weights.

    Called with a list of pictures of any sizes (uint8 arrays, RGB [H, W, 3] or grey [H, W], or PIL images), it returns
    for each an array [n, 6] of (y_centre, x_centre, height, width, class, confidence), best first, in that picture's
    pixels; `config.classes` names the classes. With `flip_test` it looks at each picture and its mirror image. In
    `precision` "bfloat16", which is for accelerators, the network computes in it, with the same weights. Several
    threads may call one detector. Raises ValueError for other options and other pictures."""

    config: ModelConfig
    model: CenterNet
    variables: Mapping
    flip_test: bool = False
    precision: Precision = "float32"
    _transforms: dict[Shape, tuple[list, dict]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        require_flag("flip_test", self.flip_test)
        require_precision(self.precision)
        check_class_count(self.config, self.model.num_classes)

    def __getstate__(self) -> dict:
        """For pickle: without what can be computed again."""
        return vars(self) | {"_transforms": {}}

    @classmethod
    def of(
        cls, state: TrainState, config: ModelConfig, flip_test: bool = False, precision: Precision = "float32"
    ) -> "Detector":
        """The detector that a training state amounts to: a copy of the moving average of its weights.

        Raises ValueError for a state of another number of classes."""
        check_class_count(config, state.model.num_classes)
        # A copy, because the next step uses the state's memory.
        copy = jax.tree.map(lambda array: jnp.array(array.addressable_data(0)), state.ema)
        variables = replicate(copy, local_devices_of(state.ema))
        return cls(
            config, create_model(config, points_to_objects_kwargs=COCO_DECODING), variables, flip_test, precision
        )

    def __call__(self, pictures: Iterable[Any], min_confidence: float = 0.1) -> list[Float[np.ndarray, "n 6"]]:
        return detect_pictures(self.detect, pictures, self.config, min_confidence)

    def heatmaps(self, pictures: Iterable[Any]) -> list[Float[np.ndarray, "h w"]]:
        """For each picture the highest class probability at each of its pixels."""
        return show_heatmaps(self.heatmap, pictures, self.config)

    def detect(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b n 6"]:
        """uint8 RGB images of one size, multiples of 32, to padded objects in their pixels. Raises ValueError for any
        other array."""
        return self._of_all(detect, images)

    def heatmap(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b h4 w4"]:
        """uint8 RGB images of one size, multiples of 32, to the highest class probability of each cell. Raises
        ValueError for any other array."""
        return self._of_all(heatmap, images)

    def _of_all(self, function: Callable, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b ..."]:
        """`detect` or `heatmap` of the images, in equal parts on this process's devices, padded with black images."""
        check_uint8_images(images)
        images = images if isinstance(images, jax.Array) else np.asarray(images)
        devices = self._devices()
        missing = -len(images) % len(devices)
        padded = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images
        split = jax.device_put(padded, NamedSharding(mesh_of(devices), P("batch")))
        run = _compiled(tuple(devices), dtype_of(self.variables))
        variables = self.variables_for((len(split) // len(devices), *split.shape[1:]))
        return np.asarray(run(function, self.model, variables, split, self.flip_test, self.precision))[: len(images)]

    def variables_for(self, shape: Shape) -> Mapping:
        """The variables, on a CPU with what `kernel_transforms` computes from them for images of that shape.

        With it a detection by ResNet-34 of 8 x 256 x 256 takes 0.34 s instead of 0.40, on two cores, and 210 MB more.
        """
        if self._devices()[0].platform != "cpu" or self.precision != "float32":
            return self.variables
        # Arrays of numpy are copied, because they could change unnoticed.
        variables = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.array(leaf), self.variables)
        leaves = jax.tree.leaves(variables)
        used, transforms = self._transforms.get(shape, ([], {}))
        if len(used) != len(leaves) or any(a is not b for a, b in zip(used, leaves, strict=True)):  # new, or changed
            transforms = kernel_transforms(self.model, variables, shape)
            for old in list(self._transforms)[:-1]:  # full batches, and a last smaller one, are all that is kept
                self._transforms.pop(old, None)  # unless another thread did it
            self._transforms[shape] = leaves, transforms
        return {**variables, **transforms}

    def _devices(self) -> Devices:
        """This process's devices that the variables lie on; the first one for variables that are arrays of numpy."""
        on_devices = [leaf for leaf in jax.tree.leaves(self.variables) if isinstance(leaf, jax.Array)]
        return local_devices_of(on_devices) if on_devices else jax.local_devices()[:1]

    def save(self, path: str | Path) -> None:
        """Writes `model.safetensors`, which either backend loads."""
        save_weights(path, self.variables, self.config)


def load(
    path: str | Path, flip_test: bool = False, precision: Precision = "float32", device: Device | None = None
) -> Detector:
    """The detector in a `model.safetensors`, on this process's devices of the kind `device`; by default of the best
    kind.

    Raises ValueError, naming the file, if it holds no such model, or if there is no such device.
    """
    require_device(device)
    tensors, config = read_model_file(path)
    model = create_model(config, points_to_objects_kwargs=COCO_DECODING)
    expected = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    devices = [one for one in find_devices(device) if one.process_index == jax.process_index()]
    variables = replicate(load_weights(path, tensors, expected), devices)
    return Detector(config, model, variables, flip_test, precision)
