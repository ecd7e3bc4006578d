"""What is printed, and what the JSON holds."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from centernet.config import Bench
from centernet.tables import number_table
from parity.bench.result import COMPILED, EAGER, JAX, Process, Share, Speed, Timing
from parity.bench.task import Task

NAMES = {
    "forward": "network forward",
    "detection": "detection",
    "training": "training step",
    "loss": "targets and losses",
    "decoding": "decoding",
}


def print_head(config: Bench, machine: dict, console: Console) -> None:
    """What is measured, and on what."""
    _say(
        console,
        f"ResNet-{config.depth}, {config.classes} classes, {config.objects} objects a picture, {config.dtype}, "
        f"{config.rounds} rounds",
        f"{machine.get('gpu', 'CPU')}; {machine['cpu']}, {machine['cores']} cores, of which JAX takes all and torch "
        f"{machine['torch_threads']}",
        f"jax {machine['jax']}, torch {machine['torch']}, Python {machine['python']}; {machine['date']}",
        "JAX / torch in images per second: above 1 JAX is faster than torch's faster form (channels_last, inference "
        "mode)",
    )


def print_timings(timings: Sequence[Timing], console: Console) -> None:
    """The ratios of one task, and the rates behind them. Nothing if there are none."""
    if not timings:
        return
    table = number_table(sizes(timings[0].task), "JAX / torch", "JAX images/s", "torch", "torch.compile")
    for one in timings:
        rates = [f"{one.images_per_second(n):,.1f}" if n in one.seconds else "-" for n in (JAX, EAGER, COMPILED)]
        table.add_row(NAMES[one.part], f"{one.ratio:.2f}", *rates)
    _show(console, table)


def print_shares(found: Sequence[Share], console: Console) -> None:
    """How much of the time goes beside the network."""
    if not found:
        return
    table = number_table("share of the time", "JAX", "torch")
    for one in found:
        name = f"{NAMES[one.part]} in a {NAMES[one.whole]}, {sizes(one.task)}"
        table.add_row(name, *(f"{100 * one.of[side]:.1f}%" for side in (JAX, EAGER)))
    _show(console, table)


def print_speeds(found: Sequence[Speed], console: Console) -> None:
    """Arithmetic per second beside that of a matrix product."""
    if not found:
        return
    table = number_table("share of the limit", "GFLOP/image", "JAX GFLOP/s", "torch GFLOP/s")
    for one in found:
        rates = [one.flop_per_second[side] for side in (JAX, EAGER)]
        cells = [f"{rate / 1e9:,.0f} ({100 * rate / one.limit:.0f}%)" for rate in rates]
        table.add_row(f"{NAMES[one.part]}, {sizes(one.task)}", f"{one.flop_per_image / 1e9:.1f}", *cells)
    _show(console, table)
    _say(
        console,
        f"The limit is that of a matrix product in this process, {found[0].limit / 1e9:,.0f} GFLOP/s. The work is that "
        "of the convolutions, as the torch form has them.",
    )


def print_processes(found: Sequence[Process], console: Console) -> None:
    """Start and memory of whole processes."""
    if not found:
        return
    table = number_table("in a process of its own", "cold, s", "warm, s", "peak MiB")
    for one in found:
        cells = ("-", "-", "-")
        if not one.failed:
            cells = (f"{one.cold_seconds:.1f}", f"{one.warm_seconds:.1f}", f"{one.peak_bytes / 2**20:,.0f}")
        table.add_row(f"{NAMES[one.part]}, {sizes(one.task)}: {one.side}", *cells)
    _show(console, table)
    _say(console, "Seconds from program start to the first result, nothing or all compiled before.")
    for one in found:
        if one.failed:
            _say(console, f"{NAMES[one.part]}, {sizes(one.task)}: {one.side} {one.failed}")


def as_json(
    config: Bench,
    machine: dict,
    timings: Sequence[Timing],
    speeds: Sequence[Speed],
    shares: Sequence[Share],
    processes: Sequence[Process],
    notes: Sequence[str],
) -> dict:
    """All that is printed, and the seconds of each round. Each list is empty where its part was not asked for."""
    settings = {name: str(value) if name == "json" else value for name, value in asdict(config).items()}
    numbers = {"timings": [one.as_json() for one in timings]}
    for name, rows in (("speeds", speeds), ("shares", shares), ("processes", processes)):
        numbers[name] = [asdict(one) for one in rows]
    return {"settings": settings, "machine": machine} | numbers | {"notes": list(notes)}


def sizes(task: Task) -> str:
    return f"{task.batch_size} of {task.image_size[0]} x {task.image_size[1]}"


def _show(console: Console, table: Table) -> None:
    console.print("", table, sep="\n", highlight=False)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
