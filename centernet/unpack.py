"""Unpacks zip and tar files that strangers made: nothing outside the folder, no links, all or nothing."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from centernet_data.contract.files import folder_written_beside
from centernet_data.contract.messages import duplicates, listed, shown

CHUNK = 1 << 18  # bytes between two steps of the progress bar


class _Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes]]


class Unpacked(NamedTuple):
    """How many files were written, and how many of the archive were left out, because they are not below `inside`."""

    files: int
    left_out: int


def unpack(archive: Path, inside: str, folder: Path, console: Console) -> Unpacked:
    """Writes the files below the archive's folder `inside` ("": all) to the new folder `folder`, all or nothing.

    The files are new ones with this process's rights, whatever the archive says of owners and modes. Raises ValueError,
    naming the archive and the member, if one leads out of its folder, is a link or a device, or is there twice; if
    `folder` exists; if there is no room, nothing to unpack, or the archive is damaged.
    """
    with _damage_named(archive), ExitStack() as stack:
        members = _members(archive, stack)
        chosen = {_path(archive, member, inside): member for member in members if member.name.startswith(inside)}
        _require_sound(archive, members, inside, len(chosen))
        _require_room(archive, sum(member.size for member in chosen.values()), folder)
        with folder_written_beside(folder) as beside, _progress(console) as progress:
            task = progress.add_task(f"unpacking {archive.name}", total=sum(m.size for m in chosen.values()))
            for path, member in chosen.items():
                for count in _write(member, beside / path):
                    progress.update(task, advance=count)
    return Unpacked(len(chosen), len(members) - len(chosen))


def _progress(console: Console) -> Progress:
    text = TextColumn("{task.description}", markup=False)
    return Progress(text, BarColumn(bar_width=20), DownloadColumn(), console=console)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)  # tarfile lists all that it has tried
        raise ValueError(f"{archive}: damaged, or no archive that can be read: {reason}; remove it") from error


def _members(archive: Path, stack: ExitStack) -> list[_Member]:
    """The archive's files; its folders come with them."""
    if zipfile.is_zipfile(archive):
        return list(_zip_members(archive, stack.enter_context(zipfile.ZipFile(archive))))
    return list(_tar_members(archive, stack.enter_context(tarfile.open(archive))))


def _zip_members(archive: Path, content: zipfile.ZipFile) -> Iterator[_Member]:
    for info in content.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, info.filename, "is neither a file nor a folder")
        if info.flag_bits & 1:
            raise _refused(archive, info.filename, "is encrypted")
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, lambda info=info: content.open(info))


def _tar_members(archive: Path, content: tarfile.TarFile) -> Iterator[_Member]:
    for info in content:
        if not (info.isfile() or info.isdir()):
            raise _refused(archive, info.name, "is neither a file nor a folder")
        if info.isfile():
            yield _Member(info.name.removeprefix("./"), info.size, lambda info=info: _opened(content, info))


def _opened(content: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = content.extractfile(info)
    if file is None:
        raise tarfile.ReadError(f"{info.name} cannot be read")
    return file


def _path(archive: Path, member: _Member, inside: str) -> Path:
    """The member's path below the folder that is written."""
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts or any(sign in member.name for sign in "\\:\0"):
        raise _refused(archive, member.name, "leads out of its folder, or may do so on some system")
    return Path(*PurePosixPath(member.name.removeprefix(inside)).parts)


def _require_sound(archive: Path, members: list[_Member], inside: str, chosen: int) -> None:
    if repeated := duplicates(str(PurePosixPath(member.name)).casefold() for member in members):
        raise ValueError(f"{archive}: it holds several files of one name, capitals apart: {listed(repeated)}")
    if not chosen:
        raise ValueError(
            f"{archive}: it holds no file{f' in {inside}' if inside else ''}; another archive was expected"
        )


def _require_room(archive: Path, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(archive.parent).free
    if needed > free:
        raise ValueError(f"{folder}: there is no room to unpack {archive}: {needed:,} bytes, and {free:,} are free")


def _write(member: _Member, path: Path) -> Iterator[int]:
    """Writes one file; yields the bytes of each step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, path.open("xb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            written += len(chunk)
            yield len(chunk)
    if written != member.size:
        raise EOFError(f"{member.name} has {written:,} bytes instead of {member.size:,}")


def _refused(archive: Path, name: str, what: str) -> ValueError:
    return ValueError(f"{archive}: its member {shown(name)} {what}; nothing was unpacked")
