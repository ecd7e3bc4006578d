"""Opens the splits of a data set, given its name or the TOML file that describes it."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from centernet_data.contract.messages import listed
from centernet_data.contract.val_share import ValShare, check_val_share
from centernet_data.dataset import Dataset
from centernet_data.readers.coco import coco_classes, read_coco
from centernet_data.readers.cocotext import read_cocotext
from centernet_data.readers.description import Description, classes_line
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.recognition import describe, how_taken
from centernet_data.readers.tfds import PREFIX, TfdsDataset, is_tfds, read_tfds, tfds_splits
from centernet_data.readers.voc import read_voc, voc_classes, voc_lists
from centernet_data.readers.yolo import YoloFiles, read_yolo
from centernet_data.share import parts
from centernet_data.stored import PictureDataset
from centernet_data.synthetic.scene_text import SceneTextDataset
from centernet_data.synthetic.shapes import ShapesDataset

PARTS = ("train", "val")
_BUILT_IN = {"shapes": ShapesDataset, "scene-text": SceneTextDataset}


def open_dataset(
    data: str | Path,
    split: str,
    errors: ErrorPolicy = RAISE,
    known: Collection[str] = (),
    val_share: ValShare | None = None,
) -> Dataset:
    """Opens one split of a data set. `data` is the name of a built-in one ("shapes", "scene-text"), "tfds:" followed by
    the name or folder of a TFDS data set, a folder or a file in one of the layouts that `describe` recognises, or the
    path of a TOML file such as:

        format = "coco"              # or "cocotext", "voc" or "yolo"
        classes = ["person"]         # optional: only these, in this order; a split may lack objects of some
        val_share = 0.2              # optional, where there is no [val]: validate on a fifth of [train]; val_group too
        [train]                      # one section per split
        images = "images"            # paths are relative to the TOML file's folder
        annotations = "train.json"   # "voc" has instead: root = "VOC2007" and split = "train"; "yolo" only images

    "cocotext" also needs a `split`, and has two more options besides `classes`: ignore_illegible = true and
    least_area = 0.001; "voc" has first_pixel = 0 for coordinates counted from 0; "yolo" needs the names of its classes,
    names = ["person"]. A class that the files of no split name, nor `known`, is taken for misspelt. With a `val_share`,
    "train" and "val" are parts of the data set's "train". Raises ValueError, naming the file and the record, for any
    mistake in the TOML file or in the files it refers to; mistakes in single records go to `errors`.
    """
    val_share = _val_share_of(data, val_share)
    if val_share is None or split not in PARTS:
        return _open_whole(data, split, errors, known)
    return _divided(data, _open_whole(data, "train", errors, known), val_share)[split]


def _open_whole(data: str | Path, split: str, errors: ErrorPolicy, known: Collection[str]) -> Dataset:
    if _is_builtin(data):
        return _BUILT_IN[str(data)](split)
    if is_tfds(data):
        return read_tfds(str(data), split, errors)
    return _open_section(_described(data), split, errors, known)


def split_names(data: str | Path, val_share: ValShare | None = None) -> tuple[str, ...]:
    """The names of a data set's splits, in the order of its file. Raises ValueError for a file that describes none."""
    names = _own_split_names(data)
    if _val_share_of(data, val_share) is None:
        return names
    return (*PARTS, *(name for name in names if name not in PARTS))


def _own_split_names(data: str | Path) -> tuple[str, ...]:
    if _is_builtin(data):
        return PARTS
    if is_tfds(data):
        return tfds_splits(str(data))
    description = _described(data)
    if not description.sections:
        raise ValueError(f"{data}: there is no section, such as [train]")
    return tuple(description.sections)


def _val_share_of(data: str | Path, given: ValShare | None) -> ValShare | None:
    """The share that is given, or that the TOML file names. Raises ValueError if the data set has a "val" already."""
    val_share = given or _described_share(data)
    if val_share is not None and "val" in _own_split_names(data):
        raise ValueError(f"{data}: it has a split to validate on, [val], so no share of [train] is taken for that")
    return val_share


