"""What TensorBoard shows of a run, in the files that it reads: written by tensorboardX, which needs no TensorFlow."""

import io
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from PIL import Image

from centernet_data.contract.files import naming

GROUPS = {
    "losses": ("loss", "heatmap", "offset", "size"),
    "optimizer": ("gradient_norm", "learning_rate"),
    "speed": ("images_per_second", "seconds_waiting", "seconds_computing"),
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def import_tensorboardx() -> ModuleType:
    """`tensorboardX`. ValueError, with what to install, if it is absent. It imports torch where that is installed."""
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
    """Numbers and pictures by step; what earlier files of the folder hold of `first_step` and later ones is taken back.

    tensorboardX's `SummaryWriter` is not used: another thread writes for it, from a queue whose content a killed
    process loses, and which blocks for ever once that thread has met a full disk.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder, self._library = folder, import_tensorboardx()
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        path = folder / f"events.out.tfevents.{time.time():.6f}"
        self._writer = self._library.record_writer.RecordWriter(str(path))
        self._add(0, file_version="brain.Event:2")
        # It takes the first start that it meets for that of the run, and only those behind it for a return.
        log = self._library.proto.event_pb2.SessionLog
        self._add(first_step, session_log=log(status=log.START))

    def add_numbers(self, line: dict) -> None:
        """A line of metrics.jsonl, of training or of an evaluation. What it holds as None is left out."""
        value = self._library.proto.summary_pb2.Summary.Value
        self._add_summary(line["step"], *(value(tag=tag, simple_value=number) for tag, number in _numbers(line)))

    def add_picture(self, step: int, picture: Image.Image) -> None:
        """A page of predictions, as JPEG: the checksum is computed in Python, and of a PNG it takes seconds."""
        summary, encoded = self._library.proto.summary_pb2.Summary, io.BytesIO()
        picture.save(encoded, "JPEG", quality=90)
        image = summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=encoded.getvalue()
        )
        self._add_summary(step, summary.Value(tag="predictions", image=image))

    def flush(self) -> None:
        """All that was added is on the disk thereafter."""
        with naming(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Raises nothing: what matters has been flushed, and an error that ends the run is not to be hidden."""
        with suppress(OSError):
            self._writer.close()

    def _add_summary(self, step: int, *values) -> None:
        self._add(step, summary=self._library.proto.summary_pb2.Summary(value=values))

    def _add(self, step: int, **what) -> None:
        event = self._library.proto.event_pb2.Event(wall_time=time.time(), step=step, **what)
        with naming(self._folder):
            self._writer.write(event.SerializeToString())


def _numbers(line: dict) -> Iterator[tuple[str, float]]:
    """What TensorBoard calls the numbers of a line, and the numbers."""
    for name, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{inner}", number) for inner, number in value.items() if number is not None)
        elif name not in ("step", "epoch") and value is not None:
            yield f"{GROUP_OF.get(name, 'AP')}/{name}", value
