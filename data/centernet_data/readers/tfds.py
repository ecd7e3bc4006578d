"""Data sets that TFDS keeps in ArrayRecord files, read without TensorFlow: `tfds:NAME` or `tfds:FOLDER`."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from centernet_data.contract.messages import listed, one_line
from centernet_data.dataset import AnnotatedPicture, Sample, SamplesInMemory
from centernet_data.imaging.decoding import decode_picture, upright_size
from centernet_data.readers.annotations import CROWD, DIFFICULT, objects_from_corners, real_and_ignored
from centernet_data.readers.errors import RAISE, ErrorPolicy

PREFIX = "tfds:"
NOTES = "centernet_notes"  # in the data set's metadata: by split, what was left out when it was prepared here
EXACT_BOX = "exact_box"  # beside the standard bbox in data sets prepared here; see preparation.py

_INFO = "dataset_info.json"
_STAND_INS = {"val": ("val", "validation", "test")}  # TFDS's names for what others call val
_IGNORED = {"is_crowd": CROWD, "is_difficult": DIFFICULT}
_READ_OF_OBJECTS = ("bbox", "label", "area", EXACT_BOX, *_IGNORED)


def is_tfds(data: str | Path) -> bool:
    """Whether the name of a data set says that TFDS keeps it."""
    return str(data).startswith(PREFIX)


def import_tfds() -> ModuleType:
    """`tensorflow_datasets`. ValueError, with what to install, if it or its reader is absent."""
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
    """The records of one split, by index: TFDS's random access, less its decoding of pictures."""

    serialized: Sequence  # of bytes, by TFDS
    shards: tuple[tuple[str, int], ...]  # each file, and how many records are read from it
    features: object  # the FeaturesDict of all that is needed
    picture_features: object  # and of the picture alone

    @classmethod
    def of(cls, builder, split: str, features) -> "Records":
        tfds = import_tfds()
        raw, is_empty = tfds.decode.DeserializeMethod.RAW_BYTES, builder.info.splits[split].num_examples == 0
        # First, as it turns the names of files in `info` to this format, where there are several.
        serialized = () if is_empty else builder.as_data_source(split, deserialize_method=raw)
        shards = tuple((file.filename, file.take) for file in builder.info.splits[split].file_instructions)
        for path, _ in shards:
            if not Path(path).is_file():
                raise ValueError(f"{path}: the file does not exist, but {builder.data_dir}/{_INFO} counts on it")
        return cls(serialized, shards, features, tfds.features.FeaturesDict({"image": features["image"]}))

    def __len__(self) -> int:
        return len(self.serialized)

    def where(self, index: int) -> str:
        """The file that holds this record, and its place there, for error messages."""
        for path, count in self.shards:
            if index < count:
                return f"{path}: record {index}"
            index -= count
        raise IndexError(index)

    def annotation(self, index: int) -> Mapping:
        """All that is needed of this record; the picture as its file's bytes."""
        return self._parsed(index, self.features)

    def content(self, index: int) -> bytes:
        """The content of this record's picture file; its objects are not looked at."""
        return self._parsed(index, self.picture_features)["image"]

    def _parsed(self, index: int, features) -> Mapping:
        skip = {"image": import_tfds().decode.SkipDecoding()}
        try:
            return features.deserialize_example_np(self.serialized[index], decoders=skip)
        except Exception as error:  # RuntimeError of the reader, and whatever the parser meets in foreign bytes
            raise ValueError(f"{self.where(index)} cannot be read: {one_line(error)}") from error


@dataclass(frozen=True)
class TfdsDataset(SamplesInMemory):
    """One split of a data set that TFDS keeps; a `Dataset`.

    The samples are in memory; the pictures stay in their files, undecoded, until asked for. Any thread may read them,
    and it can be sent to other processes.
    """

    records: Records
    kept: Sequence[int]  # which record each sample is
    notes: tuple[str, ...] = ()
    annotated: Sequence[AnnotatedPicture] = ()

    def content(self, index: int) -> bytes:
        """The content of the picture's file. Raises ValueError, naming its file and record, if it cannot be read."""
        return self.records.content(self.kept[index])

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as uint8 RGB. ValueError, naming its file and record, if it cannot be read."""
        return decode_picture(self.content(index), self.records.where(self.kept[index]), reduction)


def read_tfds(data: str, split: str, errors: ErrorPolicy = RAISE) -> TfdsDataset:
    """One split of the data set `data`, which is "tfds:" and its name in TFDS's data folder or its own folder.

    It must be in ArrayRecord files and have the features image, objects/bbox and objects/label. Objects that are
    `is_crowd` or `is_difficult` go to `ignored`; `areas` are `objects/area`, or else those of the clipped boxes. Where
    TFDS's pictures carry an EXIF orientation, the boxes are taken to be those of the picture as a viewer shows it.
    "val" is also found as "validation" or "test". Every record is read once, so that damaged ones are found here.
    ValueError, naming the folder, or the file and the record, for whatever is absent, damaged or malformed; what is
    wrong with one record alone goes to `errors`.
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
    notes = [] if name == split else [f"TFDS's split '{name}' stands for '{split}'"]
    if classes == tuple(str(index) for index in range(len(classes))):
        notes.append("the classes have no names, so their numbers stand for them")
    counted = [f"{what}: {count}" for what, count in sorted(counts.items()) if count]
    prepared = _notes_of_preparation(builder, name)
    return TfdsDataset(classes, samples, records, kept, (*notes, *(counted if prepared is None else prepared)))


def tfds_splits(data: str) -> tuple[str, ...]:
    """The splits by the names that `read_tfds` takes: that which stands for "val" goes by it. ValueError as there."""
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
    except Exception as error:  # of many kinds, as the files in there are JSON of many kinds
        raise ValueError(f"{folder}: TFDS cannot open this data set: {one_line(error)}") from error
    formats = sorted(file_format.value for file_format in builder.info.available_file_formats())
    if "array_record" not in formats:
        raise ValueError(
            f"{folder}: its files are in the format {listed(formats) or 'unknown'}, which has no random access; "
            f'prepare it with file_format="array_record"'
        )
    return builder


def _folder(data: str) -> Path:
    """The one folder with a dataset_info.json at, or up to three levels (name, config, version) below, the place."""
    name = str(data).removeprefix(PREFIX)
    if not name:
        raise ValueError(f"{data}: a name or a folder should follow, as in tfds:coco/2017")
    data_dir = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    places = (Path(name).expanduser(), data_dir / name.replace(":", "/"))  # TFDS writes coco/2017:1.1.0
    for place in places:
        found = sorted(path.parent for depth in range(4) for path in place.glob("*/" * depth + _INFO))
        if len(found) > 1:
            inside = listed([path.relative_to(place) for path in found])
            raise ValueError(f"{place}: there are several data sets in this folder, name one of them: {inside}")
        if found:
            return found[0]
    raise ValueError(f"{data}: neither {places[0]} nor {places[1]} holds a TFDS data set (a folder with {_INFO})")


def _own_name(builder, split: str) -> str | None:
    return next((name for name in _STAND_INS.get(split, (split,)) if name in builder.info.splits), None)


def _notes_of_preparation(builder, split: str) -> list[str] | None:
    """What was left out when it was prepared here; None for data sets that were not."""
    try:
        metadata = builder.info.metadata
        return None if metadata is None else dict(metadata.items()).get(NOTES, {}).get(split)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{builder.data_dir}/metadata.json: not as `centernet data prepare` writes it: {one_line(error)}"
        ) from error


def _needed_features(builder):
    """The features that are read here, alone: what else a data set has is neither parsed nor decoded."""
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
