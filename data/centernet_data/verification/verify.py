"""Reads and decodes every picture of a data set once, to find damaged ones before training starts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from centernet_data.dataset import Dataset
from centernet_data.imaging.decoding import dark_levels, decode_picture, decoding_threads
from centernet_data.readers.tfds import TfdsDataset
from centernet_data.stored import PictureDataset
from centernet_data.verification.known_pictures import KnownPictures, Place, file_states

AT_ONCE = 4096  # pictures between two times of remembering: what a killed process must read again

Progress = Callable[[int, int], None]


class Verified(NamedTuple):
    """How many pictures were read, and how many were known to be good from earlier; notes, as a data set has them; and
    why nothing could be remembered, or nothing."""

    read: int
    known: int
    notes: tuple[str, ...] = ()
    trouble: str = ""


def verify_pictures(
    dataset: Dataset, memory: Path | None = None, progress: Progress | None = None, shard: tuple[int, int] = (0, 1)
) -> Verified:
    """Decodes every picture that is not known to be good from earlier, as many at once as there are processor cores.

    `memory` is the file in which good pictures are remembered, for as long as neither their files nor their annotated
    sizes change; None: nothing is. Calls `progress(done, total)` after each picture read, in the caller's thread. With
    a `shard` (index, count), only every count-th picture from `index` on is looked at. Raises ValueError for the first
    picture, by index, that cannot be read or whose size is not the annotated one; those before it are remembered.
    """
    indices = range(shard[0], len(dataset), shard[1])
    known = KnownPictures(memory) if memory else None
    states = _states(dataset, indices) if known else {}
    earlier = known.notes(dict(states.values())) if known else {}
    notes = {index: earlier[place] for index, (place, _) in states.items() if place in earlier}
    unread, count_known = [index for index in indices if index not in notes], len(notes)
    for first in range(0, len(unread), AT_ONCE):
        chunk: dict[int, str] = {}
        try:
            for index, note in _looked_at(dataset, unread[first : first + AT_ONCE]):
                chunk[index] = note
                if progress is not None:
                    progress(count_known + first + len(chunk), len(indices))
        finally:  # a damaged picture, or an impatient user, does not cost the others
            if known:
                known.remember((*states[index], note) for index, note in chunk.items() if index in states)
        notes |= chunk
    return Verified(len(unread), count_known, _summary(dataset, notes), known.trouble if known else "")


def picture_and_content(dataset: Dataset, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], bytes]:
    """The picture, and the bytes of its file, read once; no bytes for a rendered one. Raises ValueError as
    `dataset.picture` does."""
    content, sample = dataset.content(index), dataset.sample(index)
    if content is None:
        return dataset.picture(index), b""
    try:
        picture = decode_picture(content, sample.name)
    except ValueError:
        picture = None
    if picture is None or picture.shape[:2] != (sample.height, sample.width):
        picture = dataset.picture(index)  # says what is wrong, and names the file
    return picture, content


def _looked_at(dataset: Dataset, indices: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Each index with what is odd about its picture. Raises ValueError for the first that cannot be used."""

    def note(index: int) -> str:  # not the picture: the pool must not keep all decoded pictures in memory
        return dark_levels(picture_and_content(dataset, index)[1])

    with decoding_threads() as pool:
        yield from zip(indices, pool.map(note, indices), strict=True)


def _states(dataset: Dataset, indices: Sequence[int]) -> dict[int, tuple[Place, str]]:
    """By index the place and the state of each picture in a file; data sets of other kinds have none."""
    if isinstance(dataset, PictureDataset):
        files = [(dataset.paths[index], 0) for index in indices]
    elif isinstance(dataset, TfdsDataset):
        places = dataset.records.places
        files = [places[dataset.kept[index]] for index in indices]
    else:
        return {}
    samples = (dataset.sample(index) for index in indices)
    wanted = [(*file, f"{sample.height} {sample.width}") for file, sample in zip(files, samples, strict=True)]
    return {index: state for index, state in zip(indices, file_states(wanted), strict=True) if state}


def _summary(dataset: Dataset, notes: dict[int, str]) -> tuple[str, ...]:
    dark = [index for index in sorted(notes) if notes[index]]
    if not dark:
        return ()
    first = f"{dataset.sample(dark[0]).name}: {notes[dark[0]]}"
    return (f"pictures of 16-bit grey that are dark: {len(dark)}; the first: {first}",)
