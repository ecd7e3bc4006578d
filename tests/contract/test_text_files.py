"""Text files are read as any editor writes them."""

import pytest

from centernet_data.contract.text_files import read_lines, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_of_any_editor(tmp_path, encoding, end):
    (tmp_path / "a.txt").write_bytes(f"é{end}{end} b\u2028c \t{end}".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "é\n\n b\u2028c \t\n"
    assert read_lines(tmp_path / "a.txt") == ["é", "", "b\u2028c", ""]


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"\xff\xfea", "é".encode("latin-1")])
def test_what_is_no_text_is_named(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.toml: not TOML: '(utf-8|utf-16.*)' codec"):
        read_text(tmp_path / "a.toml", "TOML")
