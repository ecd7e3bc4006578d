"""Reads TFDS data sets in ArrayRecord files, without TensorFlow: `tfds:NAME` or `tfds:FOLDER`."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from centernet_data.contract.messages import listed, one_line
from centernet_data.dataset import AnnotatedPicture, Sample
from centernet_data.imaging.decoding import decode_picture, upright_size
from centernet_data.readers.annotations import CROWD, DIFFICULT, objects_from_corners, real_and_ignored
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.stored import Samples, SamplesInMemory

PREFIX = "tfds:"
NOTES = "centernet_notes"  # key in the metadata: by split, the notes from preparation by this project
EXACT_BOX = "exact_box"  # next to the standard bbox in data sets prepared by this project; see writers/tfds.py

_INFO = "dataset_info.json"
_STAND_INS = {"val": ("val", "validation", "test")}  # TFDS's names for "val"
_IGNORED = {"is_crowd": CROWD, "is_difficult": DIFFICULT}
_READ_OF_OBJECTS = ("bbox", "label", "area", EXACT_BOX, *_IGNORED)


def is_tfds(data: str | Path) -> bool:
    """Whether `data` names a TFDS data set, or is the folder of one."""
    return str(data).startswith(PREFIX) or (Path(data) / _INFO).is_file()


def import_tfds() -> ModuleType:
    """Imports `tensorflow_datasets`. Raises ValueError, with what to install, if it or its reader is missing."""
    try:
        import array_record.python.array_record_module  # noqa: F401
        import tensorflow_datasets
    except ModuleNotFoundError as error:
        raise ValueError(
            f'TFDS data sets need the package {error.name}, which is not installed (pip install -e ".[tfds]")'
        ) from error
    return tensorflow_datasets


@dataclass(frozen=True)
class Records:
    """The records of one split, by index: TFDS's random access without its decoding of pictures."""

    serialized: Sequence  # of bytes, from TFDS
    shards: tuple[tuple[str, int], ...]  # each file, and the number of records to read from it
    features: Any  # the FeaturesDict of everything needed
    picture_features: Any  # the FeaturesDict of only the picture

    @classmethod
    def of(cls, builder, split: str, features) -> "Records":
        tfds = import_tfds()
        raw, is_empty = tfds.decode.DeserializeMethod.RAW_BYTES, builder.info.splits[split].num_examples == 0
        # Comes first, because it switches `info` to this format's file names if there are several formats.
        serialized = () if is_empty else builder.as_data_source(split, deserialize_method=raw)
        shards = tuple((file.filename, file.take) for file in builder.info.splits[split].file_instructions)
        for path, _ in shards:
            if not Path(path).is_file():
                raise ValueError(f"{path}: the file does not exist, but {builder.data_dir}/{_INFO} lists it")
        return cls(serialized, shards, features, tfds.features.FeaturesDict({"image": features["image"]}))

    def __len__(self) -> int:
        return len(self.serialized)

    @property
    def places(self) -> list[tuple[Path, int]]:
        """The file that holds each record, and the record's index there."""
        return [(Path(path), number) for path, count in self.shards for number in range(count)]

    def where(self, index: int) -> str:
        """The file that holds this record, and the record's index there, for error messages."""
        for path, count in self.shards:
            if index < count:
                return f"{path}: record {index}"
            index -= count
        raise IndexError(index)

    def annotation(self, index: int) -> Mapping:
        """Reads everything needed of this record, with the picture as its file's bytes."""
        return self._parsed(index, self.features)

    def content(self, index: int) -> bytes:
        """Reads the content of this record's picture file; does not parse its objects."""
        return self._parsed(index, self.picture_features)["image"]

    def _parsed(self, index: int, features) -> Mapping:
        skip = {"image": import_tfds().decode.SkipDecoding()}
        try:
            return features.deserialize_example_np(self.serialized[index], decoders=skip)
        except Exception as error:  # the reader's RuntimeError, and anything from parsing foreign bytes
            raise ValueError(f"{self.where(index)} cannot be read: {one_line(error)}") from error


