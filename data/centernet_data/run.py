"""A training run under way: its state and metrics, and their copies on disk."""

from collections.abc import Callable

from centernet_data.checkpoint_folder import Checkpointer, CheckpointFolder, Record
from centernet_data.interrupts import Interrupted
from centernet_data.run_folder import RunFolder


class Run:
    """The state after `step` steps and the lines of metrics.jsonl so far.

    As a context it leaves no save unfinished, and saves once more when it is left because of a signal.
    """

    def __init__(self, folder: RunFolder, checkpointer: Checkpointer, settings: dict, state):
        self.folder, self.settings = folder, settings
        self.step, self.state, self.metrics = 0, state, []
        self._checkpoints = CheckpointFolder(folder.checkpoints, checkpointer)

    def resume(self, tell: Callable[[str], None]) -> bool:
        """Goes on from the newest whole checkpoint, and cuts off what metrics.jsonl holds beyond it.

        False, and nothing is changed, if there is none. ValueError if there is no going on.
        """
        if (found := self._checkpoints.restore(self.state, self.settings, tell)) is None:
            return False
        self.step, self.state, record = found
        self.folder.remove_unfinished()
        self.metrics = self.folder.cut_metrics(record.lines)
        return True

    def advance(self, state, line: dict) -> None:
        """Takes the state and the metrics of one more step."""
        self.step, self.state = self.step + 1, state
        self.note(line)

    def note(self, line: dict) -> None:
        """Adds one line of metrics."""
        self.folder.append_metrics(line)
        self.metrics.append(line)

    def save(self) -> None:
        """Begins to save a checkpoint. ValueError if this or the last one cannot be saved."""
        self._checkpoints.save(self.step, self.state, Record(self.settings, len(self.metrics)))

    @property
    def last_checkpoint(self) -> str:
        """What is said of it where a run fails."""
        self._checkpoints.wait()
        steps = self._checkpoints.steps
        return f"the last checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"

    def rate(self, ap: float | None) -> None:
        """Notes the AP of the checkpoint that was saved at this step."""
        self._checkpoints.rate(self.step, ap)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Interrupted):
            self.save()
        self._checkpoints.wait()


class FollowingRun(Run):
    """The same run in another process than the first of several: it writes nothing."""

    def __init__(self, state):
        self.step, self.state, self.metrics = 0, state, []

    def note(self, line: dict) -> None:
        self.metrics.append(line)

    def save(self) -> None:
        """The first process does."""

    @property
    def last_checkpoint(self) -> str:
        return "the first process knows of the checkpoints"

    def rate(self, ap: float | None) -> None:
        """The first process does."""

    def __exit__(self, kind, error, traceback) -> None:
        """Nothing is left to be done."""
