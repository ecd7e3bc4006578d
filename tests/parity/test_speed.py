"""The benchmark of both backends: what it reports, not how fast they are."""

import json
from dataclasses import replace
from io import StringIO

import jax
import numpy as np
import pytest
from rich.console import Console

from centernet.cli import main
from centernet.commands import bench_report as bench
from helpers.small_data import refused
from parity.bench import fresh, jax_work, measure, torch_work
from parity.bench.flops import flop_per_image
from parity.bench.result import COMPILED, EAGER, JAX, Process, Timing, shares, speeds
from parity.bench.task import Task
from parity.bench.timing import in_turn, median_ratio

TASK = Task(batch_size=4, image_size=(64, 96), classes=3, objects=5, depth=18, dtype="float32")
# Slow and fast rounds. In each round JAX takes twice the time, but the ratio of the medians would be 3.
TRAINING = Timing("training", TASK, {JAX: [2.0, 6.0, 8.0], EAGER: [1.0, 2.0, 4.0], COMPILED: [1.5, 2.5, 4.0]})
LOSS = Timing("loss", TASK, {JAX: [0.3, 0.3, 0.3], EAGER: [0.2, 0.2, 0.2], COMPILED: [0.1, 0.1, 0.1]})


def printed(show, *arguments):
    text = StringIO()
    show(*arguments, Console(file=text, width=80))
    return text.getvalue()


def test_the_ratio_is_the_median_of_the_rounds():
    assert median_ratio([1, 2, 4], [2, 6, 8]) == 0.5
    assert TRAINING.ratio == 0.5
    with pytest.raises(ValueError, match="zip"):
        median_ratio([1], [1, 2])


def test_the_faster_form_of_torch_counts():
    assert TRAINING.best_torch == EAGER
    assert LOSS.best_torch == COMPILED
    assert LOSS.ratio == pytest.approx(1 / 3)
    assert TRAINING.images_per_second(JAX) == pytest.approx(4 / 6)
    assert Timing("loss", TASK, {JAX: [1.0], EAGER: [3.0]}).best_torch == EAGER


