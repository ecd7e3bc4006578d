"""What the two packages refuse from Python: wrong options and arrays, in the same words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import centernet_jax
from centernet_data.contract.model_config import ModelConfig
from centernet_data.contract.recipe import Recipe

pytestmark = pytest.mark.usefixtures("as_users_call")
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("ObjectsToPoints.hw", [0, 16.0, "16", True, None, [16, 16], (16,), (16, 0)], "hw must be a whole number of"),
        ("ObjectsToPoints.num_classes", [0, 1.5, None], "num_classes must be a whole number of at least 1"),
        ("ObjectsToPoints.smooth_kernel_size", [2, -1, 3.0, None], "smooth_kernel_size must be 0 or odd"),
        ("ObjectsToPoints.targets", [None, "gaussian", ["fixed"]], "targets must be one of adaptive, exact, fixed"),
        ("PointsToObjects.objects_per_image", [0, -1, 2.5, None], "objects_per_image must be a whole number of"),
        ("PointsToObjects.min_confidence", [NAN, 2, -1, None, "0.5"], "min_confidence must be a number from 0 to 1"),
        ("PointsNonMaxSuppression.kernel_size", [0, 2, 3.0, None], "kernel_size must be odd"),
        ("ScaleObjects.scale", [0, -4, NAN, INFINITE, "4", None], "scale must be greater than 0 and finite"),
        ("CenterNetLoss.l_size_lambda", [-1, NAN, None], "l_size_lambda must be at least 0 and finite"),
        ("CenterNetLoss.l_offset_lambda", [-1, INFINITE, "1"], "l_offset_lambda must be at least 0 and finite"),
        ("CenterNetLoss.r_scale", [0, -4, NAN, None], "r_scale must be greater than 0 and finite"),
        ("CenterNetLoss.normalization", [None, "none"], "normalization must be one of batch, image"),
        ("CenterNetLoss.from_logits", [None, 1, "yes"], "from_logits must be True or False"),
        ("CenterNetLoss.hw", [0, [16, 16]], "hw must be a whole number of cells"),
        ("CenterNetLoss.num_classes", [0, 2.0], "num_classes must be a whole number of at least 1"),
        ("CenterNetLoss.obj_to_points", ["fixed", 3], "obj_to_points must be centernet_.*ObjectsToPoints, not"),
        ("CenterNetHead.c_classes", [0, 2.0, None], "c_classes must be a whole number of at least 1"),
        ("CenterNetHead.hidden_channels", [0, "8"], "hidden_channels must be a whole number of at least 1"),
        ("CenterNet.head_kwargs", [{"c_classes": 0}], "c_classes must be a whole number of at least 1, not 0"),
        ("CenterNet.nms_kwargs", [{"kernel_size": 2}], "kernel_size must be odd and at least 1, not 2"),
        ("CenterNet.points_to_objects_kwargs", [{"min_confidence": 3}], "min_confidence must be a number from 0 to 1"),
        ("CenterNet.backbone_kwargs", [{"pretrained": "resnet.pth"}], "give pretrained to CenterNet itself"),
    ],
)
def test_options_out_of_range_are_refused(twin, name, values, message):
    module, option = name.split(".")
    for value in values:
        with pytest.raises(ValueError, match=message):
            make(getattr(twin.package, module), **{option: value})


def make(module, **options):
    """Makes a module; a network of Flax makes its parts, and reads files, when it is initialised."""
    made = module(**options)
    if isinstance(made, centernet_jax.CenterNet | centernet_jax.ResnetBackbone):
        jax.eval_shape(made.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return made


@pytest.mark.parametrize("options", [{"targets": "exact"}, {"hw": 8}, {"num_classes": 3}, {"smooth_kernel_size": 5}])
def test_options_that_an_obj_to_points_would_hide_are_refused(twin, options):
    targets = twin.package.ObjectsToPoints(16, 2)
    with pytest.raises(ValueError, match="would be ignored; give only one"):
        twin.package.CenterNetLoss(obj_to_points=targets, **options)
    twin.package.CenterNetLoss(obj_to_points=targets, hw=16, num_classes=2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (True, "True is not a path: give that of a file of weights"),
        ("imagenet", "imagenet: there is no such file; give a file of weights"),
        ("https://a.org/resnet.pth", r"https://a\.org/resnet\.pth: there is no such file; .*nothing is downloaded"),
        ("/", "/: a folder; give a file of weights"),
    ],
)
@pytest.mark.parametrize("module", ["CenterNet", "ResnetBackbone"])
def test_pretrained_must_be_a_file(twin, module, path, message):
    with pytest.raises(ValueError, match=message):
        make(getattr(twin.package, module), pretrained=path)


def test_a_flax_network_is_hashable_whatever_its_arguments_were_written_as():
    options = {"head_kwargs": {"c_classes": 3}, "backbone_kwargs": {"depth": 18, "hidden_channels": [8, 8]}}
    model, other = (centernet_jax.CenterNet(**options) for _ in range(2))
    assert hash(model) == hash(other)
    assert model == other
    assert model.num_classes == 3


POINTS = np.random.default_rng(0).uniform(0, 1, (1, 8, 8, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (POINTS[0], r"points must be floating point \[B, .*\], not float32 \[8, 8, 6\]"),
        (POINTS.astype(np.int32), r"points must be floating point \[B, .*\], not int32"),
        (POINTS[..., :4], "points must have a channel for each class and 4 more.* not 4 in all"),
    ],
)
def test_points_of_another_form_are_refused(twin, points, message):
    objects = twin.array(rows())
    modules = [twin.package.PointsToObjects(), twin.package.PointsNonMaxSuppression()]
    for call in (*modules, lambda given: twin.package.CenterNetLoss()(given, objects)):
        with pytest.raises(ValueError, match=message):
            call(twin.array(points))


def rows(*row, count=1):
    objects = np.zeros((1, count, 6), np.float32)
    objects[0, 0] = row or (8, 8, 4, 4, 1, 1)
    return objects


# By name: objects, and what must be said of them.
WRONG_OBJECTS = {
    "rank": (rows()[0], r"objects must be floating point \[B, N, 6\], not float32 \[1, 6\]"),
    "columns": (rows()[..., :5], r"objects must be floating point \[B, N, 6\], not float32 \[1, 1, 5\]"),
    "whole numbers": (rows().astype(np.int32), r"objects must be floating point \[B, N, 6\], not int32"),
    "class 2 of 2": (rows(8, 8, 4, 4, 2, 1), r"objects\[0, 0\] = \(8, 8, 4, 4, 2, 1\): the class must be .* 0 to 1"),
    "class -1": (rows(8, 8, 4, 4, -1, 1), "the class must be a whole number from 0 to 1"),
    "class 0.5": (rows(8, 8, 4, 4, 0.5, 1), "the class must be a whole number from 0 to 1"),
    "class NaN": (rows(8, 8, 4, 4, NAN, 1), "the class must be a whole number from 0 to 1"),
    "NaN": (rows(NAN, 8, 4, 4, 1, 1), "the box must be finite"),
    "infinite": (rows(8, 8, INFINITE, 4, 1, 1), "the box must be finite"),
    "inside out": (rows(8, 8, -4, 4, 1, 1), "height and width must be at least 0"),
    "a score": (rows(8, 8, 4, 4, 1, 0.5), "the confidence must be 1 in a real row and 0 in padding"),
}
cases = pytest.mark.parametrize(("objects", "message"), WRONG_OBJECTS.values(), ids=WRONG_OBJECTS)


@cases
def test_wrong_objects_are_refused(twin, objects, message):
    calls = [twin.package.ObjectsToPoints(8, 2), lambda o: twin.package.CenterNetLoss()(twin.array(POINTS), o)]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(twin.array(objects))


@cases
def test_wrong_objects_are_refused_before_a_step(twin, objects, message):
    batch = {"image": np.zeros((1, 32, 32, 3), np.uint8), "objects": objects}
    with pytest.raises(ValueError, match=message):
        twin.package.train_step(Untrained(), batch)


class Untrained:
    """As much of a state as there is to look at before a step begins."""

    class model:
        num_classes = 2


@pytest.mark.parametrize(
    ("image", "objects", "message"),
    [
        (np.zeros((1, 32, 32, 3), np.float32), rows(), r'batch\["image"\] must be uint8 \[B, H, W, 3\], not float32'),
        (np.zeros((1, 3, 32, 32), np.uint8), rows(), r"not uint8 \[1, 3, 32, 32\]"),
        (np.zeros((32, 32, 3), np.uint8), rows(), r"not uint8 \[32, 32, 3\]"),
        (np.zeros((1, 48, 32, 3), np.uint8), rows(), "multiples of 32, not 48 x 32"),
        (np.zeros((2, 32, 32, 3), np.uint8), rows(), "pictures of 2 images and objects of 1"),
        (np.zeros((0, 32, 32, 3), np.uint8), rows()[:0], "at least one"),
        ([[0]], rows(), r'batch\["image"\] must be uint8 \[B, H, W, 3\], not list'),
        (None, None, r"a batch must be .*, not \[\]"),
    ],
)
def test_wrong_batches_are_refused(twin, image, objects, message):
    batch = {} if image is None else {"image": image, "objects": objects}
    with pytest.raises(ValueError, match=message):
        twin.package.train_step(Untrained(), batch)


def test_logits_are_refused_where_the_loss_takes_probabilities(twin):
    message = r"must be probabilities, but reach from .* give CenterNetLoss\(from_logits=True\)"
    with pytest.raises(ValueError, match=message):
        twin.package.CenterNetLoss()(twin.array(POINTS * 3 - 1), twin.array(rows()))


def traced(twin, monkeypatch):
    """The loss where its arrays' values cannot be looked at, as in a compiled function."""
    if twin.name == "jax":
        return TRACED
    monkeypatch.setattr(twin.package.loss, "host_values", lambda array: None)
    return twin.package.CenterNetLoss()


