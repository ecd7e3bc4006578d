"""The command line caches compiled programs in a folder of the user, unless the user chooses another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from centernet import backends
from centernet.backends import open_backend

ROOT = Path(__file__).parents[2]
OPENS_JAX = """
from centernet.backends import open_backend
open_backend("jax")
import jax
print(jax.config.jax_compilation_cache_dir)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x + 1)(1)
"""


def run(home, **settings):
    """The folder of JAX's cache, and stderr, in a process whose user has `home` as home folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", OPENS_JAX],
        env=environment | {"HOME": str(home), "LOCALAPPDATA": str(home)} | settings,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=300,
    )
    return done.stdout.strip(), done.stderr


def test_a_new_folder_is_announced_once_and_then_used(tmp_path):
    folder, said = run(tmp_path)
    assert Path(folder).is_relative_to(tmp_path)
    assert said == f"centernet: caching compiled programs in {folder}, so that the next start is faster\n"
    kept = [path.name for path in Path(folder).iterdir()]
    assert kept
    assert run(tmp_path) == (folder, "")
    assert {path.name for path in Path(folder).iterdir()} >= set(kept)


def test_the_users_own_setting_counts(tmp_path):
    (tmp_path / "own").mkdir()
    assert run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == (str(tmp_path / "own"), "")
    assert list((tmp_path / "own").iterdir())
    assert run(tmp_path, JAX_COMPILATION_CACHE_DIR="") == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("name", ["file", "file/below", "\0", "~/below"])
def test_a_folder_that_cannot_be_used_is_said_once_and_nothing_is_cached(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    # Not in the environment itself, which holds no zero byte.
    monkeypatch.setattr(os, "environ", {"JAX_COMPILATION_CACHE_DIR": name})
    for _ in range(2):
        open_backend("jax")
    said = capsys.readouterr().err
    assert said.startswith(f"centernet: {name}: cannot be used to cache compiled programs (")
    assert said.endswith("); continuing without a cache\n")
    assert len(said.splitlines()) == 1
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_a_home_nothing_is_cached(monkeypatch, capsys):
    def no_home(name):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setattr(backends, "user_cache_path", no_home)
    open_backend("jax")
    assert "centernet: the user's cache folder: cannot be used" in capsys.readouterr().err
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == ""


def test_a_clouds_folder_is_left_to_jax(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "gs://bucket/cache")
    open_backend("jax")
    assert (capsys.readouterr().err, list(tmp_path.iterdir())) == ("", [])
