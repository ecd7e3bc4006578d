"""`centernet bench`."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

import tyro

from centernet.options import Integers, OutputFile, Overwrite
from centernet.terminal import PlainConsole
from centernet_data.contract.authors import require_writable
from centernet_data.contract.checks import refuse
from centernet_data.contract.files import write_json
from centernet_data.contract.precision import Device, NetworkDType

Part = Literal["forward", "detection", "training", "loss", "decoding", "flops", "process"]


@dataclass(frozen=True)
class Bench:
    """Compare the speed of both backends: in one process, in turn, each at its best.

    The result is JAX / torch in images per second. What can be measured:
    - forward: the network alone
    - detection: from uint8 pictures to boxes
    - training: one whole step
    - loss: targets and losses with their gradient
    - decoding: from the network's output to boxes
    - flops: arithmetic per second in forward and training, compared with a matrix product
    - process: memory and start-up time of a separate process, with cold and warm compilation caches
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.arg(metavar="PART...")] = get_args(Part)
    """What to measure."""
    batch_sizes: Integers = (8,)
    """Pictures per step or detection; each size is combined with each of --image-sizes."""
    image_sizes: Integers = (256,)
    """Sides of the network's square input in pixels, multiples of 32."""
    classes: int = 80
    """Number of classes."""
    objects: int = 128
    """Objects per picture."""
    depth: Literal[18, 34] = 34
    """Layers of the ResNet."""
    dtype: NetworkDType = "float32"
    """Precision of both networks; with bfloat16, weights, losses and boxes stay float32."""
    device: Device = "cpu"
    """Where both compute."""
    rounds: int = 10
    """Number of turns each takes, after warm-up."""
    torch_compile: bool = True
    """Also measure torch.compile; the ratio is that to the faster of torch's two forms."""
    json: OutputFile = None
    """Also write all numbers to this file."""
    overwrite: Overwrite = False

    def __post_init__(self):
        if not (self.parts and self.batch_sizes and self.image_sizes):
            refuse("--parts, --batch-sizes and --image-sizes need at least one value each")
        for side in self.image_sizes:
            if side < 32 or side % 32:
                refuse(f"--image-sizes must be multiples of 32, not {side}")
        if min(*self.batch_sizes, self.classes, self.objects, self.rounds) < 1:
            refuse("--batch-sizes, --classes, --objects and --rounds must be at least 1")

    def run(self) -> int:
        """Measures, prints and writes. Raises ValueError for bad input."""
        from centernet.backends import needs_both_backends
        from centernet.commands import bench_report as report

        require_writable(self.json, "centernet bench", self.overwrite, "--json")
        with needs_both_backends("bench"):
            from parity.bench import measure
            from parity.bench.machine import machine
            from parity.bench.result import Results, shares
            from parity.bench.task import Task
        measure.prepare(self.device, self.dtype)
        console, about, results = PlainConsole(), machine(self.device), Results()
        network = (self.classes, self.objects, self.depth, self.dtype, self.device)
        tasks = [Task(batch, (side, side), *network) for side in self.image_sizes for batch in self.batch_sizes]
        report.print_head(tasks[0], self.rounds, about, console)
        for task in tasks:
            parts = [part for part in measure.IN_THIS_PROCESS if part in self.parts]
            timings = [measure.measure(part, task, self.rounds, self.torch_compile, results.notes) for part in parts]
            report.print_timings(timings, console)
            results.timings += timings
        results.shares = shares(results.timings)
        report.print_shares(results.shares, console)
        if "flops" in self.parts:
            results.speeds = measure.measure_speeds(results.timings, self.device, self.dtype, self.rounds)
        report.print_speeds(results.speeds, console)
        if "process" in self.parts:
            results.processes = list(measure.measure_processes(tasks, self.device, self.torch_compile))
        report.print_processes(results.processes, console)
        report.print_notes(results.notes, console)
        if self.json:
            settings = asdict(self) | {"json": str(self.json)}
            numbers = {"settings": settings, "machine": about} | results.as_json()
            write_json(self.json, numbers, "centernet bench")
        return 0
