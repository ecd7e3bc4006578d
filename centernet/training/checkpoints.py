"""The checkpoints of a run: how they lie in their folder, which are kept, and from which one a run resumes."""

import json
import shutil
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from centernet.backends import Backend
from centernet.training.resume import OtherSettings, require_same_settings
from centernet.training.run_folder import CHECKPOINT_FILES
from centernet_data.contract.checkpoint import read_arrays, write_arrays
from centernet_data.contract.files import write_text

NEWEST = 2  # how many of the newest are kept: the last but one in case the last is damaged
STATE, OLDER_STATE = ".safetensors", ".state"  # suffixes; the older is of versions before 0.2


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint besides its state.

    `settings` are those of the run; `lines` is how many lines its metrics.jsonl had, `ap` the average precision
    measured then, and `checksum` that of the state's file."""

    settings: dict
    lines: int
    ap: float | None = None
    checksum: int | None = None


class CheckpointFolder:
    """For each checkpoint `STEP.safetensors`, the state's arrays, and `STEP.json`, its info, written after it.

    A checkpoint that has both is complete. The newest two are kept, and the one with the best validation AP.
    """

    def __init__(self, path: Path, backend: Backend):
        self.path = path
        self._backend = backend
        self._thread = ThreadPoolExecutor(1)
        self._saving: tuple[int, Future] | None = None

    @property
    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, rising."""
        found = {p.stem for suffix in (STATE, OLDER_STATE) for p in self.path.glob(f"*{suffix}")}
        return sorted(int(stem) for stem in found if stem.isdecimal() and (self.path / f"{stem}.json").exists())

    def save(self, step: int, state: Any, info: CheckpointInfo) -> None:
        """Copies the state and begins to write it, unless this step is saved already.

        Raises ValueError if this or the last save fails.
        """
        self.wait()
        if step in self.steps:
            return
        with self._failures(step):
            self.path.mkdir(exist_ok=True)
            arrays = self._backend.to_arrays(state)
        self._saving = step, self._thread.submit(self._write, step, arrays, info)

    def wait(self) -> None:
        """Waits for the last save, then removes what need not be kept. Raises ValueError if the save has failed."""
        saving, self._saving = self._saving, None
        try:
            if saving:
                with self._failures(saving[0]):
                    saving[1].result()
        finally:
            self._remove_all_but(self.steps[-NEWEST:] + self._best())

    def record_ap(self, step: int, ap: float | None) -> None:
        """Records the AP that was measured with the state of a checkpoint."""
        self.wait()
        self._write_info(step, replace(self.info(step), ap=ap))

    def restore(
        self, state: Any, settings: dict, tell: Callable[[str], None]
    ) -> tuple[int, Any, CheckpointInfo] | None:
        """Step, state and info of the newest complete checkpoint that can be read; None if there is none at all.

        What comes after it is removed. `state` gives the shapes, and may be changed in place; `tell` receives a line
        for each damaged checkpoint. Raises ValueError if none of several can be read, or if its run had other settings.
        """
        steps = self.steps
        for step in reversed(steps):
            try:
                info = self.info(step)
                require_same_settings(info.settings, settings, f"{self.path}: step {step}")
                if info.checksum != checksum(self._state(step)):
                    raise ValueError("its files are not what was written")
                restored = self._read(step, state)
            except OtherSettings:
                raise
            except Exception as error:  # both backends raise nearly anything for a damaged file
                tell(f"the checkpoint of step {step} is damaged ({_reason(error)})")
            else:
                self._remove_all_but([kept for kept in steps if kept <= step])
                return step, restored, info
        if steps:
            raise ValueError(f"{self.path}: no checkpoint in it can be read; --overwrite starts from the beginning")
        return None

    def info(self, step: int) -> CheckpointInfo:
        """What was recorded with a checkpoint."""
        return CheckpointInfo(**json.loads(self._json(step).read_text(encoding="utf-8")))

    def _read(self, step: int, state: Any) -> Any:
        path = self._state(step)
        if path.suffix == OLDER_STATE:
            return self._backend.read_older(path, state)
        return self._backend.from_arrays(state, read_arrays(path))

    def _write(self, step: int, arrays: dict, info: CheckpointInfo) -> None:
        path = self.path / f"{step}{STATE}"
        write_arrays(path, arrays)
        self._write_info(step, replace(info, checksum=checksum(path)))

    def _write_info(self, step: int, info: CheckpointInfo) -> None:
        write_text(self._json(step), json.dumps(asdict(info), indent=1))

    def _state(self, step: int) -> Path:
        path = self.path / f"{step}{STATE}"
        return path if path.exists() else path.with_suffix(OLDER_STATE)

    def _json(self, step: int) -> Path:
        return self.path / f"{step}.json"

    def _best(self) -> list[int]:
        rated = [(ap, step) for step in self.steps if (ap := self._ap(step)) is not None]
        return [max(rated)[1]] if rated else []

    def _ap(self, step: int) -> float | None:
        try:
            return self.info(step).ap
        except (ValueError, TypeError):  # its info is damaged
            return None

    def _remove_all_but(self, steps: list[int]) -> None:
        """Removes infos first, so that a half-removed checkpoint does not pass for a complete one."""
        kept = {path.name for step in steps for path in (self._json(step), self._state(step))}
        there = self.path.iterdir() if self.path.is_dir() else ()
        ours = [path for path in there if CHECKPOINT_FILES.fullmatch(path.name)]
        for path in sorted(ours, key=lambda path: (path.suffix != ".json", path.name)):
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def _failures(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            steps = self.steps
            survivor = f"the last one, of step {steps[-1]}, is complete" if steps else "there is none yet"
            message = f"the checkpoint of step {step} cannot be saved ({_reason(error)}); {survivor}"
            raise ValueError(f"{self.path}: {message}") from error


def checksum(path: Path) -> int:
    """CRC-32 of a file, or of all files in a folder in order. Any flipped bit changes it."""
    files = sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]
    value = 0
    for name in files:
        with name.open("rb") as file:
            while part := file.read(1 << 20):
                value = crc32(part, value)
    return value


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or textwrap.shorten(str(error) or type(error).__name__, 150)
