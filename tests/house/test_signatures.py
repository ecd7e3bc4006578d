"""What can be called in one backend can be called in the other in the same way: the same options in the same order,
with the same defaults; and the same constants."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import centernet_torch

FILES = [path.stem for path in sorted(Path(centernet_torch.__file__).parent.glob("*.py")) if path.stem != "__init__"]

# What one side takes and the other does not, by file and name: the reason, and the parameters.
MODULES = "a torch module holds its weights, which here are given as variables"
MODE = "a torch module is put into training mode by train()"
WIDTH = "Flax takes the number of input channels from the input"
JAX_ONLY = {
    ("backbone", "BasicBlock.__call__"): (MODE, {"train"}),
    ("backbone", "HeadlessResnet34.__call__"): (MODE, {"train"}),
    ("backbone", "UpscaleTwiceLayer.__call__"): (MODE, {"train"}),
    ("backbone", "ResnetBackbone.__call__"): (MODE, {"train", "freeze_trunk"}),
    ("network", "CenterNet.__call__"): (MODE, {"train", "freeze_trunk"}),
    ("detector", "detect"): (MODULES, {"variables"}),
    ("detector", "heatmap"): (MODULES, {"variables"}),
    ("detector", "Detector"): (MODULES, {"variables"}),
    ("optimizer", "clip_by_global_norm"): ("there they are each parameter's `grad`", {"gradients"}),
    ("train", "apply_gradients"): ("there they lie in the model", {"gradients", "batch_stats"}),
    ("weights", "shapes"): ("torch's state dict needs no other names", {"variables"}),
    ("weights", "save_weights"): (MODULES, {"variables"}),
    ("weights", "load_weights"): (MODULES, {"expected"}),
    ("weights", "load_resnet"): ("there the trunk itself is given", {"variables", "prefix"}),
}
TORCH_ONLY = {
    ("backbone", "BasicBlock"): (WIDTH, {"in_channels"}),
    ("head", "Branch"): (WIDTH, {"in_channels"}),
    ("optimizer", "create_optimizer"): ("torch's optimizer holds the parameters", {"model"}),
    ("optimizer", "clip_by_global_norm"): ("of which the gradients are clipped", {"parameters"}),
    ("train", "create_model"): ("a torch module lies on a device from the start", {"device"}),
    ("weights", "shapes"): ("Flax variables by torch's names", {"tensors"}),
    ("weights", "save_weights"): (MODULES, {"module"}),
    ("weights", "load_weights"): (MODULES, {"module"}),
    ("weights", "load_resnet"): (MODULES, {"module"}),
}
OWN_TYPES = {("network", "normalize_images"): {"dtype"}}  # each framework's own float32
UNLIKE = {("train", "TrainState")}  # what it consists of is each framework's own; made by `create_state`


def public(module) -> dict:
    """The classes, functions and constants that a file defines, and the methods of its classes, by name."""
    found = {}
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", module.__name__) != module.__name__:
            continue
        if inspect.isclass(value):
            found[name] = value
            methods = {n: m for n, m in vars(value).items() if callable(m) or isinstance(m, classmethod)}
            wanted = {n for n in methods if not n.startswith("_")} | {"__call__"} & methods.keys()
            found |= {f"{name}.{n.replace('forward', '__call__')}": getattr(value, n) for n in wanted}
        elif inspect.isfunction(inspect.unwrap(value)) or (name.isupper() and not isinstance(value, type)):
            found[name] = value
    return found


def options(value, left_out) -> list[tuple[str, object]]:
    """The parameters of a call with their defaults, in order."""
    parameters = inspect.signature(value).parameters.items()
    return [(n, p.default) for n, p in parameters if n not in left_out | {"self", "parent", "name"}]


def unlike(file: str) -> list[str]:
    """What differs between the twins' file of that name."""
    ours, theirs = (public(import_module(f"{package}.{file}")) for package in ("centernet_jax", "centernet_torch"))
    found = []
    for name in sorted(n for n in ours.keys() & theirs.keys() if (file, n) not in UNLIKE):
        if name.isupper():
            sides = [ours[name], theirs[name]]
        else:
            own_types = OWN_TYPES.get((file, name), set())
            lists = ((ours, JAX_ONLY), (theirs, TORCH_ONLY))
            sides = [options(side[name], own_types | only.get((file, name), ("", set()))[1]) for side, only in lists]
        if sides[0] != sides[1]:
            found.append(f"{name}: {sides[0]} in JAX, {sides[1]} in torch")
    return found


@pytest.mark.parametrize("file", FILES)
def test_the_twins_take_the_same_options_with_the_same_defaults(file):
    assert unlike(file) == []


def test_every_exception_is_one():
    """A parameter in the lists that is not there any more, or has come to the other side too, leaves the lists."""
    for only, here, there in ((JAX_ONLY, "jax", "torch"), (TORCH_ONLY, "torch", "jax")):
        for (file, name), (_, parameters) in only.items():
            own, other = (
                {n for n, _ in options(public(import_module(f"centernet_{side}.{file}"))[name], set())}
                for side in (here, there)
            )
            assert parameters <= own - other, (file, name)


def test_another_default_confidence_is_noticed(monkeypatch):
    call = inspect.unwrap(centernet_torch.Detector.__call__)
    monkeypatch.setattr(call, "__defaults__", (0.2,))
    (message,) = unlike("detector")
    assert message.startswith("Detector.__call__: ")
    assert message.endswith("('min_confidence', 0.2)] in torch")


def test_another_constant_is_noticed(monkeypatch):
    monkeypatch.setattr("centernet_torch.head.CLASS_BIAS", -2.0)
    assert unlike("head") == ["CLASS_BIAS: -2.19 in JAX, -2.0 in torch"]


def test_it_looks_at_what_people_call():
    looked_at = {name for file in FILES for name in public(import_module(f"centernet_torch.{file}"))}
    assert set(centernet_torch.__all__) - {"__version__"} <= looked_at
    assert {"Detector.__call__", "Detector.of", "CenterNet.decode", "CenterNetLoss.__call__"} <= looked_at