TRACED = jax.jit(centernet_jax.CenterNetLoss())


@pytest.mark.parametrize("wrong", ["class 2 of 2", "class -1", "class 0.5", "class NaN", "NaN"])
def test_where_no_values_can_be_looked_at_the_loss_of_wrong_objects_is_nan(twin, monkeypatch, wrong):
    loss = traced(twin, monkeypatch)
    assert np.isnan(np.asarray(loss(twin.array(POINTS), twin.array(WRONG_OBJECTS[wrong][0]))).sum())


def test_where_no_values_can_be_looked_at_the_loss_of_logits_is_nan(twin, monkeypatch):
    loss = traced(twin, monkeypatch)
    assert np.isfinite(np.asarray(loss(twin.array(POINTS), twin.array(rows())))).all()
    assert np.isnan(np.asarray(loss(twin.array(POINTS * 3 - 1), twin.array(rows())))[0, 0])


def test_shapes_that_would_be_broadcast_are_refused(twin):
    loss, scores = twin.package.loss, twin.array(POINTS)
    with pytest.raises(ValueError, match=r"logits \[1, .*\] and target \[1, .*\] must have the same shape"):
        loss.focal_loss(scores, scores[:, :1])
    cells = twin.package.convert.objects_to_cells(twin.array(rows(count=3)), (8, 8))
    regression = scores[..., :2] if twin.name == "jax" else scores[:, :2]
    for target in (cells.offset[:, :1], cells.offset[..., :1]):
        with pytest.raises(ValueError, match=r"target .* and cells \[1, 3, 2\] must have the same shape"):
            loss.l1_loss(regression, target, cells)


