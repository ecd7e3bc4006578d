"""Only one process writes into a folder at a time, and a dead one keeps nobody out."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from centernet import lock
from centernet.lock import LOCK, SIGN_OF_LIFE, only_writer
from helpers.fake_backend import fake_backend  # noqa: F401 (a fixture)
from helpers.small_data import make_data, run

ROOT = Path(__file__).parents[2]
WRITES = """
import sys, time
from pathlib import Path
from centernet.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Another process, which writes into tmp_path."""
    with subprocess.Popen([sys.executable, "-c", WRITES, tmp_path], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


@pytest.fixture(params=[True, False], ids=["with locks", "without locks"])
def file_system(request, monkeypatch):
    """One with locks, and one without."""
    if not request.param:
        monkeypatch.setattr(lock, "_has_locks", lambda folder: False)
        monkeypatch.setattr(lock, "SETTLED", 0)


def enter(folder):
    with only_writer(folder):
        pass


@pytest.mark.usefixtures("fake_backend")
def test_another_process_is_named_until_it_is_killed(tmp_path, writer, refused):
    data, picture = make_data(tmp_path / "data"), tmp_path / "data/images/0.png"
    for command in (
        ("train", "--data", data, "--out", tmp_path),
        ("train", "--data", data, "--out", tmp_path, "--resume"),
        ("train", "--data", data, "--out", tmp_path, "--overwrite"),
        ("predict", "model.safetensors", picture, "--out", tmp_path),
    ):
        said = refused(*command)
        assert f"{tmp_path}: process {writer.pid} (on {socket.gethostname()}) is writing there" in said
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert (tmp_path / LOCK).exists()
    small = ("--epochs", 1, "--batch-size", 2, "--image-size", 32)
    assert run("train", "--data", data, "--out", tmp_path, *small) == 0
    assert not (tmp_path / LOCK).exists()


@pytest.mark.usefixtures("file_system")
def test_the_own_process_waits_for_itself_no_more_than_for_others(tmp_path):
    folder = tmp_path / "new" / "run"
    with only_writer(folder):
        with pytest.raises(ValueError, match=f"run: process {os.getpid()} "):
            enter(folder.parent / "run" / ".." / "run")
        (folder / "result").touch()
    enter(folder)
    assert list(folder.iterdir()) == [folder / "result"]


@pytest.mark.usefixtures("file_system")
def test_a_folder_in_which_nothing_was_written_is_not_left(tmp_path):
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new" / "run"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: a file, not a folder"):
        enter(tmp_path / "file")


def test_a_child_that_outlives_the_writer_keeps_nobody_out(tmp_path):
    code = f"{WRITES}\n".replace("time.sleep(60)", "import os; os.fork() or time.sleep(60); os._exit(0)")
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        process.wait()
        enter(tmp_path)


@pytest.mark.parametrize(
    ("writer", "silent", "is_dead"),
    [
        ("{me}", 0, False),
        ("{dead}", 0, True),
        ("{me}", lock.DEAD + 1, True),
        ("17 another-host pid:[1]", 0, False),
        ("17 another-host pid:[1]", lock.DEAD + 1, True),
        ("", 0, False),
        ("", lock.DEAD + 1, True),
    ],
)
def test_without_locks_a_writer_without_a_sign_of_life_is_dead(tmp_path, monkeypatch, writer, silent, is_dead):
    monkeypatch.setattr(lock, "_has_locks", lambda folder: False)
    monkeypatch.setattr(lock, "SETTLED", 0)
    ended = subprocess.Popen(["true"])
    ended.wait()
    me = lock._me()
    dead = me.replace(str(os.getpid()), str(ended.pid), 1)
    (tmp_path / SIGN_OF_LIFE).write_text(writer.format(me=me, dead=dead))
    then = time.time() - silent
    os.utime(tmp_path / SIGN_OF_LIFE, (then, then))
    if is_dead:
        enter(tmp_path)
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(ValueError, match="is writing there; wait for its end, or choose another --out"):
            enter(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [SIGN_OF_LIFE]


def test_without_locks_a_writer_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_has_locks", lambda folder: False)
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with only_writer(tmp_path):
        os.utime(tmp_path / SIGN_OF_LIFE, (0, 0))
        end = time.monotonic() + 5
        while (tmp_path / SIGN_OF_LIFE).stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