def _described_share(data: str | Path) -> ValShare | None:
    if _is_builtin(data) or is_tfds(data):
        return None
    description = _described(data)
    try:
        return check_val_share(description.val_share, description.val_group)
    except ValueError as error:
        raise ValueError(f"{description.path}: {error}") from None


def _divided(data: str | Path, whole: Dataset, val_share: ValShare) -> dict[str, Dataset]:
    """The parts of a data set to train on and to validate on."""
    if not isinstance(whole, PictureDataset | TfdsDataset):
        raise ValueError(f"{data}: rendered pictures are not divided")
    found = parts([sample.name for sample in whole.samples], val_share, f"{data}: [train]")
    together = f", in {found.val_groups} groups" if val_share.group else ""
    note = f"a share of {val_share.share:g} of [train], by name: {len(found.val)} of {len(whole)} pictures{together}"
    val = whole.part(found.val)
    return {"train": whole.part(found.train), "val": replace(val, notes=(*val.notes, note))}


def how_data_is_taken(data: str | Path) -> str:
    """One line that says what a folder or a file was taken for; empty if that needs no words."""
    return "" if _is_builtin(data) or is_tfds(data) else how_taken(data, _described(data))


def name_of_data(data: str) -> str:
    """A short name for a data set: the name of its folder or TOML file, or TFDS's name without the version."""
    if is_tfds(data):
        parts_of_name = Path(data.removeprefix(PREFIX)).parts
        return next((part for part in reversed(parts_of_name) if not re.fullmatch(r"[\d.]+\.\d+", part)), "tfds")
    return Path(data).resolve().name if Path(data).is_dir() else Path(data).stem


def open_for_model(
    data: str | Path, split: str, classes: Sequence[str], model: Path, val_share: ValShare | None = None
) -> Dataset:
    """Opens one split of a data set for the model in the file `model`, which has the given classes.

    Raises ValueError as `open_dataset` does, and if the data set's classes differ or the split has no pictures.
    """
    dataset = open_dataset(data, split, known=classes, val_share=val_share)
    if tuple(dataset.classes) != tuple(classes):
        raise ValueError(
            f"{data}: its classes ({', '.join(dataset.classes)}) differ from those of {model} ({', '.join(classes)})"
            f"{_for_model(data, dataset.classes, classes)}"
        )
    require_pictures(data, split, dataset)
    return dataset


def open_train_and_val(data: str | Path, val_share: ValShare | None = None) -> tuple[Dataset, Dataset | None]:
    """Opens the splits "train" and "val" of a data set; None if it has no "val".

    Raises ValueError as `open_dataset` and `require_trainable` do.
    """
    val_share, val = _val_share_of(data, val_share), None
    train = _open_whole(data, "train", RAISE, ())
    if val_share is not None:
        train, val = _divided(data, train, val_share).values()
    elif "val" in _own_split_names(data):
        val = _open_whole(data, "val", RAISE, ())
    require_trainable(data, train, val)
    return train, val


def open_splits(data: str | Path, names: Sequence[str] = ()) -> dict[str, Dataset]:
    """Opens splits of a data set, by name: those with the given names, or every one.

    Raises ValueError as `open_dataset` does, and if a split has no pictures or its classes differ from the first's.
    """
    names = names or split_names(data)
    splits = {name: open_dataset(data, name) for name in names}
    for name, dataset in splits.items():
        require_pictures(data, name, dataset)
        _require_same_classes(data, (names[0], splits[names[0]]), (name, dataset))
    return splits


def require_trainable(data: str | Path, train: Dataset, val: Dataset | None) -> None:
    """Raises ValueError if a split has no pictures, `train` has no objects, or the classes of the two differ."""
    require_pictures(data, "train", train)
    if not any(len(train.sample(index).objects) for index in range(len(train))):  # the first mostly has some
        raise ValueError(f"{data}: [train] has no objects in any of its {len(train)} pictures")
    if val is not None:
        require_pictures(data, "val", val)
        _require_same_classes(data, ("train", train), ("val", val))


def require_pictures(data: str | Path, split: str, dataset: Dataset) -> None:
    """Raises ValueError if the split has no pictures."""
    if len(dataset) == 0:
        raise ValueError(f"{data}: [{split}] has no pictures")


