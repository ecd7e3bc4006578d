"""Fetches files by HTTP: checked, resumed when broken off, and written beside their place."""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from centernet_data.contract.files import folder_unless_empty, naming, write_text
from centernet_data.contract.messages import one_line

MIRROR = "CENTERNET_MIRROR"  # environment variable: what stands in place of each address's scheme and host
CHUNK = 1 << 15  # bytes that are written at a time; fewer are lost when a connection breaks off
_WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Remote:
    """A file on a server: its address, the SHA-256 of its content in lower-case hexadecimal, and its size in bytes.
    None stands for what is not published."""

    url: str
    sha256: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """The last part of its address."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def address(self) -> str:
        """Its address, or that on the mirror. Raises ValueError for a mirror that is no address."""
        mirror = os.environ.get(MIRROR, "")
        if not mirror:
            return self.url
        if urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).netloc:
            raise ValueError(f"{MIRROR}={mirror}: not an address that begins with https:// or http://")
        return mirror.rstrip("/") + urlsplit(self.url).path


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a connection and for the next bytes, tries in a row that bring nothing, and the seconds
    before the second of them, which double with each."""

    connect: float = 15
    read: float = 30
    tries: int = 5
    pause: float = 0.5


class _BrokenOff(Exception):
    """A connection that ended too early, or a server that may work again in a moment."""


def download(
    remotes: Sequence[Remote],
    folder: Path,
    console: Console,
    patience: Patience = Patience(),
    at_once: int = 4,
) -> list[Path]:
    """Fetches files into `folder`, a few at once, and returns the paths of those that were not there already.

    What is broken off stays as NAME.part and is resumed by the next call, if the server says that its file is still the
    same. The caller keeps others out of the folder (`centernet.lock.only_writer`). Raises ValueError, with the address
    and the path for a file brought by hand, if a file cannot be had, is another one, or has no room.
    """
    wanted = [remote for remote in remotes if not _is_there(remote, folder / remote.name)]
    stopped = threading.Event()
    with folder_unless_empty(folder), _progress(console) as progress, ThreadPoolExecutor(at_once) as pool:
        fetches = [_Fetch(remote, folder / remote.name, patience, progress, stopped) for remote in wanted]
        futures = [pool.submit(fetch.run) for fetch in fetches]
        try:
            for future in futures:
                future.result()
        except BaseException:  # Ctrl-C too: the parts stay
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [folder / remote.name for remote in wanted]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    )


def _is_there(remote: Remote, path: Path) -> bool:
    """Whether the file is there already. Raises ValueError if it is another one."""
    if not os.path.lexists(path):
        return False
    if not path.is_file():
        raise ValueError(f"{path}: not a file, but in the place of {remote.address}; remove it")
    if wrong := _difference(remote, path):
        raise ValueError(f"{path}: not the file of {remote.address}: {wrong}; remove it, and it is fetched again")
    return True


def _difference(remote: Remote, path: Path) -> str:
    """What tells the file from the published one; empty if nothing does."""
    size = path.stat().st_size
    if remote.size not in (None, size):
        return f"it has {size:,} bytes instead of {remote.size:,}"
    if remote.sha256 is None:
        return ""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if found == remote.sha256 else f"its SHA-256 is {found} instead of {remote.sha256}"


