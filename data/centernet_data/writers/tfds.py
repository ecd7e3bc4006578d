"""Any data set written as TFDS keeps its own: one folder of ArrayRecord files, which are read at random, fast."""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from centernet_data.contract.files import folder_written_beside
from centernet_data.dataset import Dataset, Sample, check_pictures, is_stored
from centernet_data.readers.tfds import EXACT_BOX, NOTES, PREFIX, import_tfds, is_tfds
from centernet_data.source import name_of_data, open_splits

VERSION = "1.0.0"
PICTURES_PER_FILE = 1024  # 160 MB of COCO's


class Prepared(NamedTuple):
    """Where a data set was written, what `--data` calls it, and the splits that it was made from."""

    folder: Path
    data: str
    splits: dict[str, Dataset]


def write_tfds(data: str, tfds_dir: Path, name: str | None = None, overwrite: bool = False) -> Prepared:
    """Writes every split of a data set into one TFDS data set, `tfds_dir`/name/1.0.0.

    Picture files are stored as they are, rendered pictures as PNG. Raises ValueError, before anything is written, for
    bad data, damaged pictures, names that TFDS cannot hold, and a folder that exists, unless it may be overwritten.
    """
    import_tfds()
    if is_tfds(data):
        raise ValueError(f"{data}: this is already a TFDS data set")
    name = _checked_name(name or re.sub(r"\W", "_", name_of_data(data), flags=re.ASCII))
    folder = tfds_dir / name / VERSION
    if tfds_dir.exists() and not tfds_dir.is_dir():
        raise ValueError(f"{tfds_dir}: a file, not a folder")
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder}: exists already; choose another --name or give --overwrite")
    splits = open_splits(data)
    _require_names(data, splits)
    for dataset in splits.values():
        if is_stored(dataset):
            check_pictures(dataset)
    with folder_written_beside(folder, overwrite) as beside:
        _write(beside, name, splits)
    return Prepared(folder, f"{PREFIX}{tfds_dir / name}", splits)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[a-zA-Z]\w*", name, re.ASCII):
        raise ValueError(f"--name: TFDS wants a letter, then letters, digits and _, not '{name}'")
    return name


def _require_names(data: str, splits: dict[str, Dataset]) -> None:
    for split, dataset in splits.items():
        if not re.fullmatch(r"[\w-]+", split, re.ASCII) or split == "all":
            raise ValueError(f"{data}: [{split}] cannot be the name of a TFDS split: letters, digits, _ and -, not all")
        for name in dataset.classes:
            if name != name.strip() or len(name.splitlines()) != 1:
                raise ValueError(f"{data}: TFDS cannot keep the name of the class {name!r}: spaces or lines around it")


def _write(folder: Path, name: str, splits: dict[str, Dataset]) -> None:
    tfds = import_tfds()
    features = _features(next(iter(splits.values())).classes)
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=[_write_split(folder, name, split, dataset, features) for split, dataset in splits.items()],
        version=VERSION,
        check_data=False,  # its check needs TensorFlow
        disable_shuffling=True,
        description="Written by `centernet data prepare`.",
        metadata=tfds.core.MetadataDict({NOTES: {split: dataset.notes for split, dataset in splits.items()}}),
    )


def _features(classes: Sequence[str]):
    """TFDS's standard features of detection, and the boxes as they were before they became shares in float32."""
    tfds = import_tfds()
    exact = {"dtype": np.float64, "encoding": "bytes"}  # tf.train.Example has no float64 of its own
    objects = {
        "bbox": tfds.features.BBoxFeature(),
        "label": tfds.features.ClassLabel(names=list(classes)),
        "is_crowd": np.bool_,
        "area": tfds.features.Tensor(shape=(), doc="pixels² by which AP sorts objects into sizes", **exact),
        EXACT_BOX: tfds.features.Tensor(shape=(4,), doc="y_centre, x_centre, height, width in pixels", **exact),
    }
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(objects),
        }
    )


def _write_split(folder: Path, name: str, split: str, dataset: Dataset, features):
    """Writes the record files of one split, in its order; returns TFDS's `SplitInfo`."""
    firsts = range(0, len(dataset), PICTURES_PER_FILE)
    shards = [range(first, min(first + PICTURES_PER_FILE, len(dataset))) for first in firsts]
    size = 0
    for number, indices in enumerate(shards):
        path = folder / f"{name}-{split}.array_record-{number:05}-of-{len(shards):05}"
        try:
            size += _write_records(path, (features.serialize_example(_example(dataset, i)) for i in indices))
        except RuntimeError as error:  # what array_record raises where the disk is full, say
            raise OSError(f"{folder.parent}: cannot be written to: {error}") from error
    return import_tfds().core.SplitInfo(name=split, shard_lengths=[len(shard) for shard in shards], num_bytes=size)


def _write_records(path: Path, records: Iterable[bytes]) -> int:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1")  # one record is read at a time
    size = 0
    for record in records:
        writer.write(record)
        size += len(record)
    writer.close()
    return size


def _example(dataset: Dataset, index: int) -> dict:
    sample = dataset.sample(index)
    rows = np.concatenate([sample.objects, sample.ignored], dtype=float)
    areas = np.concatenate([sample.areas, sample.ignored[:, 2] * sample.ignored[:, 3]], dtype=float)
    objects = [
        {
            "bbox": _shares(row, sample),
            "label": int(row[4]),
            "is_crowd": number >= len(sample.objects),
            "area": area,
            EXACT_BOX: row[:4],
        }
        for number, (row, area) in enumerate(zip(rows, areas, strict=True))
    ]
    return {"image": _content(dataset, index), "image/filename": sample.name, "objects": objects}


def _shares(row: np.ndarray, sample: Sample) -> np.ndarray:
    """ymin, xmin, ymax, xmax as shares of the picture's height and width."""
    centre, half = row[:2], row[2:4] / 2
    size = np.array([sample.height, sample.width])
    return np.clip(np.concatenate([(centre - half) / size, (centre + half) / size]), 0, 1)


def _content(dataset: Dataset, index: int) -> bytes:
    content = dataset.content(index)
    if content is None:
        file = io.BytesIO()
        Image.fromarray(dataset.picture(index)).save(file, "PNG")
        content = file.getvalue()
    return content
