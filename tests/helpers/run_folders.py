"""What runs write into their folders, and whether two runs have the same results."""

import json

import numpy as np
from safetensors.numpy import load_file

from centernet.training.tensorboard import GROUPS

SIX_STEPS = ("--image-size", "32", "--depth", "18", "--batch-size", "2", "--epochs", "4", "--checkpoint-every", "3")
TIMES = GROUPS["speed"]  # of metrics.jsonl, which no two runs share


def read_metrics(folder):
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def metrics_of(folder):
    """The same without times."""
    return [{name: value for name, value in line.items() if name not in TIMES} for line in read_metrics(folder)]


def arrays_of(folder):
    """All arrays of a run's last checkpoint, by name."""
    path = max(folder.glob("checkpoints/*.safetensors"), key=lambda path: int(path.stem))
    return {path.name: np.zeros(0)} | load_file(path)


def differences(folder, reference):
    """What differs from the reference run: names of files and arrays."""
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
    """Whether TensorBoard shows the same for both, and all of metrics.jsonl once; times excepted."""
    if not (folder / "tensorboard").exists():
        return True  # nor has the other one, or their files differ
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
