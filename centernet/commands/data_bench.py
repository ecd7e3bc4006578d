"""`centernet data bench`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from centernet.options import (
    DataName,
    ImageSize,
    Integers,
    OutputFile,
    Overwrite,
    height_and_width,
    require_image_size,
)
from centernet.terminal import PlainConsole, number_table
from centernet_data.contract.augmentation import Augmentation
from centernet_data.contract.authors import require_writable
from centernet_data.contract.checks import refuse
from centernet_data.contract.files import write_json


@dataclass(frozen=True)
class DataBench:
    """Measure how fast a data set is read, and its batches made: by stage on one thread, and as a whole by worker
    processes.

    In turn with it, the authors' sampler makes batches of the same pictures on one thread, and torch's DataLoader, if
    torch is installed, the same batches in processes.
    """

    data: DataName
    split: str = "train"
    """Section of the data set."""
    image_size: ImageSize = (512,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    batch_size: int = 16
    """Pictures per batch."""
    workers: Integers = (0, 1, 2)
    """Numbers of worker processes to try. 0: threads of this process, one per CPU core."""
    batches: int = 20
    """Batches per measurement, of which there are three."""
    json: OutputFile = None
    """Also write the numbers to this file."""
    overwrite: Overwrite = False

    def __post_init__(self):
        require_image_size(self.image_size)
        if self.batch_size < 1 or self.batches < 1 or min(self.workers, default=-1) < 0:
            refuse("--batch-size and --batches must be at least 1, --workers at least 0")

    def run(self) -> int:
        """Measures, prints four tables and writes. Raises ValueError for bad input."""
        from centernet.commands.data_bench_work import (
            compared_with_authors,
            milliseconds_by_stage,
            pictures_per_second,
            seconds_of_reading,
            seconds_to_first_batch,
        )
        from centernet_data.batches import Batches
        from centernet_data.source import open_dataset, require_pictures

        require_writable(self.json, "centernet data bench", self.overwrite, "--json")
        hw = height_and_width(self.image_size)
        dataset, start = seconds_of_reading(lambda: open_dataset(self.data, self.split))
        require_pictures(self.data, self.split, dataset)
        batches = Batches(dataset, self.batch_size, hw, "letterbox", Augmentation(), seed=0)
        console = PlainConsole()
        console.print(
            f"{self.data}: {len(dataset)} pictures; {hw[0]} x {hw[1]}, batches of {self.batch_size}, "
            f"full augmentation; {os.cpu_count()} CPU cores",
            soft_wrap=True,
        )
        start |= {f"first batch, {_maker(count)}": seconds_to_first_batch(batches, count) for count in self.workers}
        print_start(start, console)
        stages = milliseconds_by_stage(batches, self.batches)
        print_stages(stages, console)
        authors = compared_with_authors(batches, self.batches)
        print_comparison(authors, console)
        rates = pictures_per_second(batches, self.workers, self.batches)
        print_rates(rates, console)
        if self.json:
            numbers = {"start": start, "stages": stages, "authors": authors, "workers": rates}
            write_json(self.json, numbers, "centernet data bench")
        return 0


def _maker(count: int) -> str:
    """Who makes the batches."""
    return f"{count} process{'es' if count > 1 else ''}" if count else f"{os.cpu_count()} threads"


def print_start(start: Mapping[str, float], console: Console) -> None:
    """Seconds until the data set is read, and from then until the first batch is there; and memory."""
    table = number_table("start", "")
    for name, value in start.items():
        unit = "MiB" if "memory" in name else "s"
        table.add_row(name, f"{value:,.0f} {unit}" if unit == "MiB" else f"{value:.2f} {unit}")
    console.print("", table, sep="\n")


def print_stages(stages: Mapping[str, float], console: Console) -> None:
    """Milliseconds by stage."""
    table = number_table("on one thread", "ms/picture", "pictures/s")
    for stage, value in stages.items():
        table.add_row(stage, f"{value:.2f}", f"{1e3 / value:,.0f}")
    console.print("", table, sep="\n")


def print_comparison(authors: Mapping[str, float] | None, console: Console) -> None:
    """Pictures per second on one thread, and those of the authors' sampler, if it can read the pictures."""
    if authors is None:
        return
    table = number_table("batches on one thread", "pictures/s", "the authors' sampler", "ratio")
    rates = (authors["pictures_per_second"], authors["authors"])
    table.add_row("", *(f"{rate:,.0f}" for rate in rates), f"{authors['ratio']:.2f}")
    console.print("", table, sep="\n")


def print_rates(rates: Mapping[int, Mapping[str, float]], console: Console) -> None:
    """Pictures per second by number of workers, compared with torch's DataLoader if that was measured."""
    table = number_table("workers", "pictures/s", "torch's DataLoader", "ratio")
    for count, values in rates.items():
        theirs = (f"{values['data_loader']:,.0f}", f"{values['ratio']:.2f}") if "ratio" in values else ("-", "-")
        table.add_row(_maker(count), f"{values['pictures_per_second']:,.0f}", *theirs)
    console.print("", table, sep="\n")
