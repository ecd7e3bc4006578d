"""A training run under way: its state and metrics, and their copies on disk."""

from collections.abc import Callable

from PIL import Image

from centernet.training.checkpoints import Checkpointer, CheckpointFolder, Record
from centernet.training.run_folder import RunFolder
from centernet.training.signals import Interrupted
from centernet.training.tensorboard import EventFile
from centernet_data.contract.files import folder_written_beside


class Run:
    """The state after `step` steps and the lines of metrics.jsonl so far.

    As a context it leaves no save unfinished, and saves once more when it is left because of a signal.
    """

    def __init__(self, folder: RunFolder, checkpointer: Checkpointer, settings: dict, state):
        self.folder, self.settings = folder, settings
        self.step, self.state, self.metrics = 0, state, []
        self.events: EventFile | None = None
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

    def open_events(self) -> None:
        """Tells TensorBoard too from here on; and what it was not told, if it was told nothing before."""
        folder = self.folder.tensorboard
        if self.metrics and not folder.exists():
            with folder_written_beside(folder) as beside:  # all of it or nothing
                before = EventFile(beside, 0)
                for line in self.metrics:
                    before.add_numbers(line)
                before.flush()
                before.close()
        self.events = EventFile(folder, self.step)

    def advance(self, state, line: dict) -> None:
        """Takes the state and the metrics of one more step."""
        self.step, self.state = self.step + 1, state
        self.log(line)

    def log(self, line: dict) -> None:
        """Adds one line of metrics."""
        self.folder.append_metrics(line)
        self.metrics.append(line)
        if self.events:
            self.events.add_numbers(line)

    def log_image(self, picture: Image.Image) -> None:
        """Shows it in TensorBoard at this step, if that is told anything."""
        if self.events:
            self.events.add_picture(self.step, picture)
            self.events.flush()

    def save(self) -> None:
        """Begins to save a checkpoint. ValueError if this or the last one cannot be saved."""
        if self.events:
            self.events.flush()  # whoever goes on from this checkpoint finds all that was before
        self._checkpoints.save(self.step, self.state, Record(self.settings, len(self.metrics)))

    @property
    def last_checkpoint(self) -> str:
        """What is said of it where a run fails."""
        self._checkpoints.wait()
        steps = self._checkpoints.steps
        return f"the last checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"

    def record_ap(self, ap: float | None) -> None:
        """Notes the AP of the checkpoint that was saved at this step."""
        self._checkpoints.record_ap(self.step, ap)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Interrupted):
            self.save()
        self._checkpoints.wait()
        if self.events:
            self.events.close()


class FollowingRun(Run):
    """The same run in another process than the first of several: it writes nothing."""

    def __init__(self, state):
        self.step, self.state, self.metrics, self.events = 0, state, [], None

    def log(self, line: dict) -> None:
        self.metrics.append(line)

    def save(self) -> None:
        """The first process does."""

    @property
    def last_checkpoint(self) -> str:
        return "the first process knows of the checkpoints"

    def record_ap(self, ap: float | None) -> None:
        """The first process does."""

    def __exit__(self, kind, error, traceback) -> None:
        """Nothing is left to be done."""
