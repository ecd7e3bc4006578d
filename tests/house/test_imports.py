"""The rooms of the house: what may import what, and that the two backends mirror each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.absent import code_without

ROOT = Path(__file__).parents[2]
JAX, TORCH = {"jax", "jaxlib", "flax", "optax", "chex", "orbax"}, {"torch", "torchvision"}
DATA, JAX_SIDE, TORCH_SIDE = ROOT / "data" / "centernet_data", ROOT / "centernet_jax", ROOT / "centernet_torch"

FORBIDDEN = {
    DATA: JAX | TORCH | {"centernet_jax", "centernet_torch", "parity"},
    JAX_SIDE: TORCH | {"centernet_torch", "parity", "centernet"},
    TORCH_SIDE: JAX | {"centernet_jax", "parity", "centernet"},
}
FILES = [(folder, path) for folder in FORBIDDEN for path in sorted(folder.rglob("*.py"))]


def imports(tree):
    """The top-level packages that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield node.module.partition(".")[0]


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_there_are_files_to_look_at():
    assert {folder for folder, _ in FILES} == set(FORBIDDEN)
    assert len(FILES) > 30


@pytest.mark.parametrize(("folder", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])
def test_what_a_file_imports(folder, path):
    assert not set(imports(parse(path))) & FORBIDDEN[folder]


def run(code, absent=()):
    """Runs Python code in a new process in which some packages are not installed. Returns what it prints."""
    command = [sys.executable, "-c", code_without(absent) + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_absent_packages_are_not_found():
    code = "try:\n    import torch\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert run(code, TORCH) == "No module named 'torch'"


def test_torch_alone():
    assert run("import centernet_torch.detector", JAX) == ""


def test_jax_alone():
    assert run("import centernet_jax.detector", TORCH) == ""


def test_the_jax_side_does_not_import_torch():
    assert run("import centernet_jax, sys; print('torch' in sys.modules)") == "False"


def test_the_data_without_either():
    modules = [path.relative_to(DATA.parent).with_suffix("") for folder, path in FILES if folder == DATA]
    names = ", ".join(".".join(module.parts) for module in modules)
    assert run(f"import {names}", JAX | TORCH) == ""


@pytest.mark.parametrize(("backend", "absent"), [("jax", "jax"), ("torch", "torch")])
def test_a_missing_framework_is_one_line(backend, absent):
    code = f"""
from centernet.backends import open_backend
try:
    open_backend("{backend}")
except ValueError as error:
    print(error)
"""
    message = run(code, JAX | TORCH)
    assert message.startswith(f"--backend {backend} needs the package {absent}, which is not installed")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("absent", ["tensorflow_datasets", "array_record"])
def test_tfds_data_without_tfds_is_one_line(absent):
    code = """
from centernet_data.source import open_dataset
try:
    open_dataset("tfds:coco/2017", "train")
except ValueError as error:
    print(error)
"""
    expected = f'TFDS data sets need the package {absent}, which is not installed (pip install -e ".[tfds]")'
    assert run(code, {absent}) == expected


def test_tfds_data_without_tensorflow():
    assert run("from centernet_data.readers.tfds import import_tfds; import_tfds()", {"tensorflow"} | JAX | TORCH) == ""


def test_parity_without_torch_is_one_line():
    code = """
import contextlib, io, runpy, sys
sys.argv = ["centernet", "parity"]
with contextlib.redirect_stderr(io.StringIO()) as error, contextlib.suppress(SystemExit):
    runpy.run_module("centernet", run_name="__main__")
print(error.getvalue())
"""
    message = run(code, TORCH)
    assert message.startswith("centernet: parity needs both backends, but torch is not installed")
    assert len(message.splitlines()) == 1


def names(path):
    """The public classes and functions of a file, in their order."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [node.name for node in parse(path).body if isinstance(node, kinds) and not node.name.startswith("_")]


# What one side defines and the other need not, by file.
JAX_ONLY = {
    "backbone.py": {
        "Conv",  # nn.Conv2d, made by `conv` there; this one can keep its kernel's transform
        "BatchNorm",  # torch ships one, with the unbiased running variance
        "ConvTransposeKernel",  # its weights, named as torch names them
    },
    "detector.py": {
        "kernel_transforms",  # torch.compile computes with frozen weights what can be computed from them alone
    },
    "devices.py": {  # the torch side keeps to one device
        "find_devices",
        "devices_of",
        "local_devices_of",
        "mesh_of",
        "replicate",
        "shard_batch",
    },
    "network.py": {"apply"},  # calls a Flax module; a torch module is called as it is
    "weights.py": {  # there the variables have torch's names and layouts already
        "torch_name",
        "to_torch",
        "to_flax",
        "dtype_of",
    },
}
TORCH_ONLY = {
    "backbone.py": {
        "he_normal",  # jax ships it as an initializer
        "conv",  # makes nn.Conv2d; there the class Conv
    },
    "devices.py": {"find_device"},  # its one device
    "weights.py": {
        "to_numpy",  # the counterpart of to_torch
        "copy_weights",  # what jax.tree.map(jnp.copy, variables) is there
    },
}


def test_the_backends_have_the_same_files():
    jax_files, torch_files = (
        {path.name for path in side.iterdir() if path.is_file()} for side in (JAX_SIDE, TORCH_SIDE)
    )
    assert jax_files == torch_files


@pytest.mark.parametrize("file", [path.name for path in sorted(TORCH_SIDE.glob("*.py"))])
def test_the_backends_define_the_same_in_the_same_order(file):
    jax_names, torch_names = names(JAX_SIDE / file), names(TORCH_SIDE / file)
    jax_only, torch_only = JAX_ONLY.get(file, set()), TORCH_ONLY.get(file, set())
    assert jax_only == set(jax_names) - set(torch_names)
    assert torch_only == set(torch_names) - set(jax_names)
    assert [name for name in jax_names if name not in jax_only] == [n for n in torch_names if n not in torch_only]


def test_the_backends_export_the_same():
    exported = []
    for side in (JAX_SIDE, TORCH_SIDE):
        imported = [node for node in parse(side / "__init__.py").body if isinstance(node, ast.ImportFrom)]
        exported.append([(node.module.partition(".")[2], [alias.name for alias in node.names]) for node in imported])
    assert exported[0] == exported[1]