def test_tasks_take_turns_after_warm_up(monkeypatch):
    monkeypatch.setattr("parity.bench.timing.LEAST_SECONDS", 0)
    called = []
    seconds = in_turn({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3)
    assert called[-6:] == list("ababab")
    assert set(called[:-6]) == {"a", "b"}
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_quick_work_is_called_many_times_in_one_timing():
    called = []
    in_turn({"a": lambda: called.append(0)}, 1)
    assert len(called) > 100


def test_shares_are_of_the_same_task_and_side():
    (found,) = shares([LOSS, TRAINING, Timing("decoding", TASK, LOSS.seconds)])
    assert (found.part, found.whole) == ("loss", "training")
    assert found.of == {JAX: pytest.approx(0.3 / 6), EAGER: pytest.approx(0.1 / 2)}
    assert "5.0%   5.0%" in printed(bench.print_shares, [found])


def test_speeds_are_work_by_time():
    (found,) = speeds([TRAINING, LOSS], {(TASK, "training"): 3e9}, limit=8e9)
    assert found.flop_per_second == {JAX: 2e9, EAGER: 6e9}
    text = printed(bench.print_speeds, [found])
    assert "3.0      2 (25%)        6 (75%)" in text
    assert "a matrix product in this process, 8 GFLOP/s" in text


def test_the_tables_fit_into_80_columns():
    failed = Process(COMPILED, "detection", TASK, failed="ended with status 1: no compiler")
    done = Process(JAX, "training", TASK, 31.26, 9.0, 3 * 2**20)
    text = printed(bench.print_timings, [TRAINING, LOSS]) + printed(bench.print_processes, [done, failed])
    assert max(map(len, text.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "training step 0.50 0.7 2.0 1.6" in lines
    assert "training step, 4 of 64 x 96: JAX 31.3 9.0 3" in lines
    assert "detection, 4 of 64 x 96: torch.compile ended with status 1: no compiler" in lines
    assert printed(bench.print_timings, []) == ""


def test_the_arithmetic_is_that_of_the_convolutions():
    forward = flop_per_image(TASK, "forward")
    assert 0.2e9 < forward < 1e9
    stem = 2 * 64 * 7 * 7 * 3 * 32 * 48  # no gradient with respect to the image
    assert flop_per_image(TASK, "training") == 3 * forward - stem


def test_the_input_is_the_same_each_time_and_as_large_as_said():
    batch, again = TASK.batch(), TASK.batch()
    assert batch["image"].shape == (4, 64, 96, 3)
    assert batch["objects"].shape == (4, 5, 6)
    for name in batch:
        np.testing.assert_array_equal(batch[name], again[name])
    assert (batch["objects"][..., 2:4] >= 4).all()


@pytest.mark.parametrize("part", ["loss", "decoding"])
def test_both_sides_do_the_same_work(part):
    ours, theirs = jax_work.WORK[part](TASK)(), torch_work.WORK[part](TASK)()
    if part == "decoding":
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    else:
        np.testing.assert_allclose(np.asarray(ours[1]).transpose(0, 3, 1, 2), theirs[0], atol=1e-5)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # restored for other tests


TINY = ["--depth", "18", "--image-sizes", "64", "--batch-sizes", "1", "--classes", "3", "--objects", "4"]
TINY += ["--rounds", "1", "--no-torch-compile"]
# All but forward, which compiles what detection compiles.
TINY += ["--parts", "detection", "training", "loss", "decoding", "flops", "process"]


@pytest.mark.slow
def test_in_bfloat16_only_the_network_computes():
    task = replace(TASK, dtype="bfloat16")
    assert (task.weights_dtype, task.precision, task.recipe.precision) == ("float32", "bfloat16", "bfloat16")
    assert task.points().dtype == np.float32
    assert {array.dtype for array in jax.tree.leaves(jax_work._fresh(task).params)} == {np.dtype("float32")}
    for works in (jax_work.WORK, torch_work.WORK):
        narrow, wide = (np.asarray(works["forward"](one)()) for one in (task, TASK))
        assert narrow.dtype == wide.dtype == np.float32
        assert 1e-4 < np.abs(narrow - wide).max() < 0.1


@pytest.mark.slow
def test_the_command_prints_its_tables_and_writes_the_numbers(no_gpu, tmp_path, capsys, monkeypatch):
    asked = []

    def told(side, part, task, device):
        asked.append((side, part, task.batch_size, device))
        return Process(side, part, task, 3.0, 2.0, 2**30)

    monkeypatch.setattr(measure, "in_fresh_process", told)
    monkeypatch.setitem(measure.MATRIX_SIDE, "cpu", 64)
    path = tmp_path / "bench.json"
    assert main(["bench", *TINY, "--json", str(path)]) == 0
    text = capsys.readouterr().out
    for line in ("1 of 64 x 64", "decoding in a detection", "in a process of its own", "1,024"):
        assert line in text
    numbers = json.loads(path.read_text())
    assert [one["part"] for one in numbers["timings"]] == ["detection", "training", "loss", "decoding"]
    assert all(one["torch"] == EAGER and one["ratio"] > 0 for one in numbers["timings"])
    assert [one["part"] for one in numbers["speeds"]] == ["training"]
    assert numbers["settings"]["rounds"] == 1
    assert numbers["machine"]["jax"]
    assert asked == [(side, part, 1, "cpu") for part in ("training", "detection") for side in (JAX, EAGER)]


def test_where_torch_cannot_compile_it_says_so(monkeypatch):
    def cannot(task, compiled=False):
        def work():
            if compiled:
                raise RuntimeError("\nno C++ compiler\nat all")

        return work

    monkeypatch.setitem(torch_work.WORK, "loss", cannot)
    notes = []
    timing = measure.measure("loss", TASK, 1, True, notes)
    assert timing.seconds.keys() == {JAX, EAGER}
    assert notes == ["torch.compile is left out of targets and losses, 4 of 64 x 96: no C++ compiler"]


def test_a_new_process_reports_time_and_memory():
    ballast = np.ones(2**27)  # this GiB does not count in that process
    found = fresh.in_fresh_process(EAGER, "loss", TASK, "cpu")
    assert found.failed is None
    assert found.cold_seconds > 0.1
    assert found.warm_seconds > 0.1
    assert 50 * 2**20 < found.peak_bytes < ballast.nbytes


def test_a_failed_process_is_reported():
    found = fresh.in_fresh_process(EAGER, "nonsense", TASK, "cpu")
    assert found.failed == "ended with status 1: KeyError: 'nonsense'"
    assert found.peak_bytes is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-sizes", "100"], "--image-sizes must be multiples of 32, not 100"),
        (["--batch-sizes", "0"], "must be at least 1"),
        (["--rounds", "0"], "must be at least 1"),
    ],
)
def test_bad_settings_are_refused(options, message, capsys):
    assert message in refused(capsys, "bench", *options)


def test_bad_input_is_one_line(no_gpu, capsys, monkeypatch):
    monkeypatch.setattr("parity.bench.jax_work.jax.default_backend", lambda: "cpu")
    cases = {("--json", "absent/a.json"): "its folder does not exist", ("--device", "gpu"): "JAX finds no such device"}
    for options, message in cases.items():
        assert main(["bench", *options]) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert len(shown.splitlines()) == 1
