"""Which checkpoints are kept, and which one a run resumes from, with any backend."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.training.checkpoints import CheckpointFolder, CheckpointInfo, checksum
from centernet.training.resume import ADDED_LATER, OtherSettings, flattened, require_same_settings
from centernet.training.run_folder import RunFolder
from centernet_data.contract.augmentation import Augmentation

SETTINGS = {"seed": 3, "image_size": (64,), "augmentation": {"scale": (0.5, 2.0)}}


class Texts:
    """A backend whose states are strings; one that is "full" cannot be written, "bad" not be read."""

    def to_arrays(self, state):
        if state == "full":
            raise OSError(28, "No space left on device")
        return {"text": np.frombuffer(state.encode(), np.uint8)}

    def from_arrays(self, state, arrays):
        if (read := arrays["text"].tobytes().decode()) == "bad":
            raise RuntimeError("it is\nbad")
        return read

    def read_older(self, path, state):
        return path.read_text()


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints", Texts())


def save(folder, step, state="good", lines=0, ap=None):
    folder.save(step, state, CheckpointInfo(SETTINGS, lines))
    folder.wait()
    if ap is not None:
        folder.record_ap(step, ap)


def best_of(scores):
    """The naive way: the last of the steps with the highest score."""
    rated = {step: ap for step, ap in scores.items() if ap is not None}
    return {max(step for step, ap in rated.items() if ap == max(rated.values()))} if rated else set()


@settings(deadline=None, max_examples=30)  # it writes many files
@given(scores=st.lists(st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=12), every=st.integers(1, 1000))
def test_the_newest_two_and_the_best_are_kept(tmp_path_factory, scores, every):
    folder = CheckpointFolder(tmp_path_factory.mktemp("run") / "checkpoints", Texts())
    scores = {every * number: ap for number, ap in enumerate(scores)}
    for step, ap in scores.items():
        save(folder, step, ap=ap)
    folder.wait()
    assert set(folder.steps) == set(sorted(scores)[-2:]) | best_of(scores)
    assert len(list(folder.path.glob("*"))) == 2 * len(folder.steps)


def test_the_newest_is_restored_and_what_follows_it_is_removed(folder):
    for step in (10, 20, 30):
        save(folder, step, f"state {step}", lines=step)
    (folder.path / "30.json").unlink()  # as if killed before it was written
    (folder.path / "40.state.orbax-checkpoint-tmp").mkdir()
    (folder.path / ".123-40.safetensors").touch()
    (folder.path / ".123-40.json").touch()
    (folder.path / "my 40.safetensors").touch()
    step, state, record = folder.restore("", SETTINGS, pytest.fail)
    assert (step, state, record.lines) == (20, "state 20", 20)
    assert sorted(path.name for path in folder.path.iterdir()) == ["20.json", "20.safetensors", "my 40.safetensors"]


def test_without_any_checkpoint_nothing_is_restored(folder):
    assert folder.restore("", SETTINGS, pytest.fail) is None
    folder.path.mkdir()
    (folder.path / "10.json").touch()
    assert folder.restore("", SETTINGS, pytest.fail) is None


@pytest.mark.parametrize(
    "damage",
    [
        ("20.safetensors", "goo"),
        ("20.safetensors", "gnod"),
        ("20.safetensors", ""),
        ("20.json", '{"lines"'),
        ("20.json", "[]"),
    ],
)
def test_in_place_of_a_damaged_one_the_last_good_one_is_restored(folder, damage):
    save(folder, 10)
    save(folder, 20)
    (folder.path / damage[0]).write_text(damage[1])
    told = []
    assert folder.restore("", SETTINGS, told.append)[:2] == (10, "good")
    assert len(told) == 1
    assert re.fullmatch(r"the checkpoint of step 20 is damaged \(.+\)", told[0])
    assert folder.steps == [10]
    save(folder, 20, "again")
    assert folder.restore("", SETTINGS, pytest.fail)[:2] == (20, "again")


def test_if_all_are_damaged_resuming_is_refused_and_nothing_removed(folder):
    save(folder, 10, "bad")
    save(folder, 20, "bad")
    told = []
    with pytest.raises(ValueError, match="checkpoints: no checkpoint in it can be read; --overwrite starts"):
        folder.restore("", SETTINGS, told.append)
    assert len(told) == 2
    assert folder.steps == [10, 20]


def test_a_damaged_record_does_not_keep_a_run_from_saving(folder):
    save(folder, 10, ap=0.5)
    save(folder, 20)
    (folder.path / "10.json").write_text("{")
    save(folder, 30)
    assert folder.steps == [20, 30]


@pytest.mark.parametrize("earlier", [(), (10,), (10, 20)])
def test_a_failed_save_is_one_line_and_leaves_the_last_good_one(folder, earlier):
    for step in earlier:
        save(folder, step)
    last = f"the last one, of step {earlier[-1]}, is complete" if earlier else "there is none yet"
    with pytest.raises(ValueError, match="step 99 cannot be saved") as error:
        folder.save(99, "full", CheckpointInfo(SETTINGS, 0))
    message = f"{folder.path}: the checkpoint of step 99 cannot be saved (No space left on device); {last}"
    assert str(error.value) == message
    assert folder.steps == list(earlier)
    folder.wait()
    assert len(list(folder.path.iterdir())) == 2 * len(earlier)


def test_a_file_in_the_place_of_the_folder(folder):
    folder.path.touch()
    with pytest.raises(ValueError, match=r"cannot be saved \(File exists\); there is none yet"):
        folder.save(10, "good", CheckpointInfo(SETTINGS, 0))


def test_a_step_is_saved_once_and_rated_later(folder):
    save(folder, 10, "first", ap=0.5)
    save(folder, 10, "second")
    assert folder.restore("", SETTINGS, pytest.fail)[1] == "first"
    assert folder.info(10).ap == 0.5


def test_other_settings_are_named(folder):
    save(folder, 10)
    other = {"seed": 4, "image_size": (64, 96), "augmentation": {"scale": (0.5, 2.0)}, "data": "mine.toml"}
    with pytest.raises(OtherSettings) as error:
        folder.restore("", other, pytest.fail)
    listed = "seed 3 (now 4), image-size 64 (now 64 96), data not given (now mine.toml)"
    assert str(error.value).startswith(f"{folder.path}: step 10: was started with different settings: {listed}; ")


def test_settings_that_change_no_result_may_differ(tmp_path):
    free = {"out": "here", "overwrite": True, "resume": False, "checkpoint_every": 3}
    require_same_settings(SETTINGS | free, SETTINGS | {"resume": True, "pretrained": None}, tmp_path)


def test_runs_from_before_an_augmentation_existed_resume_without_it(tmp_path):
    now = SETTINGS | {"augmentation": {"scale": (0.5, 2.0), "turn": False, "mosaic": 0.0, "balance": 0.0}}
    require_same_settings(SETTINGS, now, tmp_path)
    with pytest.raises(OtherSettings, match=r"settings: augmentation.turn False \(now True\); resume"):
        require_same_settings(SETTINGS, SETTINGS | {"augmentation": {"scale": (0.5, 2.0), "turn": True}}, tmp_path)


def test_what_older_runs_lack_is_what_they_did():
    defaults = flattened({"augmentation": asdict(Augmentation())})
    assert {name: defaults[name] for name in ADDED_LATER} == ADDED_LATER


def test_metrics_are_cut_off_after_the_lines_of_a_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    for step in range(4):
        folder.append_metrics({"step": step, "loss": 0.1 + step})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in folder.cut_metrics(4)] == [0, 1, 2, 3]
    assert folder.metrics.read_text().count("\n") == 4
    assert folder.metrics.read_text().endswith('"loss": 3.1}\n')
    assert folder.cut_metrics(1) == [{"step": 0, "loss": 0.1}]
    assert folder.cut_metrics(0) == []
    with pytest.raises(ValueError, match=r"metrics\.jsonl: has fewer than the 1 lines"):
        folder.cut_metrics(1)
    folder.metrics.write_text("{}\n{}")
    with pytest.raises(ValueError, match=r"metrics\.jsonl: has fewer than the 2 lines"):
        folder.cut_metrics(2)


def test_a_checkpoint_of_an_older_version_is_restored_and_removed_when_it_is_old(folder):
    folder.path.mkdir()
    (folder.path / "10.state").write_text("older")
    info = CheckpointInfo(SETTINGS, 3, checksum=checksum(folder.path / "10.state"))
    (folder.path / "10.json").write_text(json.dumps(asdict(info)))
    step, state, found = folder.restore("", SETTINGS, pytest.fail)
    assert (step, state, found.lines) == (10, "older", 3)
    save(folder, 20)
    assert folder.steps == [10, 20]
    save(folder, 30)
    names = ["20.json", "20.safetensors", "30.json", "30.safetensors"]
    assert sorted(path.name for path in folder.path.iterdir()) == names
