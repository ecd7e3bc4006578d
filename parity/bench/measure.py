"""What `centernet bench` measures: both backends in turn in this process, and each in separate processes."""

from collections.abc import Callable, Iterator, Sequence

from centernet_data.contract.precision import Device, NetworkDType
from parity.bench import jax_work, torch_work
from parity.bench.flops import flop_per_image
from parity.bench.fresh import in_fresh_process
from parity.bench.result import COMPILED, EAGER, JAX, NAMES, Process, Speed, Timing, sizes, speeds
from parity.bench.task import Task
from parity.bench.timing import in_turn, warm

IN_THIS_PROCESS = tuple(jax_work.WORK)
MATRIX_SIDE = {"cpu": 2048, "gpu": 8192}
WHOLE = ("training", "detection")  # measured in separate processes


def prepare(device: Device, dtype: NetworkDType) -> None:
    """From now on, both backends compute on `device` and in `dtype`. Raises ValueError if there is no such device."""
    jax_work.prepare(device, dtype)
    torch_work.prepare(device, dtype)


def measure(part: str, task: Task, rounds: int, torch_compile: bool, notes: list[str]) -> Timing:
    """Times one part on both sides in turn. If torch.compile fails, it is left out and a line is added to `notes`."""
    works = {JAX: jax_work.WORK[part](task), EAGER: torch_work.WORK[part](task)}
    if torch_compile:
        compiled = torch_work.WORK[part](task, compiled=True)
        if failed := _failure(compiled):
            notes.append(f"torch.compile is left out of {NAMES[part]}, {sizes(task)}: {failed}")
        else:
            works[COMPILED] = compiled
    return Timing(part, task, in_turn(works, rounds))


def _failure(work: Callable[[], object]) -> str | None:
    """The first line of torch's error if it cannot compile the work, for example because there is no C++ compiler."""
    try:
        warm(work)
    except RuntimeError as error:
        return next(iter(str(error).strip().splitlines()), type(error).__name__)
    return None


def measure_speeds(timings: Sequence[Timing], device: Device, dtype: NetworkDType, rounds: int) -> list[Speed]:
    """The speeds of those `timings` that are of forward or training, with a matrix product's speed as the limit."""
    side = MATRIX_SIDE[device]
    products = {JAX: jax_work.matrix_product(side, dtype), EAGER: torch_work.matrix_product(side, dtype, device)}
    # The limit is what the machine can do, so it is the best round of either side instead of a median.
    limit = 2 * side**3 / min(min(seconds) for seconds in in_turn(products, rounds).values())
    counted = [(one.task, one.part) for one in timings if one.part in ("forward", "training")]
    return speeds(timings, {key: flop_per_image(*key) for key in counted}, limit)


def measure_processes(tasks: Sequence[Task], device: Device, torch_compile: bool) -> Iterator[Process]:
    """Each side's training step and detection, each in separate processes."""
    sides = (JAX, EAGER, COMPILED) if torch_compile else (JAX, EAGER)
    for task in tasks:
        for part in WHOLE:
            for side in sides:
                yield in_fresh_process(side, part, task, device)