@dataclass(frozen=True)
class _Fetch:
    """One file on its way to `path`."""

    remote: Remote
    path: Path
    patience: Patience
    progress: Progress
    stopped: threading.Event

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def version(self) -> Path:
        """The file that says of which version on the server the part is."""
        return self.path.with_name(f"{self.path.name}.part.json")

    def run(self) -> None:
        task = self.progress.add_task(self.path.name, total=self.remote.size)
        failures = 0
        while not self.stopped.is_set():
            before = self.received()
            try:
                if self.remote.size is None or before < self.remote.size:
                    self.receive(task)
                return self.finish(task)
            except (_BrokenOff, requests.ConnectionError, requests.Timeout, _Chunked) as error:
                failures = 1 if self.received() > before else failures + 1
                if failures >= self.patience.tries:
                    raise self.error(f"{_reason(error)} ({failures} tries)") from error
                self.stopped.wait(self.patience.pause * 2 ** (failures - 1))
            except requests.RequestException as error:
                raise self.error(one_line(error)) from error

    def received(self) -> int:
        """How many bytes can be resumed from."""
        if not self.part.exists() or self.expected_version() is None:
            return 0
        return self.part.stat().st_size

    def expected_version(self) -> str | None:
        with suppress(OSError, ValueError):
            known = json.loads(self.version.read_text(encoding="utf-8"))
            if isinstance(known, dict) and known.get("url") == self.remote.url:
                return known.get("version")
        return None

    def receive(self, task: TaskID) -> None:
        """Writes what is missing of the part. Raises ValueError for what no other try would change."""
        headers = {"Accept-Encoding": "identity"}  # bytes that Range counts
        if start := self.received():
            headers |= {"Range": f"bytes={start}-", "If-Range": self.expected_version() or ""}
        wait = (self.patience.connect, self.patience.read)
        with requests.get(self.remote.address, headers=headers, stream=True, timeout=wait) as response:
            self.require_file(response)
            start = self.place_to_resume(response, start)
            length = _length(response)
            total = None if length is None else start + length
            self.require_size(total, start)
            if start == 0:
                self.part.unlink(missing_ok=True)
                self.remember_version(response)
            self.progress.update(task, completed=start, total=self.remote.size or total)
            self.write(response, task)
        if total is not None and self.part.stat().st_size != total:
            raise _BrokenOff(f"the connection ended after {self.part.stat().st_size:,} of {total:,} bytes")

    def require_file(self, response: requests.Response) -> None:
        """Refuses answers that are no file."""
        status = f"the server says {response.status_code} {response.reason or ''}".rstrip()
        if response.status_code == 416:  # what is there already is longer than the server's file: another one
            self.forget()
            raise _BrokenOff(status)
        if response.status_code in _WORTH_ANOTHER_TRY:
            raise _BrokenOff(status)
        if response.status_code not in (200, 206):
            raise self.error(status)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind == "text/html":
            raise self.error("the server sent a web page instead of the file")

    def place_to_resume(self, response: requests.Response, start: int) -> int:
        """The byte at which the answer begins."""
        if response.status_code == 200:
            return 0
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        is_same = _version(response) in (None, self.expected_version())
        if found is None or int(found[1]) != start or not is_same or _is_encoded(response):
            self.forget()
            raise _BrokenOff("the server's file has changed since its first part was fetched")
        return start

    def require_size(self, total: int | None, start: int) -> None:
        if total is not None and self.remote.size not in (None, total):
            self.forget()
            raise self.error(f"the server's file has {total:,} bytes instead of {self.remote.size:,}")
        missing = (self.remote.size or total or 0) - start
        free = shutil.disk_usage(self.path.parent).free + (0 if start else self.size_of_part())
        if missing > free:
            raise self.error(f"there is no room: it needs {missing:,} bytes, and {free:,} are free")

    def size_of_part(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def remember_version(self, response: requests.Response) -> None:
        version = None if _is_encoded(response) else _version(response)
        write_text(self.version, json.dumps({"url": self.remote.url, "version": version}))

    def write(self, response: requests.Response, task: TaskID) -> None:
        with naming(self.path, self.part), self.part.open("ab") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                self.progress.update(task, advance=len(chunk))
                if self.stopped.is_set():
                    return

    def finish(self, task: TaskID) -> None:
        """Puts a whole part in its place."""
        if self.stopped.is_set():
            return
        self.progress.update(task, description=f"checking {self.path.name}")
        if wrong := _difference(self.remote, self.part):
            self.forget()
            raise self.error(f"what came is not the published file: {wrong}")
        self.progress.update(task, description=self.path.name)
        self.part.replace(self.path)
        self.version.unlink(missing_ok=True)

    def forget(self) -> None:
        for path in (self.part, self.version):
            path.unlink(missing_ok=True)

    def error(self, what: str) -> ValueError:
        return ValueError(f"{self.remote.address}: {what}; a file brought by hand belongs at {self.path}")


_Chunked = requests.exceptions.ChunkedEncodingError  # a connection that ended within the content


def _is_encoded(response: requests.Response) -> bool:
    """Whether the content was compressed on its way, so that its length is another one."""
    return response.headers.get("Content-Encoding", "identity").lower() != "identity"


def _length(response: requests.Response) -> int | None:
    """The bytes to come; None if the server does not say."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and not _is_encoded(response) else None


def _version(response: requests.Response) -> str | None:
    """What tells this version of the server's file from others, as If-Range takes it (RFC 9110, section 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _reason(error: Exception) -> str:
    """A failure of the network in a few words; requests' own hold addresses of objects in memory."""
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the server's certificate is not accepted: {one_line(error)}"
    if isinstance(error, _Chunked):
        return "the connection broke off"
    return "the connection fails" if isinstance(error, requests.ConnectionError) else one_line(error)