@dataclass(frozen=True)
class TfdsDataset(SamplesInMemory):
    """One split of a TFDS data set; a `Dataset`.

    The samples are in memory; pictures are read and decoded on demand, from any thread. Can be pickled for other
    processes.
    """

    records: Records
    kept: Sequence[int]  # the record of each sample
    notes: tuple[str, ...] = ()
    annotated: Sequence[AnnotatedPicture] = ()

    def part(self, indices: Sequence[int]) -> "TfdsDataset":
        """The pictures at these indices, in this order, as a data set."""
        kept = [self.kept[index] for index in indices]
        return replace(self, samples=self.samples.part(indices), kept=kept)

    def content(self, index: int) -> bytes:
        """The content of the picture's file. Raises ValueError, naming its file and record, if it cannot be read."""
        return self.records.content(self.kept[index])

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as uint8 RGB. Raises ValueError, naming its file and record, if it cannot be read."""
        return decode_picture(self.content(index), self.records.where(self.kept[index]), reduction)


def read_tfds(data: str, split: str, errors: ErrorPolicy = RAISE) -> TfdsDataset:
    """Reads one split of `data`: "tfds:" followed by a name in TFDS's data folder, or by the data set's own folder.

    The data set must be in ArrayRecord files and have the features image, objects/bbox and objects/label. Objects with
    `is_crowd` or `is_difficult` become `ignored`; `areas` are `objects/area` if present, otherwise the clipped boxes'.
    If a picture has an EXIF orientation, its boxes are assumed to refer to the picture as a viewer shows it. "val" may
    also be called "validation" or "test". Reads every record once, to find damaged ones early. Raises ValueError,
    naming the folder, or the file and the record, for anything missing, damaged or malformed; mistakes in single
    records go to `errors`.
    """
    builder = _open(data)
    name = _own_name(builder, split)
    if name is None:
        names = listed(list(builder.info.splits)) or "none"
        raise ValueError(f"{builder.data_dir}: there is no split '{split}'; there are: {names}")
    features = _needed_features(builder)
    classes = tuple(features["objects"].feature["label"].names)
    records = Records.of(builder, name, features)
    counts: Counter[str] = Counter()
    samples, kept = [], []
    for i in range(len(records)):
        with errors:
            samples.append(_sample(records.annotation(i), f"{name}-{i:06}", records.where(i), classes, counts))
            kept.append(i)
    notes = [] if name == split else [f"TFDS's split '{name}' is used as '{split}'"]
    if classes == tuple(str(index) for index in range(len(classes))):
        notes.append("the classes have no names, so their numbers are used")
    counted = [f"{what}: {count}" for what, count in sorted(counts.items()) if count]
    prepared = _notes_of_preparation(builder, name)
    return TfdsDataset(
        classes, Samples.of(samples), records, kept, (*notes, *(counted if prepared is None else prepared))
    )


def tfds_splits(data: str) -> tuple[str, ...]:
    """The names of the splits as `read_tfds` takes them: the one used as "val" is listed as "val". Raises
    ValueError as `read_tfds` does."""
    builder = _open(data)
    stand_in = _own_name(builder, "val")
    return tuple("val" if name == stand_in else name for name in builder.info.splits)


def _open(data: str):
    tfds = import_tfds()
    folder = _folder(data)
    if not (folder / "features.json").is_file():
        raise ValueError(f"{folder / 'features.json'}: the file does not exist")
    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # of many kinds, because the folder's JSON files are of many kinds
        raise ValueError(f"{folder}: TFDS cannot open this data set: {one_line(error)}") from error
    formats = sorted(file_format.value for file_format in builder.info.available_file_formats())
    if "array_record" not in formats:
        raise ValueError(
            f"{folder}: its files are in the format {listed(formats) or 'unknown'}, which has no random access; "
            f'prepare it with file_format="array_record"'
        )
    return builder


def _folder(data: str) -> Path:
    """The only folder with a dataset_info.json, at the place or up to three levels (name, config, version) below."""
    name = str(data).removeprefix(PREFIX)
    if not name:
        raise ValueError(f"{data}: a name or a folder must follow the colon, as in tfds:coco/2017")
    data_dir = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    places = (Path(name).expanduser(), data_dir / name.replace(":", "/"))  # TFDS writes coco/2017:1.1.0
    for place in places:
        found = sorted(path.parent for depth in range(4) for path in place.glob("*/" * depth + _INFO))
        if len(found) > 1:
            inside = listed([path.relative_to(place) for path in found])
            raise ValueError(f"{place}: this folder has several data sets; name one of them: {inside}")
        if found:
            return found[0]
    raise ValueError(f"{data}: neither {places[0]} nor {places[1]} contains a TFDS data set (a folder with {_INFO})")


def _own_name(builder, split: str) -> str | None:
    return next((name for name in _STAND_INS.get(split, (split,)) if name in builder.info.splits), None)


def _notes_of_preparation(builder, split: str) -> list[str] | None:
    """The notes from preparation by this project; None for other data sets."""
    try:
        metadata = builder.info.metadata
        return None if metadata is None else dict(metadata.items()).get(NOTES, {}).get(split)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{builder.data_dir}/metadata.json: not what `centernet data convert` writes: {one_line(error)}"
        ) from error


def _needed_features(builder):
    """Only the features that this reader uses, so that the others are neither parsed nor decoded."""
    kinds = import_tfds().features

    def named(feature) -> dict:
        return dict(feature.items()) if isinstance(feature, kinds.FeaturesDict) else {}

    features = named(builder.info.features)
    own = named(getattr(features.get("objects"), "feature", None))
    absent = [f"objects/{name}" for name in ("bbox", "label") if name not in own]
    if absent := [*([] if "image" in features else ["image"]), *absent]:
        raise ValueError(
            f"{builder.data_dir}: there is no feature {listed(absent)}; "
            "a data set for detection has image, objects/bbox and objects/label"
        )
    if not isinstance(own["label"], kinds.ClassLabel):
        raise ValueError(f"{builder.data_dir}: the feature objects/label should be a ClassLabel, with names")
    bbox_format = getattr(own["bbox"], "bbox_format", "none")
    if bbox_format is not None and getattr(bbox_format, "value", bbox_format) != "REL_YXYX":
        raise ValueError(
            f"{builder.data_dir}: the feature objects/bbox should be a BBoxFeature of ymin, xmin, ymax, xmax from 0 to "
            f"1 (REL_YXYX), but its format is {getattr(bbox_format, 'value', bbox_format)}"
        )
    needed = {name: features[name] for name in ("image", "image/filename") if name in features}
    return kinds.FeaturesDict({**needed, "objects": kinds.Sequence({k: own[k] for k in _READ_OF_OBJECTS if k in own})})


def _sample(values: Mapping, unnamed: str, where: str, classes: tuple[str, ...], counts: Counter[str]) -> Sample:
    objects = values["objects"]
    height, width = upright_size(values["image"], where)
    name = values["image/filename"].decode(errors="replace") if "image/filename" in values else unnamed
    rows, box_areas = _rows(objects, height, width, where, len(classes))
    areas = np.asarray(objects["area"], float) if "area" in objects else box_areas
    flags = {_IGNORED[kind]: np.asarray(objects[kind], bool) for kind in _IGNORED.keys() & objects.keys()}
    real, ignored = real_and_ignored(box_areas, flags, counts)
    return Sample(name, height, width, rows[real], areas[real], rows[ignored])


def _rows(
    objects: Mapping, height: int, width: int, where: str, class_count: int
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n"]]:
    if len({len(values) for values in objects.values()}) > 1:
        raise ValueError(f"{where}: its objects have unequal numbers of {listed(list(objects))}")
    labels = np.asarray(objects["label"], int)
    corners = np.asarray(objects["bbox"], float).reshape(-1, 4)
    y_min, x_min, y_max, x_max = corners.T
    _require((labels >= 0) & (labels < class_count), labels, where, f"its label should be one of {class_count} classes")
    ordered = np.isfinite(corners).all(1) & (y_min <= y_max) & (x_min <= x_max)
    _require(ordered, corners, where, "its bbox should be ymin, xmin, ymax, xmax")
    if EXACT_BOX in objects:
        boxes = np.asarray(objects[EXACT_BOX], float).reshape(-1, 4)
        return np.column_stack([boxes, labels, np.ones(len(boxes))]), boxes[:, 2] * boxes[:, 3]
    pixels = np.stack([x_min * width, y_min * height, x_max * width, y_max * height], axis=1)
    return objects_from_corners(pixels, labels.tolist(), height, width)


def _require(
    good: Bool[np.ndarray, "n"], values: Int[np.ndarray, "n"] | Float[np.ndarray, "n 4"], where: str, what: str
) -> None:
    if not good.all():
        first = int(np.argmin(good))
        raise ValueError(f"{where}: object {first}: {what}, but is {values[first].tolist()}")
