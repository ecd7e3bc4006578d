"""The checkpoints of a run: how they lie in their folder, which are kept, and which one is gone on from."""

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable
from zlib import crc32

from centernet.training.resume import OtherSettings, require_same_settings
from centernet_data.contract.files import write_text

NEWEST = 2  # how many of the newest are kept: the last but one for the case that the last is damaged
OURS = re.compile(r"(\.\d+-)?\d+\.(state|json)(\.orbax-checkpoint-tmp.*)?")  # the first and last part: unfinished

State = TypeVar("State")


@runtime_checkable
class Checkpointer(Protocol[State]):
    """What `checkpoints.py` of either backend provides: `save` begins to write a file or a folder, `wait` ends it."""

    def save(self, path: Path, state: State) -> None: ...
    def wait(self) -> None: ...
    def restore(self, path: Path, state: State) -> State: ...


@dataclass(frozen=True)
class Record:
    """What is known of a checkpoint beside its state.

    `settings` are those of the run; `lines` is how many lines its metrics.jsonl had, `ap` what was measured then, and
    `checksum` that of the state's files.
    """

    settings: dict
    lines: int
    ap: float | None = None
    checksum: int | None = None


class CheckpointFolder:
    """Of each checkpoint `STEP.state`, which the backend writes, and `STEP.json`, its record, written thereafter.

    One that has both is whole. Those of the newest two steps are kept, and the one with the best validation AP.
    """

    def __init__(self, path: Path, checkpointer: Checkpointer):
        self.path = path
        self._checkpointer = checkpointer
        self._thread = ThreadPoolExecutor(1)
        self._saving: tuple[int, Future] | None = None

    @property
    def steps(self) -> list[int]:
        """The steps of the whole checkpoints, rising."""
        found = (path.stem for path in self.path.glob("*.state") if path.with_suffix(".json").exists())
        return sorted(int(stem) for stem in found if stem.isdecimal())

    def save(self, step: int, state: State, record: Record) -> None:
        """Begins to save, unless this step is saved already. ValueError if this or the last save fails."""
        self.wait()
        if step in self.steps:
            return
        with self._failures(step):
            self.path.mkdir(exist_ok=True)
            self._checkpointer.save(self._state(step), state)
        self._saving = step, self._thread.submit(self._complete, step, record)

    def wait(self) -> None:
        """Until the last save is done; removes what need not be kept. ValueError if the save has failed."""
        saving, self._saving = self._saving, None
        try:
            if saving:
                with self._failures(saving[0]):
                    saving[1].result()
        finally:
            self._remove_all_but(self.steps[-NEWEST:] + self._best())

    def record_ap(self, step: int, ap: float | None) -> None:
        """Notes the AP that was measured with the state of a checkpoint."""
        self.wait()
        self._write(step, replace(self.record(step), ap=ap))

    def restore(self, state: State, settings: dict, tell: Callable[[str], None]) -> tuple[int, State, Record] | None:
        """Step, state and record of the newest whole checkpoint that can be read; None if there is none at all.

        What comes after it is removed. `state` gives the shapes, and may be changed in place; `tell` is given a line
        for each damaged checkpoint. ValueError if none of several can be read, or if its run has other settings.
        """
        steps = self.steps
        for step in reversed(steps):
            try:
                record = self.record(step)
                require_same_settings(record.settings, settings, f"{self.path}: step {step}")
                if record.checksum != checksum(self._state(step)):
                    raise ValueError("its files are not what was written")
                restored = self._checkpointer.restore(self._state(step), state)
            except OtherSettings:
                raise
            except Exception as error:  # both backends raise nearly anything for a damaged file
                tell(f"the checkpoint of step {step} is damaged ({_reason(error)})")
            else:
                self._remove_all_but([kept for kept in steps if kept <= step])
                return step, restored, record
        if steps:
            raise ValueError(f"{self.path}: no checkpoint in it can be read; --overwrite starts from the beginning")
        return None

    def record(self, step: int) -> Record:
        """What was noted with a checkpoint."""
        return Record(**json.loads(self._json(step).read_text(encoding="utf-8")))

    def _complete(self, step: int, record: Record) -> None:
        self._checkpointer.wait()
        self._write(step, replace(record, checksum=checksum(self._state(step))))

    def _write(self, step: int, record: Record) -> None:
        write_text(self._json(step), json.dumps(asdict(record), indent=1))

    def _state(self, step: int) -> Path:
        return self.path / f"{step}.state"

    def _json(self, step: int) -> Path:
        return self.path / f"{step}.json"

    def _best(self) -> list[int]:
        rated = [(ap, step) for step in self.steps if (ap := self._ap(step)) is not None]
        return [max(rated)[1]] if rated else []

    def _ap(self, step: int) -> float | None:
        try:
            return self.record(step).ap
        except (ValueError, TypeError):  # a damaged record tells nothing
            return None

    def _remove_all_but(self, steps: list[int]) -> None:
        """Records go first, so that what is left of a half-removed checkpoint does not pass for a whole one."""
        kept = {path.name for step in steps for path in (self._json(step), self._state(step))}
        ours = [path for path in self.path.glob("*") if OURS.fullmatch(path.name)] if self.path.is_dir() else []
        for path in sorted(ours):
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def _failures(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            steps = self.steps
            survivor = f"the last one, of step {steps[-1]}, is whole" if steps else "there is none yet"
            message = f"the checkpoint of step {step} cannot be saved ({_reason(error)}); {survivor}"
            raise ValueError(f"{self.path}: {message}") from error


def checksum(path: Path) -> int:
    """CRC-32 of a file, or of all files in a folder one after the other. Any flipped bit changes it."""
    files = sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]
    value = 0
    for name in files:
        with name.open("rb") as file:
            while part := file.read(1 << 20):
                value = crc32(part, value)
    return value


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or textwrap.shorten(str(error) or type(error).__name__, 150)
