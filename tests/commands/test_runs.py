"""Runs side by side: differing settings, progress and results."""

import json

import pytest
import tomli_w

from centernet.cli import main
from centernet.commands.runs import find_runs, read_run
from centernet.training.run_folder import RunFolder

LINE = {"heatmap": 1.0, "offset": 0.5, "size": 0.5, "learning_rate": 1e-3, "images_per_second": 40.0}


def make_run(path, losses=(3.0, 2.0, 1.0), ap=None, **settings):
    folder = RunFolder(path)
    folder.begin({"data": "shapes", "out": str(path), "seed": 0, "augmentation": {"flip": True}} | settings)
    for step, loss in enumerate(losses):
        folder.append_metrics({"step": step, "epoch": (step + 1) / 2, "loss": loss, **LINE})
    if ap is not None:
        folder.append_metrics({"step": len(losses), "epoch": 2.0, "AP": ap, "AP50": 2 * ap, "AP75": None})
    return path


def table(capsys):
    """The printed rows by run, each by column."""
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_only_the_settings_that_differ_are_columns(tmp_path, capsys):
    a = make_run(tmp_path / "a", ap=0.25)
    b = make_run(tmp_path / "b", losses=(4.0,), seed=7, augmentation={"flip": False})
    assert main(["runs", str(a), str(b)]) == 0
    rows = table(capsys)
    assert rows[str(a)] == {
        "run": str(a),
        "seed": "0",
        "augmentation.flip": "True",
        "steps": "3",
        "epoch": "2.0",
        "loss": "2.000",
        "AP": "0.250",
        "AP50": "0.500",
        "AP75": "-",
        "images/s": "40",
        "waiting": "-",
    }
    assert (rows[str(b)]["seed"], rows[str(b)]["AP"], rows[str(b)]["loss"]) == ("7", "-", "4.000")


def test_the_share_of_waiting_counts_the_last_steps_and_no_compilation(tmp_path, capsys):
    run = make_run(tmp_path / "a", losses=())
    compiling = {"images_per_second": None, "seconds_waiting": 0.0, "seconds_computing": 1000.0}
    earlier = {"images_per_second": 9.0, "seconds_waiting": 50.0, "seconds_computing": 0.0}
    later = [{"images_per_second": 9.0, "seconds_waiting": wait, "seconds_computing": 3.0} for wait in (0, 2) * 25]
    for step, times in enumerate([compiling, earlier, *later]):
        RunFolder(run).append_metrics({"step": step, "epoch": 1.0, "loss": 1.0} | times)
    assert main(["runs", str(run)]) == 0
    assert table(capsys)[str(run)]["waiting"] == "25%"


def test_a_folder_of_runs_means_all_runs_in_it(tmp_path, capsys):
    for name in ("b", "a"):
        make_run(tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert main(["runs", str(tmp_path)]) == 0
    assert list(table(capsys)) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_a_run_that_has_not_taken_a_step_or_is_writing_one(tmp_path, capsys):
    run = make_run(tmp_path / "a", losses=())
    assert main(["runs", str(run)]) == 0
    assert table(capsys)[str(run)]["steps"] == "0"
    (run / "metrics.jsonl").write_text(json.dumps({"step": 0, "epoch": 0.1, "loss": 1.0}) + '\n{"step": 1, "ep')
    assert [line["step"] for line in read_run(run).lines] == [0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.toml", "a = ", "config.toml: not TOML"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl: line 1 is not a run's metrics"),
        ("metrics.jsonl", '{"step": 0, "epoch": 1}\nx\n', "metrics.jsonl: line 2 is not JSON"),
    ],
)
def test_damaged_files_are_named(tmp_path, capsys, name, content, message):
    run = make_run(tmp_path / "a")
    (run / name).write_text(content)
    assert main(["runs", str(run)]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_runs(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 2
    assert f"{tmp_path}: neither a run's folder" in capsys.readouterr().err


def test_names_with_brackets_are_printed_unchanged(tmp_path, capsys):
    a, b = make_run(tmp_path / "[red]a", data="[b]x.toml"), make_run(tmp_path / "b")
    assert tomli_w.dumps({"data": "[b]x.toml"}) in (a / "config.toml").read_text()
    assert main(["runs", str(a), str(b)]) == 0
    assert table(capsys)[str(a)]["data"] == "[b]x.toml"


def test_settings_and_metrics_may_begin_with_a_byte_order_mark(tmp_path, capsys):
    run = make_run(tmp_path / "a")
    for name in ("config.toml", "metrics.jsonl"):
        (run / name).write_text("\ufeff" + (run / name).read_text(), encoding="utf-8")
    assert main(["runs", str(run)]) == 0
    assert table(capsys)[str(run)]["steps"] == "3"
