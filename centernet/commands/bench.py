"""`centernet bench`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro
from rich.console import Console
from rich.table import Table

from centernet.backends import needs_both_backends
from centernet.options import require_parent_folder
from centernet.tables import number_table
from centernet_data.contract.precision import Device, NetworkDType

if TYPE_CHECKING:  # importing these would import numpy
    from parity.bench.result import Process, Share, Speed, Timing
    from parity.bench.task import Task

Part = Literal["forward", "detection", "training", "loss", "decoding", "flops", "process"]


@dataclass(frozen=True)
class Bench:
    """Measure how fast both backends are: in one process, in turn, each at its best; the figure is JAX / torch.

    Parts: forward, the network alone; detection, uint8 pictures in and boxes out; training, one whole step; loss,
    targets and losses with their gradient; decoding, the network's output to boxes; flops, the share of a matrix
    product's speed that forward and training reach, where they are measured; process, the time a process of its own
    takes to its first step and its first detection, with cold and warm compilation caches, and its memory.
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.arg(metavar="PART...")] = get_args(Part)
    """What to measure: any of forward, detection, training, loss, decoding, flops, process."""
    batch_sizes: tuple[int, ...] = (8,)
    """Pictures per step or detection; each size with each of --image-sizes."""
    image_sizes: tuple[int, ...] = (256,)
    """Sizes of the network's square input in pixels, multiples of 32."""
    classes: int = 80
    """How many classes."""
    objects: int = 128
    """How many objects per picture."""
    depth: Literal[18, 34] = 34
    """Layers of the ResNet."""
    dtype: NetworkDType = "float32"
    """Precision of both networks; bfloat16 keeps float32 weights, losses and boxes."""
    device: Device = "cpu"
    """Where both compute."""
    rounds: int = 10
    """How many turns each takes, after warm-up."""
    torch_compile: bool = True
    """Also measure torch.compile; the faster of torch's two forms counts."""
    json: Path | None = None
    """Also write all numbers to this file."""

    def __post_init__(self):
        if not (self.parts and self.batch_sizes and self.image_sizes):
            raise ValueError("--parts, --batch-sizes and --image-sizes need at least one value each")
        for side in self.image_sizes:
            if side < 32 or side % 32:
                raise ValueError(f"--image-sizes must be multiples of 32, not {side}")
        if min(*self.batch_sizes, self.classes, self.objects, self.rounds) < 1:
            raise ValueError("--batch-sizes, --classes, --objects and --rounds must be at least 1")

    @property
    def tasks(self) -> list["Task"]:
        """Each batch size with each image size."""
        from parity.bench.task import Task

        options = (self.classes, self.objects, self.depth, self.dtype)
        return [Task(batch, (side, side), *options) for side in self.image_sizes for batch in self.batch_sizes]

    def run(self) -> int:
        """Measures, prints and writes. Raises ValueError for bad input."""
        from centernet_data.contract.files import write_text

        require_parent_folder(self.json)
        with needs_both_backends("bench"):
            from parity.bench import measure
            from parity.bench.machine import machine
            from parity.bench.result import shares
        measure.prepare(self.device, self.dtype)
        console, notes, timings = Console(), [], []
        about = machine(self.device)
        print_head(self, about, console)
        for task in self.tasks:
            parts = [part for part in measure.IN_THIS_PROCESS if part in self.parts]
            measured = [measure.measure(part, task, self.rounds, self.torch_compile, notes) for part in parts]
            print_timings(measured, console)
            timings += measured
        shared = shares(timings)
        print_shares(shared, console)
        speeds = measure.measure_speeds(timings, self.device, self.dtype, self.rounds) if "flops" in self.parts else []
        print_speeds(speeds, console)
        apart = "process" in self.parts
        processes = list(measure.measure_processes(self.tasks, self.device, self.torch_compile)) if apart else []
        print_processes(processes, console)
        _say(console, *notes)
        if self.json:
            numbers = as_json(self, about, timings, speeds, shared, processes, notes)
            write_text(self.json, json.dumps(numbers, indent=2) + "\n")
        return 0


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


def print_timings(timings: Sequence["Timing"], console: Console) -> None:
    """The ratios of one task, and the rates behind them. Nothing if there are none."""
    if not timings:
        return
    from parity.bench.result import COMPILED, EAGER, JAX, NAMES, sizes

    table = number_table(sizes(timings[0].task), "JAX / torch", "JAX images/s", "torch", "torch.compile")
    for one in timings:
        rates = [f"{one.images_per_second(n):,.1f}" if n in one.seconds else "-" for n in (JAX, EAGER, COMPILED)]
        table.add_row(NAMES[one.part], f"{one.ratio:.2f}", *rates)
    _show(console, table)


def print_shares(found: Sequence["Share"], console: Console) -> None:
    """How much of the time goes beside the network."""
    if not found:
        return
    from parity.bench.result import EAGER, JAX, NAMES, sizes

    table = number_table("share of the time", "JAX", "torch")
    for one in found:
        name = f"{NAMES[one.part]} in a {NAMES[one.whole]}, {sizes(one.task)}"
        table.add_row(name, *(f"{100 * one.of[side]:.1f}%" for side in (JAX, EAGER)))
    _show(console, table)


def print_speeds(found: Sequence["Speed"], console: Console) -> None:
    """Arithmetic per second beside that of a matrix product."""
    if not found:
        return
    from parity.bench.result import EAGER, JAX, NAMES, sizes

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


def print_processes(found: Sequence["Process"], console: Console) -> None:
    """Start and memory of whole processes."""
    if not found:
        return
    from parity.bench.result import NAMES, sizes

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
    timings: Sequence["Timing"],
    speeds: Sequence["Speed"],
    shares: Sequence["Share"],
    processes: Sequence["Process"],
    notes: Sequence[str],
) -> dict:
    """All that is printed, and the seconds of each round. Each list is empty where its part was not asked for."""
    settings = {name: str(value) if name == "json" else value for name, value in asdict(config).items()}
    numbers = {"timings": [one.as_json() for one in timings]}
    for name, rows in (("speeds", speeds), ("shares", shares), ("processes", processes)):
        numbers[name] = [asdict(one) for one in rows]
    return {"settings": settings, "machine": machine} | numbers | {"notes": list(notes)}


def _show(console: Console, table: Table) -> None:
    console.print("", table, sep="\n", highlight=False)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
