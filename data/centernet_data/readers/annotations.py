"""What the readers of annotations share: from boxes as they were annotated to samples, classes and notes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from centernet_data.dataset import PictureDataset, Sample
from centernet_data.readers.errors import STRICT, Reading

CROWD, DIFFICULT = "crowd regions", "difficult objects"  # what COCO's and VOC's ignored boxes are called


class Box(NamedTuple):
    """One annotated box; `corners` are (x_min, y_min, x_max, y_max) in pixels, not yet clipped to the picture;
    `where` names the file and the record."""

    corners: tuple[float, float, float, float]
    label: str
    ignored: str = ""  # what it is called, if it is one of those neither trained on nor scored
    area: float | None = None  # None: that of the clipped box
    where: str = ""


class Picture(NamedTuple):
    """One picture file and every box that was annotated in it; `height` and `width` in pixels."""

    name: str
    path: Path
    height: int
    width: int
    boxes: Sequence[Box]


def dataset_of(
    pictures: Iterable[Picture], classes: Sequence[str], annotations: Path, reading: Reading = STRICT
) -> PictureDataset:
    """The pictures, in their order, with the boxes of `classes`; a class's index is its place in `classes`.

    Boxes are clipped to their picture. Empty ones and those of other classes are left out; `notes` count these and
    the ignored ones. ValueError, naming `annotations`, if picture files are missing and `reading` stops at mistakes.
    """
    counts: Counter[str] = Counter()
    indices = {name: index for index, name in enumerate(classes)}
    samples, paths = [], []
    for picture in pictures:
        reading.saw(picture)
        samples.append(_sample(picture, indices, counts))
        paths.append(picture.path)
    if reading.stops:  # who reads on opens every file, and says of each what is wrong
        _require_files(paths, annotations)
    notes = tuple(f"{what}: {count}" for what, count in sorted(counts.items()) if count)
    return PictureDataset(tuple(classes), samples, paths, notes)


def objects_from_corners(
    corners: Float[np.ndarray, "n 4"], class_indices: Sequence[int], height: int, width: int
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n"]]:
    """Rows of (y_centre, x_centre, height, width, class, confidence 1) and their areas, in pixels and pixels².

    `corners` are rows of (x_min, y_min, x_max, y_max), clipped here to the picture of `height` x `width`. A box with
    nothing inside the picture keeps its row and has the area 0.
    """
    x_min, y_min, x_max, y_max = np.clip(corners, 0, [width, height, width, height]).T
    box_height, box_width = y_max - y_min, x_max - x_min
    centre = (y_min + y_max) / 2, (x_min + x_max) / 2
    columns = (*centre, box_height, box_width, np.asarray(class_indices, float), np.ones(len(corners)))
    return np.stack(columns, axis=1), box_height * box_width


def real_and_ignored(
    clipped_areas: Float[np.ndarray, "n"], flags: Mapping[str, Bool[np.ndarray, "n"]], counts: Counter[str]
) -> tuple[Bool[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Which boxes are a sample's `objects`, and which its `ignored`: those with a flag. Empty boxes are neither.

    `flags` are by what such boxes are called. What is not trained on is counted in `counts`, by the notes' words.
    """
    full = clipped_areas > 0
    for kind, flagged in flags.items():
        counts[f"{kind}, neither trained on nor scored"] += int((full & flagged).sum())
    counts["boxes left out because they have no area inside their picture"] += int((~full).sum())
    ignored = np.any([np.zeros_like(full), *flags.values()], axis=0)
    return full & ~ignored, full & ignored


def chosen_classes(available: Sequence[str], wanted: Sequence[str] | None, where: Path) -> tuple[str, ...]:
    """`wanted` in its order, or all that are `available`. ValueError, naming `where`, for unknown or repeated names."""
    if not available:
        raise ValueError(f"{where}: there are no classes in it")
    if wanted is None:
        return tuple(available)
    if not wanted:
        raise ValueError(f"{where}: the list of wanted classes is empty")
    if repeated := duplicates(wanted):
        raise ValueError(f"{where}: classes wanted more than once: {listed(repeated)}")
    if unknown := [name for name in wanted if name not in set(available)]:
        raise ValueError(f"{where}: no such class: {listed(unknown)}; there are: {listed(available)}")
    return tuple(wanted)


def duplicates(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]


def listed(values: Sequence[object], limit: int = 10) -> str:
    """The values with commas between them, shortened to `limit` for an error message."""
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"


def _sample(picture: Picture, indices: dict[str, int], counts: Counter[str]) -> Sample:
    boxes = [box for box in picture.boxes if box.label in indices]
    corners = np.array([box.corners for box in boxes], float).reshape(-1, 4)
    class_indices = [indices[box.label] for box in boxes]
    rows, clipped_areas = objects_from_corners(corners, class_indices, picture.height, picture.width)
    given_areas = np.array([np.nan if box.area is None else box.area for box in boxes], float)
    areas = np.where(np.isnan(given_areas), clipped_areas, given_areas)
    kinds = {box.ignored for box in boxes if box.ignored}
    flags = {kind: np.array([box.ignored == kind for box in boxes], bool) for kind in kinds}
    counts["objects left out because their class was not asked for"] += len(picture.boxes) - len(boxes)
    real, ignored = real_and_ignored(clipped_areas, flags, counts)
    return Sample(picture.name, picture.height, picture.width, rows[real], areas[real], rows[ignored])


def _require_files(paths: Sequence[Path], annotations: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ValueError(
            f"{annotations}: {len(missing)} of {len(paths)} pictures are missing, the first is {missing[0]}"
        )
