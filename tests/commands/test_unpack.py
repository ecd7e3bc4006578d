"""Archives of strangers: what is unpacked, and that a bad one writes nothing."""

import io
import shutil
import stat
import tarfile
import zipfile

import pytest

from centernet.terminal import PlainConsole
from centernet.unpack import unpack

FILES = {"top/a/1.txt": b"one", "top/a/2.txt": b"two" * 200_000, "top/empty": b"", "other/3.txt": b"three"}


def zipped(path, members, mode=0o100644):
    """Writes a zip file of (name, content) pairs; a mode may make links or devices of them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def tarred(path, members, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname, info.mode = len(content), kind, "/etc/passwd", 0o7777
            archive.addfile(info, io.BytesIO(content))
    return path


def run(archive, folder, inside=""):
    return unpack(archive, inside, folder, PlainConsole(quiet=True))


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive, folder, inside=""):
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(ValueError, match=r"^(?!.*\n)") as caught:
        run(archive, folder, inside)
    assert sorted(folder.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_is_in_a_folder_of_the_archive(tmp_path, pack):
    archive = pack(tmp_path / "a", FILES.items())
    assert run(archive, tmp_path / "all") == (4, 0)
    assert files(tmp_path / "all") == FILES
    assert run(archive, tmp_path / "some", "top/a/") == (2, 2)
    assert files(tmp_path / "some") == {"1.txt": b"one", "2.txt": FILES["top/a/2.txt"]}
    assert not (tmp_path / "some/1.txt").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)
    assert "some: already exists" in refusal(archive, tmp_path / "some", "top/")
    assert "it holds no file in none/; another archive was" in refusal(archive, tmp_path / "none", "none/")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../a", "a/../../b", "/a", "C:/a", "a\\..\\..\\b", "top/../../b"])
def test_nothing_leads_out_of_the_folder(tmp_path, pack, name):
    archive = pack(tmp_path / "a", [("top/fine", b""), (name, b"bad")])
    assert "leads out of its folder" in refusal(archive, tmp_path / "out")
    assert not (tmp_path.parent / "b").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_file_makes_no_links_and_no_devices(tmp_path, kind):
    archive = tarred(tmp_path / "a.tar", [("link", b"")], kind)
    assert "'link' is neither a file nor a folder; nothing was unpacked" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_zip_file_makes_no_links_and_no_devices(tmp_path, kind):
    archive = zipped(tmp_path / "a.zip", [("link", b"/etc/passwd")], kind | 0o777)
    assert "'link' is neither a file nor a folder" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_no_file_is_written_over_another(tmp_path, pack):
    archive = pack(tmp_path / "a", [("top/a", b"1"), ("top/A", b"2")])
    assert "it holds several files of one name, capitals apart: top/a" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b[:60] + bytes(60) + b[120:], lambda b: b"x"])
def test_a_damaged_archive(tmp_path, pack, spoil):
    archive = pack(tmp_path / "a", [("top/b", bytes(range(256)) * 9), *FILES.items()])
    archive.write_bytes(spoil(archive.read_bytes()))
    assert f"{archive}: damaged, or no archive that can be read: " in refusal(archive, tmp_path / "out")


def test_no_room(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", FILES.items())
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("centernet.unpack.shutil.disk_usage", lambda folder: usage)
    said = refusal(archive, tmp_path / "out")
    assert f"there is no room to unpack {archive}: 600,008 bytes, and 1,000 are free" in said
