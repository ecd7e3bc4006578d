"""TensorBoard's files of a run, written by tensorboardX, which needs no TensorFlow."""

import io
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from PIL import Image

from centernet_data.contract.files import naming
from centernet_data.contract.messages import in_utf8
from centernet_data.contract.recipe import LOSSES

GROUPS = {
    "losses": ("loss", *LOSSES),
    "optimizer": ("gradient_norm", "learning_rate"),
    "speed": ("images_per_second", "seconds_waiting", "seconds_computing"),
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def import_tensorboardx() -> ModuleType:
    """Imports `tensorboardX`, which imports torch where that is installed. Raises ValueError, with what to install."""
    try:
        import tensorboardX.proto.event_pb2
        import tensorboardX.proto.summary_pb2
        import tensorboardX.record_writer
    except ModuleNotFoundError as error:
        raise ValueError(
            f'--tensorboard needs the package {error.name}, which is not installed (pip install -e ".[tensorboard]")'
        ) from error
    return tensorboardX


class EventFile:
    """Numbers and pictures by step; they replace what earlier files of the folder hold of `first_step` and later ones.

    tensorboardX's `SummaryWriter` is not used, because another thread writes for it, from a queue that a killed process
    loses and that blocks for ever once that thread has met a full disk.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder, self._library = folder, import_tensorboardx()
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        path = folder / f"events.out.tfevents.{time.time():.6f}"
        self._writer = self._library.record_writer.RecordWriter(str(path))
        self._add(0, file_version="brain.Event:2")
        # It takes the first start that it reads for the run's, and only later ones for a restart.
        log = self._library.proto.event_pb2.SessionLog
        self._add(first_step, session_log=log(status=log.START))

    def add_numbers(self, line: dict) -> None:
        """Adds a line of metrics.jsonl, of training or of an evaluation, without what is None in it."""
        value = self._library.proto.summary_pb2.Summary.Value
        named = ((in_utf8(tag), number) for tag, number in _numbers(line))
        self._add_summary(line["step"], *(value(tag=tag, simple_value=number) for tag, number in named))

    def add_picture(self, step: int, picture: Image.Image) -> None:
        """Adds a page of predictions, as JPEG: the checksum is computed in Python, and for a PNG that takes seconds."""
        summary, encoded = self._library.proto.summary_pb2.Summary, io.BytesIO()
        picture.save(encoded, "JPEG", quality=90)
        image = summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=encoded.getvalue()
        )
        self._add_summary(step, summary.Value(tag="predictions", image=image))

    def flush(self) -> None:
        """Writes everything added so far to the disk."""
        with naming(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Raises nothing: what matters has been flushed, and the error that ends the run must not be hidden."""
        with suppress(OSError):
            self._writer.close()

    def _add_summary(self, step: int, *values) -> None:
        self._add(step, summary=self._library.proto.summary_pb2.Summary(value=values))

    def _add(self, step: int, **what) -> None:
        event = self._library.proto.event_pb2.Event(wall_time=time.time(), step=step, **what)
        with naming(self._folder):
            self._writer.write(event.SerializeToString())


def _numbers(line: dict) -> Iterator[tuple[str, float]]:
    """TensorBoard's names for the numbers of a line, and the numbers."""
    for name, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{inner}", number) for inner, number in value.items() if number is not None)
        elif name not in ("step", "epoch") and value is not None:
            yield f"{GROUP_OF.get(name, 'AP')}/{name}", value
