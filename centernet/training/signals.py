"""SIGTERM and Ctrl-C as a request, which a program fulfils where it can stop without loss."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The program was asked to stop, by `signal`. Like KeyboardInterrupt, no handler of errors catches it."""

    def __init__(self, signal: int):
        self.signal = signal
        super().__init__(f"stopped by signal {signal}")


class Stop:
    """Whether the program was asked to stop."""

    signal: int | None = None

    def check(self) -> None:
        """Raises Interrupted if it was."""
        if self.signal is not None:
            raise Interrupted(self.signal)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within it, SIGTERM and Ctrl-C only set the `Stop`; a second Ctrl-C ends the process at once, with status 130.

    Outside the main thread, where Python allows no signal handlers, it changes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # Python calls handlers between two instructions of the main thread, and while that compiles this may take minutes.
    # Another thread reads the bytes that signals write into a pipe at once.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader, stop), daemon=True)
    watcher.start()
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    pipe_before = signal.set_wakeup_fd(writer)
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(pipe_before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writer)  # which ends the watcher
        watcher.join()
        os.close(reader)


def _watch(reader: int, stop: Stop) -> None:
    while number := os.read(reader, 1):
        if number[0] == signal.SIGINT and stop.signal is not None:
            os._exit(128 + signal.SIGINT)
        if number[0] in SIGNALS and stop.signal is None:
            stop.signal = number[0]
            if number[0] == signal.SIGINT and sys.stderr.isatty():
                os.write(2, b"\nstopping after this step; press Ctrl-C again to quit without saving\n")
