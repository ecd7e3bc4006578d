"""Which files a folder of pictures stands for."""

import pytest

from centernet_data.imaging.finding import find_pictures


def test_find_pictures(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "folder.png/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_pictures([tmp_path / "notes.txt", tmp_path, str(tmp_path / "folder.png")])
    assert [path.name for path in found] == ["notes.txt", "a.png", "b.JPG", "c.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: the folder contains no pictures"):
        find_pictures([tmp_path / "empty"])
    with pytest.raises(ValueError, match="nowhere: there is no such"):
        find_pictures([tmp_path / "nowhere"])
