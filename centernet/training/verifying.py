"""Verifies the pictures of splits with a progress bar, and says in a line what was done."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path
from rich.console import Console

from centernet.terminal import complain
from centernet.training.progress import picture_progress
from centernet_data.contract.messages import one_line
from centernet_data.dataset import Dataset, is_stored
from centernet_data.verification.verify import Verified, verify_pictures

Gather = Callable[[np.ndarray], np.ndarray]


def verify_splits(
    splits: Mapping[str, Dataset],
    console: Console,
    shard: tuple[int, int] = (0, 1),
    all_gather: Gather = lambda values: values[None],
) -> None:
    """Verifies all pictures that are stored in files, except those known to be good from earlier, and prints a line.

    Of several processes each verifies its share; `shard` is (index, count) of this one. Raises ValueError for a picture
    that cannot be used, in all of them: the process that found it names it.
    """
    results, mistake, memory = dict[str, Verified](), None, _memory()
    try:
        for name, dataset in splits.items():
            if is_stored(dataset):
                results[name] = _verify(name, dataset, memory, console, shard)
    except ValueError as error:
        mistake = error
    if not results and mistake is None:  # all are rendered, in every process
        return
    read, known = sum(result.read for result in results.values()), sum(result.known for result in results.values())
    counts = all_gather(np.array([read, known, mistake is not None]))
    if mistake is not None:
        raise mistake
    if counts[:, 2].any():
        raise ValueError("another process found a picture that cannot be used, and names it")
    for trouble in dict.fromkeys(result.trouble for result in results.values() if result.trouble):
        complain(f"{trouble}; all pictures are verified at each start")
    _report(results, counts.sum(axis=0), console)


def _verify(name: str, dataset: Dataset, memory: Path | None, console: Console, shard: tuple[int, int]) -> Verified:
    with picture_progress(console) as bar:
        task = bar.add_task(f"verifying the pictures of [{name}]", total=None)
        return verify_pictures(
            dataset, memory, lambda done, total: bar.update(task, completed=done, total=total), shard
        )


def _report(results: Mapping[str, Verified], counts: np.ndarray, console: Console) -> None:
    read, known = int(counts[0]), int(counts[1])
    earlier = f" ({read} read, {known} known from earlier)" if known else ""
    console.print(f"verified {read + known} pictures{earlier}", soft_wrap=True)
    for name, result in results.items():
        for note in result.notes:
            console.print(f"  {name}: {note}", soft_wrap=True)


def _memory() -> Path | None:
    """The file in the user's cache folder in which good pictures are remembered.

    The environment variable CENTERNET_CACHE_DIR overrides the folder; if it is empty, nothing is remembered.
    """
    folder = os.environ.get("CENTERNET_CACHE_DIR")
    if folder == "":
        return None
    try:
        return (Path(folder).expanduser() if folder else user_cache_path("centernet-jax")) / "verified_pictures.sqlite"
    except RuntimeError as error:  # there is no home folder
        complain(f"verified pictures cannot be remembered ({one_line(error)})")
        return None
