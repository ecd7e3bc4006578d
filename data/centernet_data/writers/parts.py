"""What is written: the splits of a data set, whole, or the pictures that somebody chose from one."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from centernet_data.contract.messages import duplicates, listed
from centernet_data.contract.text_files import read_lines
from centernet_data.dataset import AnnotatedPicture, Dataset, Sample
from centernet_data.source import coco_section, open_splits
from centernet_data.stored import PictureDataset


@dataclass(frozen=True)
class Choice:
    """A choice of pictures: those that the file `ids` lists, or `count` of them drawn at random from `seed`."""

    ids: Path | None = None
    count: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """The pictures of the data set `whole` at the positions `indices`, as a `Dataset` of its own."""

    whole: Dataset
    indices: Sequence[int]
    annotated: Sequence[AnnotatedPicture] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the whole."""
        return self.whole.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the whole, which say so if this is less."""
        whole = len(self.indices) == len(self.whole)
        return tuple(note if whole else f"in the whole section: {note}" for note in self.whole.notes)

    @property
    def most_objects(self) -> int:
        """The largest number of objects in a picture."""
        return self._most_objects

    @cached_property
    def _most_objects(self) -> int:
        return max((len(self.sample(index).objects) for index in range(len(self))), default=0)

    def __len__(self) -> int:
        return len(self.indices)

    def sample(self, index: int) -> Sample:
        """One picture's name, size and annotations, in float64 (rendered scenes have float32)."""
        sample = self.whole.sample(self.indices[index])
        return sample._replace(objects=sample.objects.astype(float), ignored=sample.ignored.astype(float))

    def picture(self, index: int, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """The picture, as the whole data set gives it."""
        return self.whole.picture(self.indices[index], reduction)

    def content(self, index: int) -> bytes | None:
        """The bytes of the picture's file; None for a rendered picture."""
        return self.whole.content(self.indices[index])

    def object_count(self) -> int:
        """The number of all objects, ignored ones included."""
        samples = map(self.sample, range(len(self)))
        return sum(len(sample.objects) + len(sample.ignored) for sample in samples)

    def path(self, index: int) -> Path | None:
        """The picture's file; None if it has none of its own, as a rendered picture or one in TFDS's records."""
        return self.whole.paths[self.indices[index]] if isinstance(self.whole, PictureDataset) else None


def open_parts(data: str, names: Sequence[str] = (), choice: Choice | None = None) -> dict[str, Part]:
    """The splits `names` of a data set, or all of them; with a `choice`, of the only one its pictures.

    Raises ValueError as `open_splits` does, and for ids that the split does not have, or fewer pictures than wanted.
    """
    splits = open_splits(data, names)
    if choice is None:
        return {split: Part(dataset, range(len(dataset))) for split, dataset in splits.items()}
    ((split, dataset),) = splits.items()
    return {split: Part(dataset, _chosen(data, split, dataset, choice))}


def _chosen(data: str, split: str, dataset: Dataset, choice: Choice) -> list[int]:
    if choice.ids is not None:
        return _places(data, split, dataset, choice.ids)
    if choice.count > len(dataset):
        raise ValueError(f"{data}: [{split}] has {len(dataset)} pictures, not {choice.count}")
    drawn = np.random.default_rng(choice.seed).choice(len(dataset), choice.count, replace=False)
    return sorted(drawn.tolist())


def _places(data: str, split: str, dataset: Dataset, file: Path) -> list[int]:
    """The positions, in order, of the pictures that the file lists."""
    wanted = read_ids(file)
    places = _places_by_id(data, split, dataset)
    if unknown := [name for name in wanted if name not in places]:
        raise ValueError(f"{file}: {len(unknown)} ids are not in [{split}] of {data}: {listed(unknown)}")
    if several := [name for name in wanted if len(places[name]) > 1]:
        names = listed([dataset.sample(index).name for index in places[several[0]]], 3)
        raise ValueError(f"{file}: several pictures of [{split}] are called {several[0]}: {names}")
    found = [places[name][0] for name in wanted]
    if again := [index for index, number in Counter(found).items() if number > 1]:
        raise ValueError(f"{file}: two of the ids mean one picture, {dataset.sample(again[0]).name}")
    return sorted(found)


def _places_by_id(data: str, split: str, dataset: Dataset) -> dict[str, list[int]]:
    """Each id, and the positions of the pictures that have it: in COCO's format the file's ids; elsewhere a picture's
    name, or what it is without its suffix, or without its folders too where no other picture's whole name is that."""
    if (section := coco_section(data, split)) is not None:
        records = json.loads(section[1].read_bytes())["images"]  # in the order of the data set's pictures
        return {_text(record["id"]): [index] for index, record in enumerate(records)}
    names = [PurePosixPath(dataset.sample(index).name) for index in range(len(dataset))]
    places: dict[str, list[int]] = {}
    for spelt in (str, lambda name: str(name.with_suffix("")), lambda name: name.stem):
        places = _by_key(map(spelt, names)) | places
    return places


def _text(key: float | str) -> str:
    """A record's id as it is listed: 7.0 is 7."""
    return str(int(key)) if isinstance(key, float) else str(key)


def _by_key(keys: Iterable[str]) -> dict[str, list[int]]:
    places = defaultdict(list)
    for index, key in enumerate(keys):
        places[key].append(index)
    return dict(places)


def read_ids(path: Path) -> list[str]:
    """Reads the ids in a file, one per line; # starts a comment. Raises ValueError if there are none, or duplicates."""
    if not path.is_file():
        raise ValueError(f"{path}: the file of ids does not exist")
    ids = [line.partition("#")[0].strip() for line in read_lines(path)]
    ids = [line for line in ids if line]
    if not ids:
        raise ValueError(f"{path}: there are no ids in the file")
    if repeated := duplicates(ids):
        raise ValueError(f"{path}: duplicate ids: {listed(repeated)}")
    return ids
