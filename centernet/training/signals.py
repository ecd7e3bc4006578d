"""SIGTERM and Ctrl-C as a request that a program meets where it can stop without loss."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The program was asked to stop, by `signal`."""

    def __init__(self, signal: int):
        self.signal = signal
        super().__init__(f"stopped by signal {signal}")


class Stop:
    """Whether the program was asked to stop."""

    signal: int | None = None

    def check(self) -> None:
        """Interrupted if it was."""
        if self.signal is not None:
            raise Interrupted(self.signal)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """While in it, SIGTERM and Ctrl-C only set the `Stop`; a second Ctrl-C ends the process at once, with status 130.

    In another thread than the main one, where Python lets nobody handle signals, it changes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # Python calls its handlers between two instructions of the main thread, which may be minutes away while that one
    # compiles. The bytes that signals put into a pipe are read in another thread at once.
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
                os.write(2, b"\nstopping after this step; Ctrl-C again leaves at once, and unsaved\n")
