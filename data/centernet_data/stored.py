"""Data sets whose pictures are in files, and whose annotations are in memory: in columns, for millions of boxes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from centernet_data.columns import Columns, MadeWhenAsked, Texts, first_of
from centernet_data.dataset import AnnotatedBox, AnnotatedPicture, Sample
from centernet_data.imaging.decoding import decode_picture, picture_content


class Samples(MadeWhenAsked[Sample]):
    """Samples in columns: "objects", "areas" and "ignored" of all pictures one after the other, and where those of each
    picture begin."""

    def __init__(self, columns: Columns):
        self._columns = columns
        self._names = Texts.of(columns, "names")
        self.most_objects = int(np.diff(columns["first_object"]).max(initial=0))
        """The largest number of objects in a picture."""

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Samples":
        """The samples, in columns."""
        samples = list(samples)
        sizes = np.array([(sample.height, sample.width) for sample in samples], np.int64).reshape(-1, 2)
        parts = {
            "objects": [np.zeros((0, 6)), *(sample.objects for sample in samples)],
            "areas": [np.zeros(0), *(sample.areas for sample in samples)],
            "ignored": [np.zeros((0, 6)), *(sample.ignored for sample in samples)],
        }
        return cls.in_columns(
            [sample.name for sample in samples],
            sizes,
            **{name: np.concatenate(part) for name, part in parts.items()},
            objects_in=np.array([len(sample.objects) for sample in samples], np.int64),
            ignored_in=np.array([len(sample.ignored) for sample in samples], np.int64),
        )

    @classmethod
    def in_columns(
        cls,
        names: Iterable[str],
        sizes: Int[np.ndarray, "n 2"],
        objects: Float[np.ndarray, "m 6"],
        areas: Float[np.ndarray, "m"],
        ignored: Float[np.ndarray, "k 6"],
        objects_in: Int[np.ndarray, "n"],
        ignored_in: Int[np.ndarray, "n"],
    ) -> "Samples":
        """The samples of n pictures, whose `sizes` are (height, width): `objects_in[i]` of the rows of `objects`, in
        order, are picture i's."""
        columns = {"sizes": sizes, "objects": objects, "areas": areas, "ignored": ignored}
        firsts = {"first_object": first_of(objects_in), "first_ignored": first_of(ignored_in)}
        return cls(Columns({**Texts.columns("names", names), **columns, **firsts}))

    def __reduce__(self):
        return Samples, (self._columns,)

    def __len__(self) -> int:
        return len(self._names)

    def made(self, index: int) -> Sample:
        """One picture's sample; its arrays are views of the columns."""
        name, columns = self._names[index], self._columns
        objects = slice(*columns["first_object"][index : index + 2])
        ignored = slice(*columns["first_ignored"][index : index + 2])
        height, width = columns["sizes"][index].tolist()
        rows, areas = columns["objects"][objects], columns["areas"][objects]
        return Sample(name, height, width, rows, areas, columns["ignored"][ignored])

    def part(self, indices: Sequence[int]) -> "Samples":
        """The samples at these indices, in this order."""
        return Samples.of(self[index] for index in indices)

    @property
    def objects_in(self) -> Int[np.ndarray, "n"]:
        """The number of objects in each picture."""
        return np.diff(self._columns["first_object"])

    @property
    def labels(self) -> Float[np.ndarray, "m"]:
        """The class of every object."""
        return self._columns["objects"][:, 4]


class Paths(MadeWhenAsked[Path]):
    """Paths in columns."""

    def __init__(self, columns: Columns):
        self._columns = columns
        self._texts = Texts.of(columns, "paths")

    @classmethod
    def of(cls, paths: Iterable[str | Path]) -> "Paths":
        """The paths, in columns."""
        return cls(Columns(Texts.columns("paths", map(str, paths))))

    def __reduce__(self):
        return Paths, (self._columns,)

    def __len__(self) -> int:
        return len(self._texts)

    def made(self, index: int) -> Path:
        """The path at this index."""
        return Path(self._texts[index])


@dataclass(frozen=True)
class SamplesInMemory:
    """The part of a `Dataset` that does not read pictures; subclasses add the rest."""

    classes: tuple[str, ...]
    samples: Samples

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def most_objects(self) -> int:
        """The largest number of objects in a picture."""
        return self.samples.most_objects

    def sample(self, index: int) -> Sample:
        """One picture's name, size and annotations."""
        return self.samples[index]


