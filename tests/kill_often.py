"""Kills training runs at random moments, lets them go on, and compares how they end with a run that nobody disturbed.

    python tests/kill_often.py --kills 50 --backend jax

A run is killed by SIGKILL at a random one of the operations on its folder's files (opening, renaming, removing, ...),
or up to half a second later, when parts of a checkpoint are being written by threads. Then it is resumed, and killed
again, until it ends; then the next run begins. Not collected by pytest; test_resume.py has it kill a few times.
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
from safetensors.numpy import load_file

from centernet.cli import main
from centernet.training.tensorboard import GROUPS, import_tensorboardx
from helpers.small_data import make_data

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.scandir", "os.listdir"}
TINY = [
    "--image-size",
    "32",
    "--depth",
    "18",
    "--batch-size",
    "2",
    "--epochs",
    "4",
    "--checkpoint-every",
    "3",
]  # 6 steps
LONGEST_DELAY = 0.5  # seconds
TIMES = GROUPS["speed"]  # of metrics.jsonl, which no two runs share


def kill_after(folder, operations, delay):
    """Has this process kill itself `delay` seconds after so many operations on files in a folder."""
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

    Nothing of JAX has begun in this process, only imports are done; it may be copied.
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


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def arrays_of(folder):
    """All arrays of a run's last checkpoint, by name."""
    path = max(folder.glob("checkpoints/*.safetensors"), key=lambda path: int(path.stem))
    return {path.name: np.zeros(0)} | load_file(path)


def differences(folder, reference):
    """What is not as in the reference run: names of files and arrays."""
    wrong = [] if metrics_of(folder) == metrics_of(reference) else ["metrics.jsonl"]
    names = [sorted(str(path.relative_to(run)) for path in run.glob("*")) for run in (folder, reference)]
    if names[0] != names[1]:
        wrong.append(f"files {names[0]}")
    ours, theirs = (arrays_of(run) | load_file(run / "model.safetensors") for run in (folder, reference))
    if ours.keys() != theirs.keys():
        return [*wrong, "names of arrays"]
    if not same_events(folder, reference):
        wrong.append("tensorboard")
    return wrong + [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()]


def same_events(folder, reference):
    """Whether TensorBoard shows the same of both, and all that metrics.jsonl has, once; times excepted."""
    if not (folder / "tensorboard").exists():
        return True  # nor in the other, or their files differ
    from helpers.event_files import expected, shown

    for preempting in (False, True):
        ours, theirs = (shown(run / "tensorboard", preempting) for run in (folder, reference))
        timed = {f"speed/{name}" for name in TIMES}
        if any(ours.get(tag) != own for tag, own in theirs.items() if tag not in timed) or ours.keys() != theirs.keys():
            return False
        steps = {tag.partition("/")[2]: [step for step, _ in own] for tag, own in ours.items()}
        if any(steps[name] != [step for step, _ in own] for name, own in expected(metrics_of(folder)).items()):
            return False
    return True


def kill_often(folder, backend, kills, seed):
    """Kills so many times; returns the folders of the reference and of the runs that ended, in their order."""
    rng, log = np.random.default_rng(seed), folder / "log.txt"
    data = make_data(folder / "data")
    train = ["train", "--data", str(data), "--backend", backend, *TINY, "--tensorboard", "--out"]
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
    """How far a run has come, and what lies unfinished in its folder."""
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
