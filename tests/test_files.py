"""What was there before survives a failure."""

import pytest

from centernet_data.files import written_beside


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