@dataclass(frozen=True)
class PictureDataset(SamplesInMemory):
    """A data set of picture files: `samples[i]` describes the file at `paths[i]`."""

    paths: Paths
    notes: tuple[str, ...] = ()
    annotated: Sequence[AnnotatedPicture] = ()

    def part(self, indices: Sequence[int]) -> "PictureDataset":
        """The pictures at these indices, in this order, as a data set."""
        paths = Paths.of(self.paths[index] for index in indices)
        annotated = AnnotatedPictures.of(self.annotated[index] for index in indices) if self.annotated else ()
        return replace(self, samples=self.samples.part(indices), paths=paths, annotated=annotated)

    def content(self, index: int) -> bytes:
        """The bytes of the picture's file. Raises ValueError if it is missing or empty."""
        return picture_content(self.paths[index])

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as uint8 RGB. Raises ValueError if it cannot be read or its size is not the annotated one."""
        path, content = self.paths[index], self.content(index)
        picture = decode_picture(content, path, reduction)
        sample = self.samples[index]
        height, width = sample.height, sample.width
        if picture.shape[:2] != (-(-height // reduction), -(-width // reduction)):
            picture = picture if reduction == 1 else decode_picture(content, path)
            raise ValueError(
                f"{path}: the picture is {picture.shape[1]} x {picture.shape[0]} pixels (width x height, "
                f"EXIF rotation applied), but its annotation says {width} x {height}"
            )
        return picture


@dataclass(frozen=True)
class AnnotatedPictures(MadeWhenAsked[AnnotatedPicture]):
    """Pictures as annotated, with their boxes in columns: those of all pictures one after the other, in order."""

    names: Sequence[str]
    paths: Sequence[str]
    sizes: Int[np.ndarray, "n 2"]  # (height, width) in pixels
    first: Int[np.ndarray, "n_plus_1"]  # where each picture's boxes begin; last, where the last one's end
    corners: Float[np.ndarray, "m 4"]
    labels: Int[np.ndarray, "m"]  # positions in `label_names`
    label_names: Sequence[str]
    kinds: Int[np.ndarray, "m"]  # positions in `kind_names`
    kind_names: Sequence[str]  # why boxes are ignored; the first is "", for those that are not
    areas: Float[np.ndarray, "m"]  # NaN where none is given
    places: Sequence[str]  # the file and the record of each box

    @classmethod
    def of(cls, pictures: Iterable[AnnotatedPicture]) -> "AnnotatedPictures":
        """The pictures, in columns."""
        names, paths, sizes, counts, corners, labels, kinds, areas, places = ([] for _ in range(9))
        label_numbers, kind_numbers = {}, {"": 0}
        for name, path, height, width, boxes in pictures:
            names.append(name)
            paths.append(str(path))
            sizes.append((height, width))
            counts.append(len(boxes))
            for box in boxes:
                corners.append(box.corners)
                labels.append(label_numbers.setdefault(box.label, len(label_numbers)))
                kinds.append(kind_numbers.setdefault(box.ignored, len(kind_numbers)))
                areas.append(math.nan if box.area is None else box.area)
                places.append(box.where)
        return cls(
            names,
            paths,
            np.array(sizes, np.int64).reshape(-1, 2),
            first_of(counts),
            np.array(corners, float).reshape(-1, 4),
            np.array(labels, np.int64),
            list(label_numbers),
            np.array(kinds, np.int64),
            list(kind_numbers),
            np.array(areas, float),
            places,
        )

    def __len__(self) -> int:
        return len(self.names)

    def made(self, index: int) -> AnnotatedPicture:
        """One picture with its boxes."""
        height, width = self.sizes[index].tolist()
        boxes = [self._box(number) for number in range(self.first[index], self.first[index + 1])]
        return AnnotatedPicture(self.names[index], Path(self.paths[index]), height, width, boxes)

    def _box(self, number: int) -> AnnotatedBox:
        x_min, y_min, x_max, y_max = self.corners[number].tolist()
        label, kind = self.label_names[int(self.labels[number])], self.kind_names[int(self.kinds[number])]
        area = None if np.isnan(self.areas[number]) else float(self.areas[number])
        return AnnotatedBox((x_min, y_min, x_max, y_max), label, kind, area, self.places[number])
