"""What was there before survives a failure."""

import pytest

from centernet_data.files import folder_written_beside, written_beside


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


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "folder"
    with folder_written_beside(path) as beside:
        (beside / "a.txt").write_text("new")
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]
    assert (path / "a.txt").read_text() == "new"


def fail_in_folder(path):
    with folder_written_beside(path) as beside:
        (beside / "a.txt").write_text("half")
        raise ZeroDivisionError


def test_a_folder_that_fails_is_removed_and_one_that_is_there_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_in_folder(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder: there already; choose another"):
        fail_in_folder(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []
