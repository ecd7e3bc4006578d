"""The readers' shared steps: turn annotated boxes into samples, and collect classes and notes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from centernet_data.contract.boxes import clip_xyxy, xyxy_to_cyxhw
from centernet_data.contract.messages import duplicates, listed
from centernet_data.dataset import AnnotatedPicture, PictureDataset, Sample
from centernet_data.readers.errors import RAISE, ErrorPolicy

CROWD, DIFFICULT = "crowd regions", "difficult objects"  # names of COCO's and VOC's ignored boxes


def dataset_of(
    pictures: Iterable[AnnotatedPicture], classes: Sequence[str], annotations: Path, errors: ErrorPolicy = RAISE
) -> PictureDataset:
    """Builds a data set of the pictures, in order, with their boxes of `classes`. A class's index is its position in
    `classes`.

    Clips boxes to their picture. Leaves out empty boxes and those of other classes; `notes` count these and the ignored
    ones. Raises ValueError, naming `annotations`, if picture files are missing. Does not look for them when errors are
    collected: the caller then opens every file and reports what is wrong with each.
    """
    counts: Counter[str] = Counter()
    indices = {name: index for index, name in enumerate(classes)}
    samples, paths, annotated = [], [], []
    for picture in pictures:
        samples.append(_sample(picture, indices, counts))
        paths.append(picture.path)
        if not errors.raises:
            annotated.append(picture)
    if errors.raises:
        _require_files(paths, annotations)
    notes = tuple(f"{what}: {count}" for what, count in sorted(counts.items()) if count)
    return PictureDataset(tuple(classes), samples, paths, notes, annotated)


def objects_from_corners(
    corners: Float[np.ndarray, "n 4"], class_indices: Sequence[int], height: int, width: int
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n"]]:
    """Builds rows of (y_centre, x_centre, height, width, class, confidence 1), in pixels, and their areas in pixels².

    `corners` are rows of (x_min, y_min, x_max, y_max); they are clipped to the picture of `height` x `width`. A box
    entirely outside keeps its row, with an area of 0.
    """
    boxes = xyxy_to_cyxhw(clip_xyxy(corners, height, width))
    labels, ones = np.asarray(class_indices, float), np.ones(len(corners))
    return np.column_stack([boxes, labels, ones]), boxes[:, 2] * boxes[:, 3]


def real_and_ignored(
    clipped_areas: Float[np.ndarray, "n"], flags: Mapping[str, Bool[np.ndarray, "n"]], counts: Counter[str]
) -> tuple[Bool[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Masks of the boxes that become a sample's `objects`, and of those that become `ignored`: the boxes with a flag.
    Empty boxes are neither.

    `flags` maps the name of a kind of ignored box to its mask. Adds to `counts` the boxes that are not trained on, by
    the notes' wording.
    """
    full = clipped_areas > 0
    for kind, flagged in flags.items():
        counts[f"{kind}, neither trained on nor scored"] += int((full & flagged).sum())
    counts["boxes left out because they have no area inside their picture"] += int((~full).sum())
    ignored = np.any([np.zeros_like(full), *flags.values()], axis=0)
    return full & ~ignored, full & ignored


def chosen_classes(available: Sequence[str], wanted: Sequence[str] | None, where: Path) -> tuple[str, ...]:
    """The `wanted` classes, in that order, or all `available` ones. Raises ValueError, naming `where`, for unknown or
    repeated names."""
    if not available:
        raise ValueError(f"{where}: there are no classes")
    if wanted is None:
        return tuple(available)
    if not wanted:
        raise ValueError(f"{where}: the list of wanted classes is empty")
    if repeated := duplicates(wanted):
        raise ValueError(f"{where}: duplicate classes: {listed(repeated)}")
    if unknown := [name for name in wanted if name not in set(available)]:
        raise ValueError(f"{where}: no such class: {listed(unknown)}; there are: {listed(available)}")
    return tuple(wanted)


def _sample(picture: AnnotatedPicture, indices: dict[str, int], counts: Counter[str]) -> Sample:
    boxes = [box for box in picture.boxes if box.label in indices]
    corners = np.array([box.corners for box in boxes], float).reshape(-1, 4)
    class_indices = [indices[box.label] for box in boxes]
    rows, clipped_areas = objects_from_corners(corners, class_indices, picture.height, picture.width)
    given_areas = np.array([np.nan if box.area is None else box.area for box in boxes], float)
    areas = np.where(np.isnan(given_areas), clipped_areas, given_areas)
    kinds = {box.ignored for box in boxes if box.ignored}
    flags = {kind: np.array([box.ignored == kind for box in boxes], bool) for kind in kinds}
    counts["objects left out because their class was not selected"] += len(picture.boxes) - len(boxes)
    real, ignored = real_and_ignored(clipped_areas, flags, counts)
    return Sample(picture.name, picture.height, picture.width, rows[real], areas[real], rows[ignored])


def _require_files(paths: Sequence[Path], annotations: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ValueError(
            f"{annotations}: {len(missing)} of {len(paths)} pictures are missing; the first is {missing[0]}"
        )