IMAGES = np.zeros((1, 32, 32, 3), np.float32)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.uint8), "the network's images must be floating point .*normalize_images makes them"),
        (IMAGES[..., :2], r"the network's images must be floating point \[B, "),
        (IMAGES[0], r"the network's images must be floating point \[B, .*, not float32 \[32, 32, 3\]"),
        (IMAGES[:, :16], "multiples of 32, not 16 x 32"),
    ],
)
def test_wrong_images_are_refused_by_the_network(twin, images, message):
    model = twin.package.CenterNet(backbone_kwargs={"depth": 18})
    with pytest.raises(ValueError, match=message):
        _network(model)(twin.array(images))


def test_images_of_the_other_layout_are_refused_by_the_network(twin):
    model = twin.package.CenterNet(backbone_kwargs={"depth": 18})
    other = torch.zeros(1, 32, 32, 3) if twin.name == "torch" else jnp.zeros((1, 3, 32, 32))
    with pytest.raises(ValueError, match="this network's layout is N"):
        _network(model)(other)


def _network(model):
    if isinstance(model, centernet_jax.CenterNet):
        return lambda images: jax.eval_shape(model.init, jax.random.key(0), images)
    return model


def test_normalising_takes_uint8_only(twin):
    with pytest.raises(ValueError, match=r"images must be uint8 \[B, H, W, 3\], not float32"):
        twin.package.normalize_images(jnp.zeros((1, 2, 2, 3)) if twin.name == "jax" else torch.zeros(1, 2, 2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 0}, "total_steps must be a whole number of at least 1, not 0"),
        ({"total_steps": "3"}, "total_steps must be a whole number of at least 1, not '3'"),
        ({"learning_rate": "0.1"}, "--learning-rate must be greater than 0 and finite"),
        ({"warmup": None}, "--warmup must be at least 0 and less than 1"),
        ({"weight_decay": NAN}, "--weight-decay must be at least 0 and finite"),
        ({"accumulate": 1.5}, "--accumulate must be a whole number"),
        ({"remat": "no"}, "--remat must be True or False"),
        ({"normalization": "none"}, "normalization must be one of batch, image"),
    ],
)
def test_recipes_of_other_types_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"total_steps": 1, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["cat"]}, r'classes must be a tuple of names, such as \("cat", "dog"\), not \["?\'?cat'),
        ({"classes": "cat"}, "classes must be a tuple of names"),
        ({"image_size": 32}, r"image_size must be a tuple \(height, width\) of multiples of 32, not 32"),
        ({"kernel_size": 3.0}, "kernel_size must be 3 or 4, not 3.0"),
        ({"depth": True}, "depth must be 18 or 34, not True"),
    ],
)
def test_configurations_of_other_types_say_what_to_give(options, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{"classes": ("cat",), "image_size": (32, 32), **options})
