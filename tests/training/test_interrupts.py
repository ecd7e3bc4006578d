"""SIGTERM and Ctrl-C, sent to a process from outside and from within."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from centernet.training.signals import Interrupted, stoppable

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def wait_for_signal(stop):
    deadline = time.monotonic() + 5
    while stop.signal is None and time.monotonic() < deadline:
        time.sleep(0.001)


@SIGNALS
def test_a_signal_takes_effect_at_the_next_check(number):
    before = signal.getsignal(number)
    with stoppable() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        wait_for_signal(stop)
        assert signal.getsignal(number) is not before
        with pytest.raises(Interrupted) as error:
            stop.check()
    assert error.value.signal == number
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_other_signals_change_nothing():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with stoppable() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            stop.check()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_in_another_thread_it_changes_nothing():
    seen = []

    def enter():
        with stoppable() as stop:
            stop.check()
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


BUSY = """
import time
from centernet.training.signals import stoppable
with stoppable():
    print("ready", flush=True)
    time.sleep(60)  # continues after a signal, as a compilation does
"""


def test_a_second_ctrl_c_quits_at_once_and_a_second_sigterm_does_not():
    command = [sys.executable, "-c", BUSY]
    data = Path(__file__).parents[2] / "data"
    environment = os.environ | {"PYTHONPATH": str(data)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        for number in (signal.SIGTERM, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
