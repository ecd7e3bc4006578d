"""`centernet bench`: how fast both backends are, in turn in one process, as tables."""

import json
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from centernet.config import Bench
from centernet.training.run_folder import write_text
from parity.bench import jax_work, report, torch_work
from parity.bench.flops import flop_per_image
from parity.bench.fresh import in_fresh_process
from parity.bench.machine import machine
from parity.bench.result import COMPILED, EAGER, JAX, Process, Speed, Timing, shares, speeds
from parity.bench.task import Task
from parity.bench.timing import in_turn, warm

IN_THIS_PROCESS = tuple(jax_work.WORK)
MATRIX_SIDE = {"cpu": 2048, "gpu": 8192}
WHOLE = ("training", "detection")  # what a process of its own is started for


def run(config: Bench) -> None:
    """Measures, prints, and writes the JSON if asked. ValueError for bad input."""
    if config.json and not config.json.parent.is_dir():
        raise ValueError(f"{config.json}: its folder does not exist")
    jax_work.prepare(config.device, config.dtype)
    torch_work.prepare(config.device, config.dtype)
    console, notes, timings = Console(), [], []
    about = machine(config.device)
    report.print_head(config, about, console)
    for task in tasks(config):
        measured = [measure(part, task, config, notes) for part in IN_THIS_PROCESS if part in config.parts]
        report.print_timings(measured, console)
        timings += measured
    parts = shares(timings)
    report.print_shares(parts, console)
    reached = measure_speeds(timings, config) if "flops" in config.parts else []
    report.print_speeds(reached, console)
    processes = list(measure_processes(config)) if "process" in config.parts else []
    report.print_processes(processes, console)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    if config.json:
        numbers = report.as_json(config, about, timings, reached, parts, processes, notes)
        write_text(config.json, json.dumps(numbers, indent=2) + "\n")


def tasks(config: Bench) -> list[Task]:
    """Each batch size with each image size."""
    options = (config.classes, config.objects, config.depth, config.dtype)
    return [Task(batch, (side, side), *options) for side in config.image_sizes for batch in config.batch_sizes]


def measure(part: str, task: Task, config: Bench, notes: list[str]) -> Timing:
    """One part in turn. Where torch.compile fails it is left out, and `notes` say so."""
    works = {JAX: jax_work.WORK[part](task), EAGER: torch_work.WORK[part](task)}
    if config.torch_compile:
        compiled = torch_work.WORK[part](task, compiled=True)
        if failed := _failure(compiled):
            notes.append(f"torch.compile is left out of {report.NAMES[part]}, {report.sizes(task)}: {failed}")
        else:
            works[COMPILED] = compiled
    return Timing(part, task, in_turn(works, config.rounds))


def _failure(work: Callable[[], object]) -> str | None:
    """The first line of why torch's compiler cannot do it: it lacks a C++ compiler, for one."""
    try:
        warm(work)
    except RuntimeError as error:
        return next(iter(str(error).strip().splitlines()), type(error).__name__)
    return None


def measure_speeds(timings: Sequence[Timing], config: Bench) -> list[Speed]:
    """Of the network and of training, where they were measured, beside a matrix product as the limit."""
    side = MATRIX_SIDE[config.device]
    products = {JAX: jax_work.matrix_product(side, config.dtype), EAGER: torch_work.matrix_product(side, config.dtype)}
    # The limit is what the machine can do, so it is not the median but the best that either reached.
    limit = 2 * side**3 / min(min(seconds) for seconds in in_turn(products, config.rounds).values())
    counted = [(one.task, one.part) for one in timings if one.part in ("forward", "training")]
    return speeds(timings, {key: flop_per_image(*key) for key in counted}, limit)


def measure_processes(config: Bench) -> Iterator[Process]:
    """Each side's training step and detection, each in processes of its own."""
    sides = (JAX, EAGER, COMPILED) if config.torch_compile else (JAX, EAGER)
    for task in tasks(config):
        for part in WHOLE:
            for side in sides:
                yield in_fresh_process(side, part, task, config.device)
