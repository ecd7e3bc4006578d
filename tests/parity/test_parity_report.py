"""What a comparison reports: how much differs, where, and the verdict."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jax import numpy as jnp

import centernet_torch
from centernet import cli
from centernet_data.synthetic.shapes import ShapesDataset
from helpers.parity_cases import RECIPE, SMALL
from parity import check
from parity.detections import compare_boxes
from parity.difference import Difference, difference, verdict
from parity.match import in_the_same_order
from parity.numerics import numerics


def test_a_difference_says_where_and_how_far():
    theirs = {"a": np.array([1.0, -4.0]), "b": np.zeros((2, 3))}
    ours = {"a": np.array([1.0, -4.0]), "b": np.zeros((2, 3))}
    assert difference("s", ours, theirs, 0) == Difference("s", "a[0]", 0, 0, 0)
    ours["b"][1, 2] = 0.5
    found = difference("s", ours, theirs, 0.1)
    assert (found.where, found.max_abs, found.max_rel) == ("b[1, 2]", 0.5, 0.125)
    assert not found.agrees
    assert difference("s", ours, theirs, 0.125).agrees


@pytest.mark.parametrize(("ours", "theirs"), [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)])
def test_nan_equals_nothing(ours, theirs):
    found = difference("s", {"a": np.array([0.0, ours])}, {"a": np.array([0.0, theirs])}, math.inf)
    assert found.where == "a[1]"
    assert math.isnan(found.max_rel)
    assert not found.agrees  # not even within an infinite bound


def test_an_infinite_number_agrees_with_no_finite_one():
    found = difference("s", {"a": np.array([0.0, math.inf])}, {"a": np.array([0.0, 1.0])}, 1e300)
    assert (found.where, found.max_rel) == ("a[1]", math.inf)
    assert not found.agrees


def test_one_nan_outweighs_every_number():
    ours = {"a": np.array([100.0]), "b": np.array([math.nan])}
    found = difference("s", ours, {"a": np.array([0.0]), "b": np.array([0.0])}, 1)
    assert found.where == "b[0]"
    assert not found.agrees


@pytest.mark.parametrize(
    ("ours", "where"),
    [
        ({}, "a: only in torch"),
        ({"a": np.zeros(2), "b": np.zeros(1)}, "b: only in JAX"),
        ({"a": np.zeros(3)}, "a: shape (3,) in JAX, (2,) in torch"),
        ({"a": np.zeros(2, np.float32)}, "a: dtype float32 in JAX, float64 in torch"),
    ],
)
def test_what_cannot_be_compared_differs(ours, where):
    found = difference("s", ours, {"a": np.zeros(2)}, 1)
    assert found.where == where
    assert not found.agrees


def test_comparing_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        difference("s", {}, {}, 1)


def test_any_difference_from_a_stage_of_zeros_is_infinite():
    assert difference("s", {"a": np.array([1e-30])}, {"a": np.array([0.0])}, 1e9).max_rel == math.inf
    assert difference("s", {"a": np.array([0.0])}, {"a": np.array([0.0])}, 0).agrees


def test_nothing_detected_is_no_agreement():
    nothing = [np.zeros((0, 6))]
    found = list(compare_boxes(nothing, nothing, "float64", 1.0, "detections"))
    assert not any(one.agrees for one in found)


def test_boxes_find_their_partners():
    rng = np.random.default_rng(0)
    theirs = np.column_stack([rng.uniform(0, 100, (20, 4)), rng.integers(0, 3, 20), np.linspace(1, 0.1, 20)])
    theirs[7, :4] = theirs[3, :4]  # one place, two classes
    theirs[7, 4], theirs[3, 4] = 0, 1
    ours = theirs[rng.permutation(20)] + 1e-9 * (np.arange(6) != 4)
    found, expected = in_the_same_order(ours, theirs)
    assert len(expected) == 19  # the one of the lowest score is left out
    np.testing.assert_array_equal(found[:, 4], expected[:, 4])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_verdict_names_the_first_stage_that_differs():
    found = [Difference("stem", "a[0]", 0, 1e-12, 1e-10), Difference("layer1", "b[2]", 1, 0.5, 1e-10)]
    found.append(Difference("layer2", "c", 2, math.nan, 1e-10))
    assert verdict(found[:1]) == "one detector: all 1 stages agree"
    assert verdict(found) == (
        "NOT one detector: 2 of 3 stages differ, the first of them 'layer1', by 5.0e-01 (bound 1.0e-10) at b[2]"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a small model."""
    path = tmp_path_factory.mktemp("parity") / "model.safetensors"
    save_model(path, ShapesDataset.classes)
    return path


def save_model(path, classes):
    """Untrained, but with scores that differ from place to place."""
    config = replace(SMALL, classes=classes)
    state = centernet_torch.create_state(config, RECIPE)
    state.ema["head.heatmap.conv2.weight"].mul_(300)
    centernet_torch.Detector.of(state, config).save(path)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_command_checks_a_model(model, tmp_path, capsys, monkeypatch, dtype):
    monkeypatch.setattr("centernet_data.synthetic.shapes.ShapesDataset.default_counts", {"train": 20, "val": 4})
    report = tmp_path / "parity.json"
    arguments = ["parity", str(model), "--data", "shapes", "--steps", "2", "--dtype", dtype, "--json", str(report)]
    assert cli.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["stage", "max", "abs", "max", "rel", "bound"]
    assert lines[-1].startswith("one detector: all ")
    written = json.loads(report.read_text())
    assert written["agrees"] is True
    assert written["settings"]["dtype"] == dtype
    names = [stage["stage"] for stage in written["stages"]]
    assert names[0] == "as given: eval: images"
    assert names[-2:] == ["4 pictures: scores", "average precision"]
    assert len(names) == len(lines) - 2


def test_the_command_ends_with_1_where_a_bound_is_broken(model, capsys, monkeypatch):
    broken = [Difference("stem", "a[0]", 1, 0.5, 1e-10)]
    monkeypatch.setattr(check, "compare", lambda *_: iter(broken))
    monkeypatch.setattr(check, "compare_small_runs", lambda *_: iter([]))
    assert cli.main(["parity", str(model), "--steps", "1"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.safetensors"], "nowhere.safetensors"),
        (["--json", "nowhere/parity.json"], "its folder does not exist"),
        (["two.safetensors", "--data", "shapes"], "its classes (circle, square, triangle) differ from those of two."),
        (["three.safetensors", "--data", "shapes"], "shapes: [val] has no pictures"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(Path("two.safetensors"), ("one", "two"))
    save_model(Path("three.safetensors"), ShapesDataset.classes)
    monkeypatch.setattr("centernet_data.synthetic.shapes.ShapesDataset.default_counts", {"train": 20, "val": 0})
    assert cli.main(["parity", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("parity.numerics.torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="--device gpu"), numerics("float32", "gpu"):
        pass


def test_numerics_are_restored():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with numerics("float64"):
        assert jnp.zeros(()).dtype == "float64"
        assert not torch.backends.cuda.matmul.allow_tf32
    assert jnp.zeros(()).dtype == "float32"
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
