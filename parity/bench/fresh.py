"""One piece of work in a separate process: its start-up time and its memory.

`in_fresh_process` runs `python -m parity.bench.fresh JSON`, which imports only one of the two frameworks.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from centernet_data.contract.precision import Device
from parity.bench.result import COMPILED, JAX, Process
from parity.bench.task import Task


def in_fresh_process(side: str, part: str, task: Task, device: Device) -> Process:
    """Runs two processes one after the other; the first starts with empty caches of compiled programs."""
    settings = json.dumps({"side": side, "part": part, "task": asdict(task), "device": device})
    with tempfile.TemporaryDirectory() as folder:
        caches = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/jax", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch"}
        try:
            cold, warm = (_run(settings, caches) for _ in range(2))
        except ChildProcessError as error:
            return Process(side, part, task, failed=str(error))
    return Process(side, part, task, cold["seconds"], warm["seconds"], warm["peak_bytes"])


def _run(settings: str, caches: dict[str, str]) -> dict:
    start = time.time()
    command = [sys.executable, "-m", "parity.bench.fresh", settings]
    done = subprocess.run(command, env=os.environ | caches, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no error message"])[-1]
        raise ChildProcessError(f"ended with status {done.returncode}: {last}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": found["first_done"] - start, "peak_bytes": found["peak_bytes"]}


def main(settings: str) -> None:
    """Does the work three times. Prints when it was first done, in seconds since 1970, and the peak of memory."""
    given = json.loads(settings)
    task = Task(**given["task"] | {"image_size": tuple(given["task"]["image_size"])})
    if given["side"] == JAX:
        from parity.bench import jax_work as backend
    else:
        from parity.bench import torch_work as backend
    options = {"compiled": True} if given["side"] == COMPILED else {}
    backend.prepare(given["device"], task.dtype)
    work = backend.WORK[given["part"]](task, **options)
    work()
    first_done = time.time()
    for _ in range(2):
        work()
    peak = backend.peak_device_bytes() if given["device"] == "gpu" else _peak_bytes()
    print(json.dumps({"first_done": first_done, "peak_bytes": peak}))


def _peak_bytes() -> int:
    """The most memory that this process has used."""
    status = Path("/proc/self/status")  # on Linux, ru_maxrss starts from that of the parent process
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return 1024 * int(peak[1])
    import resource  # which Windows lacks

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    main(sys.argv[1])
