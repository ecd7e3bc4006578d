"""A trained model in use: uint8 pictures of any size in, boxes in those pictures' own pixels out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8

from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.precision import Precision, require_precision
from centernet_data.contract.weights_file import read_model_file
from centernet_data.detection import Picture, detect_pictures, show_heatmaps
from centernet_jax.cpu.primitives import compiler_options
from centernet_jax.network import CenterNet, average_flipped, normalize_images
from centernet_jax.train import TrainState, create_model, mesh_of, replicate
from centernet_jax.weights import load_weights, save_weights

EVERYTHING = {"objects_per_image": 100, "min_confidence": 0.0}  # COCO's average precision counts 100 per picture


@partial(jax.jit, static_argnums=(0, 3, 4))
def detect(
    model: CenterNet,
    variables: dict,
    images: UInt8[Array, "b h w 3"],
    flip_test: bool = False,
    precision: Precision = "float32",
) -> Float[Array, "b n 6"]:
    """uint8 RGB images to objects in pixels of the input, best first: normalise, network, peaks, top-k, boxes.

    With `flip_test` the network also looks at the mirror images, and what it says of both is averaged. In `precision`
    "bfloat16" the network computes up to its logits, all else in float32; "float32" is the variables' own.
    """
    return model.apply(variables, _points(model, variables, images, flip_test, precision), method="decode")


@partial(jax.jit, static_argnums=(0, 3, 4))
def heatmap(
    model: CenterNet,
    variables: dict,
    images: UInt8[Array, "b h w 3"],
    flip_test: bool = False,
    precision: Precision = "float32",
) -> Float[Array, "b h4 w4"]:
    """uint8 RGB images to the highest class probability of each cell, with the options of `detect`."""
    return _points(model, variables, images, flip_test, precision)[..., :-4].max(-1)


def _points(
    model: CenterNet, variables: dict, images: UInt8[Array, "b h w 3"], flip_test: bool, precision: Precision
) -> Float[Array, "b h4 w4 p"]:
    dtype = jnp.dtype("bfloat16") if precision == "bfloat16" else jax.tree.leaves(variables)[0].dtype
    images = normalize_images(images, dtype)
    points = model.apply(variables, images)
    return average_flipped(points, model.apply(variables, images[:, :, ::-1])) if flip_test else points


@partial(jax.jit, static_argnums=(0, 2))
def kernel_transforms(model: CenterNet, variables: dict, shape: tuple[int, int, int, int]) -> dict:
    """What can be computed of the weights alone for images of shape [B, H, W, 3]: more variables, of the collection
    "transforms", with which the model's results are the same and a CPU has them sooner."""
    images = jnp.zeros(shape, jax.tree.leaves(variables)[0].dtype)
    return model.apply(variables, images, mutable="transforms")[1]


def on_local_devices(variables: dict) -> dict:
    """The variables on each of this process's devices: several processes look at different pictures."""
    return replicate(jax.local_devices(), variables)


def split_over_local_devices(images: UInt8[np.ndarray, "b h w 3"]) -> UInt8[Array, "c h w 3"]:
    """The images in equal parts on this process's devices, with as many black ones behind them as that takes."""
    missing = -len(images) % jax.local_device_count()
    padded = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images
    return jax.device_put(padded, NamedSharding(mesh_of(jax.local_devices()), P("batch")))


@cache
def _compiled(platform: str, dtype: jnp.dtype):
    return jax.jit(_on_each_device, static_argnums=(0, 1, 4, 5), compiler_options=compiler_options(platform, dtype))


def _on_each_device(
    function: Callable, model: CenterNet, variables: dict, images: UInt8[Array, "b h w 3"], *options
) -> Float[Array, "b ..."]:
    # Told to XLA by the arrays' sharding alone, the best hundred would be chosen of all images on every device.
    def part(variables, images):
        return function(model, variables, images, *options)

    mesh = mesh_of(jax.local_devices())
    return jax.shard_map(part, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P("batch"))(variables, images)


@dataclass(frozen=True)
class Detector:
    """A model with its weights. Called with pictures (uint8 RGB [H, W, 3], of any sizes), it returns for each an
    array [n, 6] of (y_centre, x_centre, height, width, class, confidence), best first, in that picture's pixels;
    `config.classes` names the classes. With `flip_test` it looks at each picture and its mirror image. In `precision`
    "bfloat16" the network computes, with the same weights; it is for accelerators."""

    config: ModelConfig
    model: CenterNet
    variables: dict
    flip_test: bool = False
    precision: Precision = "float32"

    def __post_init__(self):
        require_precision(self.precision)

    @classmethod
    def of(
        cls, state: TrainState, config: ModelConfig, flip_test: bool = False, precision: Precision = "float32"
    ) -> "Detector":
        """The detector that a training state amounts to: with a copy of the moving average of its weights."""
        # A copy, as the next step uses the state's memory anew.
        variables = on_local_devices(jax.tree.map(lambda array: jnp.array(array.addressable_data(0)), state.ema))
        return cls(config, create_model(config, points_to_objects_kwargs=EVERYTHING), variables, flip_test, precision)

    def __call__(self, pictures: Sequence[Picture], min_confidence: float = 0.1) -> list[Float[np.ndarray, "n 6"]]:
        return detect_pictures(self.detect, pictures, self.config, min_confidence)

    def heatmaps(self, pictures: Sequence[Picture]) -> list[Float[np.ndarray, "h w"]]:
        """For each picture the highest class probability at each of its pixels."""
        return show_heatmaps(self.heatmap, pictures, self.config)

    def detect(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b n 6"]:
        """Images of the network's input size to padded objects in its pixels."""
        return self._of_all(detect, images)

    def heatmap(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b h4 w4"]:
        """Images of the network's input size to the highest class probability of each cell."""
        return self._of_all(heatmap, images)

    def _of_all(self, function: Callable, images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b ..."]:
        """What `detect` or `heatmap` says of images, of which each of this process's devices takes its part."""
        run = _compiled(jax.default_backend(), jax.tree.leaves(self.variables)[0].dtype)
        split = split_over_local_devices(images)
        variables = self.variables_for((len(split) // jax.local_device_count(), *split.shape[1:]))
        return np.asarray(run(function, self.model, variables, split, self.flip_test, self.precision))[: len(images)]

    @cached_property
    def variables_for(self) -> Callable[[tuple[int, int, int, int]], dict]:
        """The variables, on a CPU with what `kernel_transforms` makes of them for images of that shape.

        With it a detection by ResNet-34 of 8 x 256 x 256 takes 0.34 s instead of 0.40, on two cores, and 210 MB more.
        """
        model, variables = self.model, self.variables  # a function that held the detector would keep it alive
        keeps = jax.default_backend() == "cpu" and self.precision == "float32"

        @lru_cache(maxsize=2)  # full batches, and a last smaller one
        def variables_for(shape: tuple[int, int, int, int]) -> dict:
            return variables | kernel_transforms(model, variables, shape) if keeps else variables

        return variables_for

    def save(self, path: str | Path) -> None:
        """Writes `model.safetensors`, which either backend loads."""
        save_weights(path, self.variables, self.config)


def load(path: str | Path, flip_test: bool = False, precision: Precision = "float32") -> Detector:
    """The detector in a `model.safetensors`. ValueError names the file if it holds no such model."""
    tensors, config = read_model_file(path)
    model = create_model(config, points_to_objects_kwargs=EVERYTHING)
    expected = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return Detector(config, model, on_local_devices(load_weights(path, tensors, expected)), flip_test, precision)
