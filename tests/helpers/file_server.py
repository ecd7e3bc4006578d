"""A server of files on this machine that can misbehave as servers do."""

import gzip
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file and its server's manners.

    `cuts`: the bytes after which the next answers break off; `failures`: the statuses of the next answers; `status`:
    that of all others.
    """

    content: bytes = b""
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    status: int = 200
    kind: str = "application/octet-stream"
    tag: str | None = '"1"'
    ranges: bool = True
    respects_if_range: bool = True
    says_length: bool = True
    zipped: bool = False
    silent: float = 0
    moved_to: str | None = None
    asked: list[str | None] = field(default_factory=list)  # the Range of each request


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, Served]

    def log_message(self, format, *args):
        """Says nothing."""

    def do_GET(self):
        served = self.files.get(self.path)
        if served is None:
            return self.answer(404, b"no such file", {"Content-Type": "text/plain"})
        asked = self.headers.get("Range")
        served.asked.append(asked)
        if served.silent:
            time.sleep(served.silent)
        if served.moved_to:
            return self.answer(302, b"", {"Location": served.moved_to})
        if served.failures or served.status >= 400:
            return self.answer(served.failures.pop(0) if served.failures else served.status, b"", {})
        return self.answer_file(served, asked)

    def answer_file(self, served, asked):
        headers, body = {"Content-Type": served.kind}, served.content
        if served.tag:
            headers["ETag"] = served.tag
        if served.zipped:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        same = not served.respects_if_range or self.headers.get("If-Range") == served.tag
        if asked and served.ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(body):
                return self.answer(416, b"", {})
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return self.answer(206, body[start:], headers, served)
        return self.answer(200, body, headers, served)

    def answer(self, status, body, headers, served=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if served is None or served.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = served.cuts.pop(0) if served and served.cuts else len(body)
        self.wfile.write(body[:cut])


@contextmanager
def serving(files: dict[str, Served]) -> Iterator[str]:
    """Serves files by their paths, such as "/a.zip"; yields the server's address."""
    handler = type("Handler", (_Handler,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