def coco_section(data: str | Path, split: str) -> tuple[Path, Path, list[str] | None] | None:
    """A split's folder of pictures, its COCO file and the chosen classes; None if the data set has another format.

    Raises ValueError, as `open_dataset` does, for any mistake in the TOML file.
    """
    if _is_builtin(data) or is_tfds(data):
        return None
    description = _described(data)
    if description.format != "coco" or _val_share_of(data, None) is not None:
        return None
    section, folder = description.section(split), description.folder
    return folder / section["images"], folder / section["annotations"], description.classes


def _is_builtin(data: str | Path) -> bool:
    return str(data) in _BUILT_IN


def _described(data: str | Path) -> Description:
    return describe(Path(data), list(_BUILT_IN))


def _open_section(description: Description, split: str, errors: ErrorPolicy, known: Collection[str]) -> PictureDataset:
    section, classes, options = description.section(split), description.classes, description.options
    folder = description.folder

    def elsewhere() -> list[str]:
        return [*known, *_classes_of_others(description, split)]

    if description.format == "voc":
        root = folder / section["root"]
        if "split" not in section and (lists := voc_lists(root)):
            raise ValueError(f"{description.path}: 'split' of [{split}] is missing; there are: {listed(lists)}")
        dataset = read_voc(root, section.get("split"), classes, errors, **options, known=elsewhere)
    elif description.format == "yolo":
        images = section["images"] if isinstance(section["images"], list) else [section["images"]]
        files = YoloFiles([folder / place for place in images], **options)
        dataset = read_yolo(files, description.path, classes, errors, known=elsewhere)
    else:
        images, annotations = folder / section["images"], folder / section["annotations"]
        if description.format == "coco":
            dataset = read_coco(images, annotations, classes, errors, known=elsewhere)
        else:
            dataset = read_cocotext(images, annotations, section["split"], classes, **options, errors=errors)
    return dataset if classes is None else replace(dataset, notes=(*dataset.notes, *_absent(dataset)))


def _classes_of_others(description: Description, split: str) -> list[str]:
    """The classes that the files of the other splits name, as far as they can be read."""
    names, folder = [], description.folder
    for other in description.sections:
        with suppress(ValueError, OSError):  # opening that split reports it
            if other != split and description.format == "voc":
                names += voc_classes(folder / description.section(other)["root"])
            elif other != split and description.format == "coco":
                names += coco_classes(folder / description.section(other)["annotations"])
    return names


def _absent(dataset: PictureDataset) -> list[str]:
    present = set(dataset.samples.labels.astype(int).tolist())
    absent = [name for index, name in enumerate(dataset.classes) if index not in present]
    return [f"classes without any object: {listed(absent)}"] if absent else []


def _for_model(data: str | Path, own: Sequence[str], classes: Sequence[str]) -> str:
    """How to read a data set with a model's classes, as the end of a sentence; empty if that would not help."""
    if _is_builtin(data) or is_tfds(data) or not set(own) & set(classes):
        return ""
    left_out = [name for name in own if name not in classes]
    loss = f" (objects of {listed(left_out)} are then left out)" if left_out else ""
    return f"; to evaluate by name, write this line at its top, in place of its own: {classes_line(classes)}{loss}"


def _require_same_classes(data: str | Path, one: tuple[str, Dataset], other: tuple[str, Dataset]) -> None:
    (a, b), (in_a, in_b) = (one[0], other[0]), (tuple(one[1].classes), tuple(other[1].classes))
    if in_a == in_b:
        return
    only_a, only_b = ([name for name in x if name not in y] for x, y in ((in_a, in_b), (in_b, in_a)))
    if only_a or only_b:
        difference = f"only in [{a}]: {listed(only_a) or 'none'}; only in [{b}]: {listed(only_b) or 'none'}"
    else:
        difference = f"the same names in a different order: {listed(in_a)} and {listed(in_b)}"
    both = classes_line([*in_a, *only_b])
    remedy = f"; to take these classes in both, write this line at its top: {both}"
    raise ValueError(f"{data}: the classes of [{a}] and [{b}] differ: {difference}{remedy}")
