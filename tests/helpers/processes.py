"""Python processes that a test starts: several at once, with a time limit, and none left running."""

import os
import socket
import subprocess
import sys

LONGEST = 300  # seconds


class Processes:
    """Starts Python processes on the CPU with this one's import path; on exit, those still running are killed."""

    def __enter__(self):
        self.started = []
        return self

    def start(self, *arguments, **options):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, *map(str, arguments)]
        self.started.append(subprocess.Popen(command, env=environment, **streams, **options))
        return self.started[-1]

    def __exit__(self, *_):
        for process in self.started:
            process.kill()
            process.communicate()


def finish(*processes, status=0):
    """Waits for them to end with this status. Returns what each wrote to stdout and to stderr."""
    outputs = [process.communicate(timeout=LONGEST) for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == status, errors
    return outputs


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
