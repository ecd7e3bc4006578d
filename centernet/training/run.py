"""A training run under way, and what writes it to disk."""

from collections.abc import Callable
from typing import Any, Protocol

from PIL import Image

from centernet.backends import Detector
from centernet.training.checkpoints import CheckpointFolder, CheckpointInfo
from centernet.training.curves import save_curves
from centernet.training.plan import Plan
from centernet.training.signals import Interrupted
from centernet.training.tensorboard import EventFile
from centernet_data.contract.files import folder_written_beside
from centernet_data.imaging.encoding import write_picture


class Writer(Protocol):
    """Where a run's metrics, checkpoints and results go."""

    def start(self, state: Any) -> tuple[int, Any, list[dict]]:
        """Resumes or begins; returns the step, the state and the metrics so far."""
        ...

    def log(self, line: dict) -> None:
        """Takes one line of metrics."""
        ...

    def log_image(self, step: int, draw: Callable[[], Image.Image]) -> None:
        """Takes a picture of predictions, drawn only if it is wanted."""
        ...

    def save(self, step: int, state: Any, lines: int) -> None:
        """Begins to save a checkpoint. Raises ValueError if this or the last one cannot be saved."""
        ...

    def record_ap(self, step: int, ap: float | None) -> None:
        """Records the AP of the checkpoint that was saved at this step."""
        ...

    def last_checkpoint(self) -> str:
        """What is said of it where a run fails."""
        ...

    def close(self) -> None:
        """Leaves no save unfinished."""
        ...


class FolderWriter:
    """Writes a run into its folder, and into TensorBoard's files if those are wanted."""

    def __init__(self, plan: Plan):
        self._plan, self._folder = plan, plan.folder
        self._checkpoints = CheckpointFolder(plan.folder.checkpoints, plan.backend)
        self._events: EventFile | None = None

    def start(self, state: Any) -> tuple[int, Any, list[dict]]:
        """Resumes from the newest complete checkpoint, cutting off the metrics beyond it; or begins a new run.

        Raises ValueError if the run cannot be resumed.
        """
        plan = self._plan
        step, state, metrics = self._resume(state) if plan.settings.resume else (0, state, None)
        if metrics is None:
            self._folder.begin(plan.settings.as_toml())
        if plan.settings.tensorboard or self._folder.tensorboard.exists():  # a run begun with them continues with them
            self._events = self._open_events(step, metrics or [])
        return step, state, metrics or []

    def _resume(self, state: Any) -> tuple[int, Any, list[dict] | None]:
        plan = self._plan
        if (found := self._checkpoints.restore(state, plan.fixed_settings, plan.say)) is None:
            plan.say(f"no checkpoint in {self._folder.path}: starting from the beginning")
            return 0, state, None
        step, state, info = found
        self._folder.remove_unfinished()
        metrics = self._folder.cut_metrics(info.lines)
        plan.say(f"resuming from the checkpoint of step {step}")
        return step, state, metrics

    def _open_events(self, step: int, metrics: list[dict]) -> EventFile:
        """A new file for this step and later ones, after one for the metrics so far if TensorBoard was told nothing
        yet."""
        folder = self._folder.tensorboard
        if metrics and not folder.exists():
            with folder_written_beside(folder) as beside:  # all of it or nothing
                before = EventFile(beside, 0)
                for line in metrics:
                    before.add_numbers(line)
                before.flush()
                before.close()
        return EventFile(folder, step)

    def log(self, line: dict) -> None:
        """Adds one line to metrics.jsonl."""
        self._folder.append_metrics(line)
        if self._events:
            self._events.add_numbers(line)

    def log_image(self, step: int, draw: Callable[[], Image.Image]) -> None:
        """Shows a picture of predictions in TensorBoard, if that is used."""
        if self._events:
            self._events.add_picture(step, draw())
            self._events.flush()

    def save(self, step: int, state: Any, lines: int) -> None:
        """Begins to save a checkpoint. Raises ValueError if this or the last one cannot be saved."""
        if self._events:
            self._events.flush()  # a run that resumes from this checkpoint finds all that came before
        self._checkpoints.save(step, state, CheckpointInfo(self._plan.fixed_settings, lines))

    def record_ap(self, step: int, ap: float | None) -> None:
        """Records the AP of the checkpoint that was saved at this step."""
        self._checkpoints.record_ap(step, ap)

    def last_checkpoint(self) -> str:
        """What is said of it where a run fails."""
        self._checkpoints.wait()
        steps = self._checkpoints.steps
        return f"the last checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"

    def save_model(self, detector: Detector) -> None:
        """Writes model.safetensors."""
        detector.save(self._folder.model)

    def draw_curves(self, metrics: list[dict]) -> None:
        """Draws the curves."""
        save_curves(metrics, self._folder.curves)

    def draw_page(self, step: int, page: Image.Image) -> None:
        """Saves the page of predictions."""
        write_picture(self._folder.predictions, page)
        self.log_image(step, lambda: page)

    def close(self) -> None:
        """Waits for the last save."""
        self._checkpoints.wait()
        if self._events:
            self._events.close()


class NoWriter:
    """Writes nothing: for all processes but the first of several."""

    def start(self, state: Any) -> tuple[int, Any, list[dict]]:
        """Begins; the state is then broadcast from the first process."""
        return 0, state, []

    def log(self, line: dict) -> None:
        """Drops it."""

    def log_image(self, step: int, draw: Callable[[], Image.Image]) -> None:
        """Draws nothing."""

    def save(self, step: int, state: Any, lines: int) -> None:
        """Saves nothing."""

    def record_ap(self, step: int, ap: float | None) -> None:
        """Records nothing."""

    def last_checkpoint(self) -> str:
        """What is said of it where a run fails."""
        return "the first process has the checkpoints"

    def close(self) -> None:
        """Nothing is left to do."""


class Run:
    """The state after `step` steps, and the lines of metrics.jsonl so far.

    As a context it leaves no save unfinished, and saves once more when it is left because of a signal.
    """

    def __init__(self, state: Any, writer: Writer):
        self.step, self.state, self.writer = 0, state, writer
        self.metrics: list[dict] = []

    def start(self) -> None:
        """Resumes or begins."""
        self.step, self.state, self.metrics = self.writer.start(self.state)

    def advance(self, state: Any, line: dict) -> None:
        """Takes the state and the metrics of one more step."""
        self.step, self.state = self.step + 1, state
        self.log(line)

    def log(self, line: dict) -> None:
        """Adds one line of metrics."""
        self.writer.log(line)
        self.metrics.append(line)

    def save(self) -> None:
        """Begins to save a checkpoint. Raises ValueError if this or the last one cannot be saved."""
        self.writer.save(self.step, self.state, len(self.metrics))

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Interrupted):
            self.save()
        self.writer.close()
