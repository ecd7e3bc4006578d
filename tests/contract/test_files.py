"""After a failure the older file or folder is still there."""

from contextlib import suppress

import pytest

from centernet_data.contract.files import (
    folder_written_beside,
    remove_unfinished,
    temporary_beside,
    write_text,
    written_beside,
)


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "a.txt"
    with written_beside(path) as beside:
        beside.write_text("new")
        assert beside.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def fail(path, half_written):
    with written_beside(path) as beside:
        if half_written:
            beside.write_text("half")
        raise ZeroDivisionError


@pytest.mark.parametrize("half_written", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, half_written):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        fail(path, half_written)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_and_replaces_an_older_one(tmp_path):
    path = tmp_path / "new" / "data"
    for text in ("old", "new"):
        with folder_written_beside(path, overwrite=True) as beside:
            (beside / text).touch()
            assert not (path / text).exists()
        assert [child.name for child in path.iterdir()] == [text]
    assert list(path.parent.iterdir()) == [path]


def fail_in_folder(path):
    with folder_written_beside(path, overwrite=True) as beside:
        (beside / "half").touch()
        raise ZeroDivisionError


def test_a_failure_leaves_the_folder_that_was_there(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(ZeroDivisionError):
        fail_in_folder(path)
    assert [child.name for child in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_folder_comes_back_if_the_new_one_is_lost(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(FileNotFoundError), folder_written_beside(path, overwrite=True) as beside:
        beside.rmdir()
    assert [child.name for child in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_overwritten_unasked(tmp_path):
    with pytest.raises(ValueError, match="already exists; choose another"), folder_written_beside(tmp_path):
        pytest.fail("it has begun")


def test_a_failure_leaves_no_new_folders_above(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    with pytest.raises(ZeroDivisionError):
        fail_in_folder(there / "new" / "newer" / "data")
    assert list(tmp_path.rglob("*")) == [there]
    with pytest.raises(OSError, match="File name too long"):
        fail_in_folder(there / "new" / "newer" / f"{256 * 'n'}")
    assert list(tmp_path.rglob("*")) == [there]


def test_a_new_folder_above_stays_if_another_file_is_in_it(tmp_path):
    with suppress(ZeroDivisionError), folder_written_beside(tmp_path / "new" / "newer" / "data"):
        (tmp_path / "new" / "other").touch()
        raise ZeroDivisionError
    assert list(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "new" / "other"]


def test_names_of_the_greatest_length_are_written(tmp_path):
    file, folder = tmp_path / f"{251 * 'f'}.txt", tmp_path / (255 * "d")
    write_text(file, "new")
    assert file.read_text() == "new"
    with folder_written_beside(folder) as beside:
        (beside / "inner").touch()
    assert [path.name for path in folder.iterdir()] == ["inner"]
    with pytest.raises(OSError, match=f"File name too long: '.*{252 * 'f'}.txt'"):
        write_text(tmp_path / f"{252 * 'f'}.txt", "new")
    assert sorted(tmp_path.iterdir()) == [folder, file]


def folder_that_comes_late(path, make):
    with folder_written_beside(path) as beside:
        (beside / "ours").touch()
        make(path)


@pytest.mark.parametrize("make", [lambda path: (path / "its").mkdir(parents=True), lambda path: path.symlink_to("x")])
def test_a_folder_that_another_process_makes_meanwhile_is_not_replaced(tmp_path, make):
    path = tmp_path / "data"
    with pytest.raises(ValueError, match="another process has made it meanwhile"):
        folder_that_comes_late(path, make)
    assert [child.name for child in tmp_path.iterdir()] == ["data"]
    assert not (path / "ours").exists()


def fail_in_inner_file(path):
    with folder_written_beside(path) as beside:
        (beside / "none" / "inner.txt").write_text("lost")


def test_an_error_names_the_place_and_not_the_temporary_one(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        fail_in_inner_file(tmp_path / "data")
    assert error.value.filename == str(tmp_path / "data/none/inner.txt")


def test_only_what_is_unfinished_is_removed(tmp_path):
    with suppress(OSError), written_beside(tmp_path / "a.png") as beside:
        beside.touch()
        left = temporary_beside(tmp_path / "a.png")
        left.touch()
        (temporary_beside(tmp_path / "folder") / "inner").mkdir(parents=True)
        (tmp_path / ".centernet-lock").touch()
        remove_unfinished(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".centernet-lock"]
