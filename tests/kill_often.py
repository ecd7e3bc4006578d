"""Kills training runs at random moments, resumes them, and compares their results with an undisturbed run's.

    python tests/kill_often.py --kills 50 --backend jax

A run is killed by SIGKILL at a random operation on the files of its folder (opening, renaming, removing, ...), or up to
half a second later, while threads write parts of a checkpoint. Then it is resumed and killed again until it ends; then
the next run starts. pytest does not collect this file; test_resume.py runs it with a few kills.
"""

import argparse
import itertools
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from centernet.cli import main
from centernet.training.tensorboard import import_tensorboardx
from helpers.run_folders import SIX_STEPS, differences
from helpers.small_data import make_data

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.scandir", "os.listdir"}
LONGEST_DELAY = 0.5  # seconds


def kill_after(folder, operations, delay):
    """Makes this process kill itself `delay` seconds after so many operations on files in a folder."""
    left = itertools.count(operations, -1)

    def hook(event, arguments):
        if event in OPERATIONS and str(folder) in str(arguments[0]) and next(left) == 0:
            if delay:
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def count_operations(folder, counted):
    def hook(event, arguments):
        if event in OPERATIONS and str(folder) in str(arguments[0]):
            counted.append(event)

    sys.addaudithook(hook)


def attempt(arguments, log, prepare=lambda: None, conclude=lambda: None):
    """Runs a command in a copy of this process. Returns its status, -9 if it was killed.

    This process has only imported JAX and started nothing of it, so it may be copied.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    prepare()
    status = main(arguments)
    conclude()
    sys.stdout.flush()
    os._exit(status)


def kill_often(folder, backend, kills, seed):
    """Kills so many times. Returns the folder of the reference, those of the runs that ended, and all output."""
    rng, log = np.random.default_rng(seed), folder / "log.txt"
    data = make_data(folder / "data")
    train = ["train", "--data", str(data), "--backend", backend, *SIX_STEPS, "--tensorboard", "--out"]
    import_tensorboardx()  # once, and not in each copy of this process

    reference, counted = folder / "reference", folder / "operations.json"
    operations = []
    status = attempt(
        [*train, str(reference)],
        log,
        lambda: count_operations(reference, operations),
        lambda: counted.write_text(json.dumps(len(operations))),
    )
    if status != 0:
        sys.exit(f"the reference run ended with {status}\n{log.read_text()}")
    most, ended, killed = json.loads(counted.read_text()), [], 0
    while killed < kills or run not in ended:
        if killed == 0 or run in ended:
            run = folder / f"run{len(ended)}"
        prepare = lambda: None  # noqa: E731
        if killed < kills:
            place, delay = int(rng.integers(most // 2)), float(rng.choice([0, rng.uniform(0, LONGEST_DELAY)]))
            prepare = lambda: kill_after(run, place, delay)  # noqa: E731, B023
        started = time.perf_counter()
        status = attempt([*train, str(run), "--resume"], log, prepare)
        print(f"{run.name}: {status} after {time.perf_counter() - started:.1f} s; {stand(run)}", flush=True)
        killed += status == -signal.SIGKILL
        if status not in (0, -signal.SIGKILL):
            sys.exit(f"{run.name} ended with {status}\n{log.read_text()}")
        if status == 0:
            ended.append(run)
    return reference, ended, log.read_text()


def stand(run):
    """How far a run has come, and what is in its folder of checkpoints."""
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().count("\n") if metrics.exists() else 0
    names = sorted(path.name for path in run.glob("checkpoints/*"))
    return f"{lines} lines, {' '.join(names) or 'no checkpoint'}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--backend", choices=("jax", "torch"), default="jax")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    __import__(f"centernet_{options.backend}")
    with TemporaryDirectory() as folder:
        reference, ended, output = kill_often(Path(folder), options.backend, options.kills, options.seed)
        wrong = [f"{run.name}: {name}" for run in ended for name in differences(run, reference)]
    print(f"{options.kills} kills, {len(ended)} runs; damaged checkpoints met: {output.count('is damaged')}")
    sys.exit("\n".join(wrong) or 0)
