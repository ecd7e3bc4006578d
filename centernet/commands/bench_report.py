"""What `centernet bench` prints. A function that is given no results prints nothing."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from centernet.terminal import number_table
from parity.bench.result import COMPILED, EAGER, JAX, NAMES, Process, Share, Speed, Timing, sizes
from parity.bench.task import Task


def print_head(task: Task, rounds: int, machine: Mapping[str, str | int], console: Console) -> None:
    """What is measured, and on which machine."""
    _say(
        console,
        f"ResNet-{task.depth}, {task.classes} classes, {task.objects} objects per picture, {task.dtype}, "
        f"{rounds} rounds",
        f"{machine.get('gpu', 'CPU')}; {machine['cpu']}, {machine['cores']} cores: JAX uses all, torch "
        f"{machine['torch_threads']}",
        f"jax {machine['jax']}, torch {machine['torch']}, Python {machine['python']}; {machine['date']}",
        "JAX / torch in images per second: above 1, JAX is faster than the faster of torch's forms (channels_last, "
        "inference mode)",
    )


def print_timings(timings: Sequence[Timing], console: Console) -> None:
    """The ratios for one task, and the rates they come from."""
    if not timings:
        return
    table = number_table(sizes(timings[0].task), "JAX / torch", "JAX images/s", "torch", "torch.compile")
    for one in timings:
        rates = [f"{one.images_per_second(n):,.1f}" if n in one.seconds else "-" for n in (JAX, EAGER, COMPILED)]
        table.add_row(NAMES[one.part], f"{one.ratio:.2f}", *rates)
    _show(console, table)


def print_shares(found: Sequence[Share], console: Console) -> None:
    """How much of the time is spent outside the network."""
    if not found:
        return
    table = number_table("share of the time", "JAX", "torch")
    for one in found:
        name = f"{NAMES[one.part]} in a {NAMES[one.whole]}, {sizes(one.task)}"
        table.add_row(name, *(f"{100 * one.of[side]:.1f}%" for side in (JAX, EAGER)))
    _show(console, table)


def print_speeds(found: Sequence[Speed], console: Console) -> None:
    """Arithmetic per second, and its share of a matrix product's."""
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
        f"The limit is the speed of a matrix product in this process, {found[0].limit / 1e9:,.0f} GFLOP/s. Only the "
        "convolutions are counted, in the form that torch has them.",
    )


def print_processes(found: Sequence[Process], console: Console) -> None:
    """Start-up time and memory of whole processes, then the reasons of those that failed."""
    if not found:
        return
    table = number_table("in a process of its own", "cold, s", "warm, s", "peak MiB")
    for one in found:
        table.add_row(f"{NAMES[one.part]}, {sizes(one.task)}: {one.side}", *_figures(one))
    _show(console, table)
    _say(console, "Seconds from program start to the first result; cold: nothing compiled before.")
    for one in found:
        if one.failed:
            _say(console, f"{NAMES[one.part]}, {sizes(one.task)}: {one.side} {one.failed}")


def _figures(one: Process) -> tuple[str, str, str]:
    if one.cold_seconds is None or one.warm_seconds is None or one.peak_bytes is None:
        return "-", "-", "-"
    return f"{one.cold_seconds:.1f}", f"{one.warm_seconds:.1f}", f"{one.peak_bytes / 2**20:,.0f}"


def print_notes(notes: Sequence[str], console: Console) -> None:
    """What could not be measured, and why."""
    _say(console, *notes)


def _show(console: Console, table: Table) -> None:
    console.print("", table, sep="\n")


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
