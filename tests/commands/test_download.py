"""Downloads: what servers and networks do to them, against a server on this machine."""

import hashlib
import shutil
import socket

import pytest

from centernet.download import CHUNK, MIRROR, Patience, Remote, download
from centernet.terminal import PlainConsole
from helpers.file_server import Served, serving

CONTENT = bytes(range(256)) * 4000  # more than a chunk
SIZE, SHA256 = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(connect=2, read=2, tries=3, pause=0)


@pytest.fixture
def served():
    return Served(CONTENT)


@pytest.fixture
def address(served, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    with serving({"/a.bin": served, "/here/a.bin": served}) as server:
        yield f"{server}/a.bin"


def get(address, folder, sha256=SHA256, size=SIZE, patience=QUICK):
    return download([Remote(address, sha256, size)], folder, PlainConsole(quiet=True), patience)


def refusal(*arguments, **options):
    with pytest.raises(ValueError, match=r"^") as caught:
        get(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(served, address, tmp_path):
    assert get(address, tmp_path / "new") == [tmp_path / "new/a.bin"]
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["a.bin"]
    assert get(address, tmp_path / "new") == []
    assert served.asked == [None]


@pytest.mark.parametrize(
    "manners",
    [
        {"says_length": False},
        {"zipped": True},
        {"tag": None},
        {"tag": 'W/"weak"'},
        {"ranges": False},
        {"failures": [500, 503]},
        {"cuts": [0, 0]},
    ],
    ids=str,
)
@pytest.mark.parametrize("known", [True, False])
def test_servers_of_all_manners(served, address, tmp_path, manners, known):
    for name, value in manners.items():
        setattr(served, name, value)
    get(address, tmp_path, *((SHA256, len(CONTENT)) if known else (None, None)))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_each_try_resumes_where_the_last_broke_off(served, address, tmp_path):
    served.cuts = [9 * CHUNK + 7, 5 * CHUNK, 3 * CHUNK, CHUNK, CHUNK]  # more than the tries that may bring nothing
    get(address, tmp_path)
    assert served.asked == [None, *(f"bytes={n * CHUNK}-" for n in (9, 14, 17, 18, 19))]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("respects", [True, False], ids=["with If-Range", "without If-Range"])
def test_a_file_that_has_changed_is_not_glued_to_its_part(served, address, tmp_path, respects):
    served.cuts = [9 * CHUNK, 0, 0, 0]
    assert "the connection broke off (3 tries)" in refusal(address, tmp_path, None, None)
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[: 9 * CHUNK]
    served.content, served.tag, served.respects_if_range = CONTENT[::-1], '"2"', respects
    served.asked.clear()
    get(address, tmp_path, None, None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1]
    assert served.asked[0] == f"bytes={9 * CHUNK}-"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("manners", [{"tag": None}, {"tag": 'W/"weak"'}, {"zipped": True}], ids=str)
def test_without_a_sign_that_a_file_is_the_same_it_is_not_resumed(served, address, tmp_path, manners):
    for name, value in manners.items():
        setattr(served, name, value)
    served.cuts = [2000 if served.zipped else 9 * CHUNK]
    get(address, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert served.asked == [None, None]


def test_a_part_without_its_version_is_not_used(served, address, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"of something else")
    get(address, tmp_path, None, None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_fetched_again(served, address, tmp_path):
    served.cuts = [9 * CHUNK, 0, 0, 0]
    refusal(address, tmp_path, None, None)
    served.content = CONTENT[:1000]
    get(address, tmp_path, None, None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize(
    ("manners", "message"),
    [
        ({"status": 404}, "the server says 404 Not Found"),
        ({"status": 500}, "the server says 500 Internal Server Error (3 tries)"),
        ({"kind": "text/html; charset=utf-8"}, "the server sent a web page instead of the file"),
        ({"content": CONTENT[:-1] + b"\0"}, "what came is not the published file: its SHA-256 is "),
        ({"content": CONTENT[1:]}, "the server's file has 1,023,999 bytes instead of 1,024,000"),
        ({"content": CONTENT[1:], "says_length": False}, "it has 1,023,999 bytes instead of 1,024,000"),
        ({"moved_to": "/a.bin"}, "Exceeded 30 redirects"),
    ],
    ids=["404", "500", "HTML", "hash", "length", "no length", "redirects"],
)
def test_refusals_name_the_address_and_the_place_for_a_file_brought_by_hand(
    served, address, tmp_path, manners, message
):
    for name, value in manners.items():
        setattr(served, name, value)
    said = refusal(address, tmp_path)
    assert said.startswith(f"{address}: ")
    assert message in said
    assert said.endswith(f"; a file brought by hand belongs at {tmp_path / 'a.bin'}")
    assert names(tmp_path) == []


def test_a_redirect_is_followed(served, address, tmp_path, monkeypatch):
    moved = Served(moved_to=address)
    with serving({"/a.bin": moved}) as other:
        get(f"{other}/a.bin", tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_that_says_nothing(served, address, tmp_path):
    served.silent = 0.2
    said = refusal(address, tmp_path, patience=Patience(connect=2, read=0.05, tries=2, pause=0))
    assert "the server does not answer in time (2 tries)" in said


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        said = refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/a.bin", tmp_path)
    assert "/a.bin: the connection fails (3 tries); a file brought by hand" in said


def test_no_room(address, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("centernet.download.shutil.disk_usage", lambda folder: usage)
    assert "there is no room: it needs 1,024,000 bytes, and 1,000 are free" in refusal(address, tmp_path)


def test_another_file_in_its_place_stays(served, address, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    assert "not the file of http" in refusal(address, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1]
    assert served.asked == []


def test_several_at_once_and_one_that_fails(tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    files = {f"/{n}.bin": Served(bytes([n]) * 1000) for n in range(9)}
    with serving(files) as server:
        remotes = [Remote(server + path) for path in files]
        paths = download(remotes, tmp_path, PlainConsole(quiet=True), QUICK)
        assert [path.read_bytes() for path in paths] == [file.content for file in files.values()]
        with pytest.raises(ValueError, match=r"none\.bin: the server says 404"):
            download([Remote(f"{server}/none.bin"), *remotes], tmp_path / "b", PlainConsole(quiet=True), QUICK)


def test_a_mirror_stands_in_place_of_scheme_and_host(served, address, tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR, address.removesuffix("/a.bin") + "/here/")
    get("https://nowhere.invalid/a.bin", tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    monkeypatch.setenv(MIRROR, "mirror.example.org")
    assert "CENTERNET_MIRROR=mirror.example.org: not an address" in refusal(address, tmp_path / "b")
