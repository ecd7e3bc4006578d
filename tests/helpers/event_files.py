"""Reads the event files of a run as TensorBoard's two readers do."""

import struct

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c


def records(path):
    """The complete records of a TFRecord file: length, its checksum, content, its checksum."""
    content = path.read_bytes()
    while len(content) >= 12:
        (length,) = struct.unpack("<Q", content[:8])
        if len(content) < 16 + length:
            return  # left incomplete by a killed process
        record = content[12 : 12 + length]
        assert struct.unpack("<I", content[8:12])[0] == masked_crc32c(content[:8])
        assert struct.unpack("<I", content[12 + length : 16 + length])[0] == masked_crc32c(record)
        yield record
        content = content[16 + length :]


def shown(folder, preempting=False):
    """The steps and values that TensorBoard shows, by tag; for pictures their bytes.

    Its Python reader takes each start but the first for a return to that step, and forgets what it has of this step
    and later ones. The faster one, `preempting`, does so for a tag whose steps do not rise.
    """
    series, started = {}, False
    for path in sorted(folder.iterdir()):
        for event in map(Event.FromString, records(path)):
            if not preempting and event.session_log.status == SessionLog.START:
                if started:
                    series = {tag: [pair for pair in own if pair[0] < event.step] for tag, own in series.items()}
                started = True
            for value in event.summary.value:
                own = series.setdefault(value.tag, [])
                if preempting:
                    own[:] = [pair for pair in own if pair[0] < event.step]
                picture = value.image.encoded_image_string
                own.append((event.step, picture or value.simple_value))
    return series


def expected(metrics):
    """The same from the lines of metrics.jsonl, without the groups in the tags."""
    series = {}
    for line in metrics:
        for name, value in (line | line.get("per_class", {})).items():
            if name not in ("step", "epoch", "per_class") and value is not None:
                series.setdefault(name, []).append((line["step"], value))
    return series
