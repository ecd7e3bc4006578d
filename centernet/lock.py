"""One writer at a time in a folder.

The system's lock ends with its process, however that ends. Where a file system has none, there is a file that its
writer touches again and again.
"""

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from centernet_data.contract.files import folder_unless_empty, temporary_beside

try:
    import fcntl
except ModuleNotFoundError:  # Windows has none
    fcntl = None

LOCK, SIGN_OF_LIFE = ".centernet-lock", ".centernet-writer"
BEAT, DEAD = 10, 60  # seconds between signs of life, and without one until their writer counts as dead
SETTLED = 0.2  # seconds that a writer may take to write its number after it has the lock
_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES)  # POSIX allows both
_here: set[Path] = set()  # the system's lock does not keep out its own process


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps all others who ask for it out of it; a new folder is removed if it stays empty.

    Raises ValueError, with the other's process number, if there is another writer.
    """
    with folder_unless_empty(folder):
        place = folder.resolve()
        if place in _here:
            raise _taken(folder, _me())
        _here.add(place)
        try:
            with _system_lock(folder) if _has_locks(folder) else _sign_of_life(folder):
                yield
        finally:
            _here.discard(place)


def _has_locks(folder: Path) -> bool:
    probe = temporary_beside(folder / LOCK)
    try:
        with probe.open("wb") as file:
            _lock(file.fileno())
        return True
    except OSError as error:
        if error.filename is not None:  # of opening
            raise OSError(error.errno, error.strerror, str(folder)) from error
        return False
    finally:
        probe.unlink(missing_ok=True)


def _lock(file: int) -> None:
    """Children do not inherit this lock, neither by fork nor by exec. Raises OSError if another has it, or the file
    system has none."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "no locks")
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _system_lock(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    file = _locked(path)
    try:
        with suppress(OSError):  # on a full disk it locks without a name
            os.ftruncate(file, 0)
            os.pwrite(file, _me().encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is unlocked: afterwards it may be another's
        os.close(file)


def _locked(path: Path) -> int:
    """The descriptor of the locked file. Raises ValueError if another has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # not truncated: it may hold another's number
        try:
            _lock(file)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
            os.close(file)  # its writer has removed it meanwhile
        except OSError as error:
            if error.errno not in _HELD_BY_ANOTHER:
                os.close(file)
                raise OSError(error.errno, error.strerror, str(path)) from error
            time.sleep(SETTLED)
            writer = os.pread(file, 200, 0).decode(errors="replace")
            os.close(file)
            raise _taken(path.parent, writer) from None


@contextmanager
def _sign_of_life(folder: Path) -> Iterator[None]:
    path, stopped = folder / SIGN_OF_LIFE, threading.Event()
    while True:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(_me())
            break
        except FileExistsError:
            _remove_if_dead(path)
    time.sleep(SETTLED)  # another may have taken this file for the dead one's
    if _read(path) != _me():
        raise _taken(folder, _read(path))
    beat = threading.Thread(target=_touch, args=(path, stopped), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stopped.set()
        beat.join()
        path.unlink(missing_ok=True)


def _touch(path: Path, stopped: threading.Event) -> None:
    while not stopped.wait(BEAT):
        with suppress(OSError):
            os.utime(path)


def _remove_if_dead(path: Path) -> None:
    """Raises ValueError if the writer of the sign of life seems to live."""
    probe = temporary_beside(path)
    try:
        probe.touch()  # the file system's clock may not be this machine's
        silent = probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:  # its writer has just ended
        return
    finally:
        probe.unlink(missing_ok=True)
    writer = _read(path)
    if silent < DEAD and not _is_dead(writer):
        raise _taken(path.parent, writer)
    path.unlink(missing_ok=True)


def _is_dead(writer: str) -> bool:
    """Whether it was a process of this machine (and container) that is no more."""
    number, _, place = writer.partition(" ")
    if place != _me().partition(" ")[2] or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _me() -> str:
    """This process's number, its machine, and on Linux the container whose number it is."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        container = ""
    return f"{os.getpid()} {socket.gethostname()} {container}".strip()


def _taken(folder: Path, writer: str) -> ValueError:
    number, _, place = writer.partition(" ")
    who = f"process {number} (on {place.split()[0] if place else 'this machine'})" if number else "another process"
    return ValueError(f"{folder}: {who} is writing there; wait for its end, or choose another --out")
