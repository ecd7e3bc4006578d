"""The readers' shared steps: turn annotated boxes into samples, and collect classes and notes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from centernet_data.contract.boxes import Side, clip_xyxy, xyxy_to_cyxhw
from centernet_data.contract.messages import duplicates, listed, shown
from centernet_data.dataset import AnnotatedPicture
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.named_files import elsewhere, missing_files
from centernet_data.stored import AnnotatedPictures, Paths, PictureDataset, Samples

Known = Callable[[], Collection[str]]  # class names that are right although this split's own file lacks them

CROWD, DIFFICULT = "crowd regions", "difficult objects"  # names of COCO's and VOC's ignored boxes
LONGEST_SIDE = 1_000_000  # pixels; beyond it a size is a mistake, and no decoder opens such a picture
FURTHEST = 1e9  # pixels; a coordinate beyond it is a mistake, and areas of larger boxes would overflow


def dataset_of(
    pictures: Iterable[AnnotatedPicture],
    classes: Sequence[str],
    annotations: Path,
    errors: ErrorPolicy = RAISE,
    counts: Counter[str] | None = None,
) -> PictureDataset:
    """Builds a data set of the pictures, in order, with their boxes of `classes`. A class's index is its position in
    `classes`.

    Clips boxes to their picture. Leaves out empty boxes and those of other classes; `notes` count these, the ignored
    ones, and what the reader put into `counts` while it gave the pictures. Raises ValueError, naming `annotations`, if
    picture files are missing. Does not look for them when errors are collected: the caller then opens every file and
    reports what is wrong with each.
    """
    counts = Counter() if counts is None else counts
    annotated = pictures if isinstance(pictures, AnnotatedPictures) else AnnotatedPictures.of(pictures)
    samples = _samples(annotated, classes, counts)
    if errors.raises:
        require_files(annotated.paths, annotations)
    repeated = len(annotated) - len(set(annotated.paths))
    counts["pictures listed more than once, each time with a part of the objects"] += repeated
    notes = [f"{what}: {count}" for what, count in sorted(counts.items()) if count]
    notes += _alike(classes, annotations, errors)
    return PictureDataset(
        tuple(classes), samples, Paths.of(annotated.paths), tuple(notes), () if errors.raises else annotated
    )


def objects_from_corners(
    corners: Float[np.ndarray, "n 4"], class_indices: Sequence[int] | Int[np.ndarray, "n"], height: Side, width: Side
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n"]]:
    """Builds rows of (y_centre, x_centre, height, width, class, confidence 1), in pixels, and their areas in pixels².

    `corners` are rows of (x_min, y_min, x_max, y_max); they are clipped to the picture of `height` x `width`, or
    each to its own. A box entirely outside keeps its row, with an area of 0.
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


def chosen_classes(
    available: Sequence[str], wanted: Sequence[str] | None, where: Path, known: Known = tuple
) -> tuple[str, ...]:
    """The `wanted` classes, in that order, or all `available` ones.

    A wanted class that is not available, but among those that `known` returns, is one that this split has no objects
    of. Raises ValueError, naming `where`, for other names, which are most likely misspelt, and for repeated ones.
    """
    if wanted is None:
        if not available:
            raise ValueError(f"{where}: there are no classes")
        return tuple(available)
    if not wanted:
        raise ValueError(f"{where}: the list of wanted classes is empty")
    if repeated := duplicates(wanted):
        raise ValueError(f"{where}: duplicate classes: {listed(repeated)}")
    if unknown := set(wanted).difference(available):
        names = [*available, *(name for name in known() if name not in set(available))]
        if unknown := [name for name in wanted if name in unknown.difference(names)]:
            there_are = f"there are: {_with_blanks(names)}" if names else "there are no classes"
            raise ValueError(f"{where}: no such class: {_with_blanks(unknown)}; {there_are}")
    return tuple(wanted)


def _with_blanks(names: Sequence[str]) -> str:
    """The names, with quotes where blanks around one would not be seen."""
    return listed([name if name == name.strip() != "" else repr(name) for name in names])


def side_in_pixels(value: float, name: str, error: Callable[[str], ValueError]) -> int:
    """A picture's height or width, called `name`, as a whole number. Raises `error` for anything but 1 to
    `LONGEST_SIDE`."""
    if value > LONGEST_SIDE:
        raise error(f"{name} should be at most {LONGEST_SIDE} pixels, but is {shown(value)}")
    if value <= 0 or value != int(value):
        raise error(f"{name} should be a positive whole number, but is {value:g}")
    return int(value)


def _alike(classes: Sequence[str], annotations: Path, errors: ErrorPolicy) -> list[str]:
    """Says which classes differ in capitals and blanks only: probably one class, spelt in several ways."""
    spellings = defaultdict(list)
    for name in classes:
        spellings["".join(name.split()).casefold()].append(repr(name))
    alike = [f"classes that differ in capitals or blanks only: {listed(x)}" for x in spellings.values() if len(x) > 1]
    for text in alike:
        errors.remark("class names alike", f"{annotations}: {text}")
    return alike


def _samples(annotated: AnnotatedPictures, classes: Sequence[str], counts: Counter[str]) -> Samples:
    indices = {name: index for index, name in enumerate(classes)}
    index_of_label = np.array([indices.get(name, -1) for name in annotated.label_names], np.int64)
    class_indices, count = index_of_label[annotated.labels], len(annotated)
    chosen = class_indices >= 0
    counts["objects left out because their class was not selected"] += int((~chosen).sum())
    picture = np.repeat(np.arange(count), np.diff(annotated.first))[chosen]
    height, width = annotated.sizes[picture].T
    rows, clipped_areas = objects_from_corners(annotated.corners[chosen], class_indices[chosen], height, width)
    given_areas, kinds = annotated.areas[chosen], annotated.kinds[chosen]
    areas = np.where(np.isnan(given_areas), clipped_areas, given_areas)
    flags = {kind: kinds == number for number, kind in enumerate(annotated.kind_names) if number}
    real, ignored = real_and_ignored(clipped_areas, flags, counts)
    in_each = {"objects_in": np.bincount(picture[real], minlength=count)}
    in_each["ignored_in"] = np.bincount(picture[ignored], minlength=count)
    return Samples.in_columns(annotated.names, annotated.sizes, rows[real], areas[real], rows[ignored], **in_each)


def require_files(paths: Sequence[str], annotations: Path) -> None:
    """Raises ValueError, naming `annotations`, if any of the pictures that it names is missing."""
    missing = missing_files(paths)
    if missing:
        raise ValueError(
            f"{annotations}: {len(missing)} of {len(paths)} pictures are missing; the first is {missing[0]}"
            f"{elsewhere(missing[0])}"
        )
