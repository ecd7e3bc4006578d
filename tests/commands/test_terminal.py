"""Text of users is shown as it is: no character ends a command, and nothing is read as markup."""

import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image
from rich.text import Text

from centernet import __version__
from centernet.cli import main
from centernet.commands.check_report import progress_on
from centernet.terminal import PlainConsole, number_table
from centernet.training.run_folder import FILES
from helpers import small_data
from helpers.fake_backend import fake_backend  # noqa: F401 (a fixture)
from helpers.small_data import make_data, run

ODD = ("車", "[/bold] car [rear] :smile:")
LATIN = os.fsdecode(b"Stra\xdfe")  # a file's name that is not UTF-8
SMALL = ("--epochs", 1, "--batch-size", 2, "--image-size", 32)


@pytest.fixture(params=["ascii", "cp1252", "utf-8"])
def terminal(request, monkeypatch):
    """Opens stdout and stderr as a terminal of that encoding has them, strict. Returns what reads stdout."""

    def open_terminal():  # in the test itself, because pytest sets its own before each
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=request.param, write_through=True) for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return lambda: out.buffer.getvalue().decode(request.param)

    return open_terminal


@pytest.fixture
def odd_data(tmp_path, monkeypatch):
    monkeypatch.setattr(small_data, "CLASSES", ODD)
    folder = tmp_path / f"my {LATIN} [set]"
    return make_data(folder)


@pytest.mark.usefixtures("fake_backend")
def test_training_ends_whatever_the_classes_and_the_data_are_called(odd_data, terminal, tmp_path):
    said = terminal()
    train = ("train", "--data", odd_data, "--out", tmp_path / "[b]車", *SMALL, "--tensorboard")
    assert run(*train) == 0
    assert {path.name for path in (tmp_path / "[b]車").iterdir()} == set(FILES)
    assert "[/bold] car [rear] :smile:  0.000" in said()
    assert "my Stra\\udcdfe [set]" in said()
    assert run(*train, "--resume") == 0
    assert run("runs", tmp_path) == 0
    assert run("data", "check", odd_data, "--out", tmp_path / "check.png") == 1


@pytest.mark.usefixtures("fake_backend")
def test_files_of_any_name_are_looked_at(terminal, tmp_path):
    terminal()
    names = (f"{LATIN}.png", "Фото.png", "[bold].png", "two\nlines.png")
    for name in names:
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    out = tmp_path / f"{LATIN} drawn"
    assert run("predict", "model.safetensors", tmp_path, "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {*names, "detections.json"}
    records = json.loads((out / "detections.json").read_text())
    assert {record["file_name"] for record in records} == {str(tmp_path / name) for name in names}


def test_a_console_shows_text_as_it_is(capsys):
    text = "[b]a[/b] [/c] :smile: 1"
    console, table = PlainConsole(width=200), number_table(text, text)
    table.add_row(text, text)
    console.print(text)
    console.print(table)
    console.print(Text(text, style="bold"))
    assert capsys.readouterr().out.count(text) == 6


def test_a_splits_name_is_no_markup_in_the_progress_bar(monkeypatch, capsys):
    for name, value in (("TERM", "xterm"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    assert list(progress_on(PlainConsole(width=200))(iter([1, 2]), "[/bold]", 2)) == [1, 2]
    assert "opening the pictures of [[/bold]]" in capsys.readouterr().out


@pytest.mark.parametrize("label", ["車", "\ud800", LATIN, "a\0b"])
def test_a_label_that_no_font_has_is_drawn_all_the_same(label):
    from centernet_data.imaging.drawing import draw_objects

    picture = np.zeros((60, 60, 3), np.uint8)
    assert draw_objects(picture, np.array([[30, 30, 40, 40, 0, 0.5]]), [label]).any()


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_a_reader_that_leaves_does_not_end_the_program(monkeypatch):
    class LeftByItsReader(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", LeftByItsReader())
    console = PlainConsole()
    console.print("one")
    console.print("two")
    assert console.quiet
