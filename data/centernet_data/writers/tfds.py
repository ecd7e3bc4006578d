"""Writes any data set as a TFDS data set: one folder of ArrayRecord files, with fast random access."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from centernet_data.contract.boxes import cyxhw_to_xyxy
from centernet_data.contract.files import folder_written_beside
from centernet_data.contract.messages import in_utf8, listed
from centernet_data.dataset import Dataset, Sample, is_stored
from centernet_data.readers.tfds import EXACT_BOX, NOTES, PREFIX, import_tfds, is_tfds
from centernet_data.source import name_of_data, open_splits
from centernet_data.verification.verify import verify_pictures

VERSION = "1.0.0"
_TFDS_FILE = re.compile(r"dataset_info\.json|features\.json|metadata\.json|.*\.labels\.txt|.*\.array_record-\d+-of-\d+")
PICTURES_PER_FILE = 1024  # 160 MB for COCO


class Prepared(NamedTuple):
    """The folder of a written data set, its name for `--data`, and the splits that it was made from."""

    folder: Path
    data: str
    splits: Mapping[str, Dataset]


def write_tfds(
    data: str,
    tfds_dir: Path,
    name: str | None = None,
    overwrite: bool = False,
    opened: Mapping[str, Dataset] | None = None,
) -> Prepared:
    """Writes a data set into one TFDS data set, `tfds_dir`/name/1.0.0: the splits `opened`, by default all that it has.

    Stores picture files unchanged, and rendered pictures as PNG. Raises ValueError, before writing anything, for bad
    data, damaged pictures, names that TFDS cannot store, and, unless `overwrite` is set, a folder that exists.
    """
    import_tfds()
    if is_tfds(data):
        raise ValueError(f"{data}: this is already a TFDS data set")
    name = _checked_name(name or re.sub(r"\W", "_", name_of_data(data), flags=re.ASCII))
    folder = tfds_dir / name / VERSION
    if tfds_dir.exists() and not tfds_dir.is_dir():
        raise ValueError(f"{tfds_dir}: a file, not a folder")
    if os.path.lexists(folder) and not overwrite:
        raise ValueError(f"{folder}: already exists; choose another --name or give --overwrite")
    _require_tfds(folder)
    splits = opened or open_splits(data)
    _require_names(data, splits)
    for dataset in splits.values():
        if is_stored(dataset):
            verify_pictures(dataset)
    with folder_written_beside(folder, overwrite) as beside:
        _write(beside, name, splits)
    return Prepared(folder, f"{PREFIX}{tfds_dir / name}", splits)


def _require_tfds(folder: Path) -> None:
    """Raises ValueError if a folder that is to be replaced holds anything that is not a TFDS data set's."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; choose another --name")
    foreign = [path.name for path in folder.iterdir() if not _TFDS_FILE.fullmatch(path.name)] if folder.is_dir() else []
    if foreign:
        raise ValueError(f"{folder}: holds what no TFDS data set has ({listed(foreign, 3)}); choose another --name")


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[a-zA-Z]\w*", name, re.ASCII):
        raise ValueError(f"--name: TFDS needs a letter, then letters, digits and _, not '{name}'")
    return name


def _require_names(data: str, splits: Mapping[str, Dataset]) -> None:
    for split, dataset in splits.items():
        if not re.fullmatch(r"[\w-]+", split, re.ASCII) or split == "all":
            raise ValueError(
                f"{data}: [{split}] cannot be a TFDS split: letters, digits, _ and - are allowed, but not 'all'"
            )
        for name in dataset.classes:
            if name != name.strip() or len(name.splitlines()) != 1:
                raise ValueError(
                    f"{data}: TFDS cannot store the class name {name!r}: it has outer spaces or line breaks"
                )


def _write(folder: Path, name: str, splits: Mapping[str, Dataset]) -> None:
    tfds = import_tfds()
    features = _features(next(iter(splits.values())).classes)
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=[_write_split(folder, name, split, dataset, features) for split, dataset in splits.items()],
        version=VERSION,
        check_data=False,  # its check needs TensorFlow
        disable_shuffling=True,
        description="Written by `centernet data convert`.",
        metadata=tfds.core.MetadataDict({NOTES: {split: dataset.notes for split, dataset in splits.items()}}),
    )


def _features(classes: Sequence[str]):
    """TFDS's standard features for detection, and the exact boxes, because TFDS's are float32 fractions."""
    tfds = import_tfds()
    exact = {"dtype": np.float64, "encoding": "bytes"}  # tf.train.Example has no float64
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
        except RuntimeError as error:  # array_record's, such as for a full disk
            raise OSError(f"{folder.parent}: cannot write to it: {error}") from error
    return import_tfds().core.SplitInfo(name=split, shard_lengths=[len(shard) for shard in shards], num_bytes=size)


def _write_records(path: Path, records: Iterable[bytes]) -> int:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1")  # readers read one record at a time
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
            "bbox": _fractions(row, sample),
            "label": int(row[4]),
            "is_crowd": number >= len(sample.objects),
            "area": area,
            EXACT_BOX: row[:4],
        }
        for number, (row, area) in enumerate(zip(rows, areas, strict=True))
    ]
    return {"image": _content(dataset, index), "image/filename": in_utf8(sample.name), "objects": objects}


def _fractions(row: np.ndarray, sample: Sample) -> np.ndarray:
    """(ymin, xmin, ymax, xmax) as fractions of the picture's height and width."""
    x_min, y_min, x_max, y_max = cyxhw_to_xyxy(row[:4]) / ([sample.width, sample.height] * 2)
    return np.clip([y_min, x_min, y_max, x_max], 0, 1)


def _content(dataset: Dataset, index: int) -> bytes:
    content = dataset.content(index)
    if content is None:
        file = io.BytesIO()
        Image.fromarray(dataset.picture(index)).save(file, "PNG")
        content = file.getvalue()
    return content
