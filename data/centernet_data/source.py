"""Opens the splits of a data set, given its name or the TOML file that describes it."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from centernet_data.contract.messages import listed
from centernet_data.dataset import Dataset
from centernet_data.readers.coco import read_coco
from centernet_data.readers.cocotext import read_cocotext
from centernet_data.readers.errors import RAISE, ErrorPolicy
from centernet_data.readers.tfds import PREFIX, is_tfds, read_tfds, tfds_splits
from centernet_data.readers.voc import read_voc
from centernet_data.synthetic.scene_text import SceneTextDataset
from centernet_data.synthetic.shapes import ShapesDataset

_BUILT_IN = {"shapes": ShapesDataset, "scene-text": SceneTextDataset}
_SECTION_KEYS = {
    "coco": ("images", "annotations"),
    "cocotext": ("images", "annotations", "split"),
    "voc": ("root", "split"),
}
_OPTIONS = {"cocotext": {"ignore_illegible": bool, "least_area": float}}  # keys that only one format has


def open_dataset(data: str | Path, split: str, errors: ErrorPolicy = RAISE) -> Dataset:
    """Opens one split of a data set. `data` is the name of a built-in one ("shapes", "scene-text"), "tfds:" followed by
    the name or folder of a TFDS data set, or the path of a TOML file such as:

        format = "coco"              # or "cocotext" or "voc"
        classes = ["person"]         # optional: only these, in this order
        [train]                      # one section per split
        images = "images"            # paths are relative to the TOML file's folder
        annotations = "train.json"   # "voc" has instead: root = "VOC2007" and split = "train"

    "cocotext" also needs a `split`, and has two more options besides `classes`: ignore_illegible = true and
    least_area = 0.001. Raises ValueError, naming the file and the record, for any mistake in the TOML file or in the
    files it refers to; mistakes in single records go to `errors`.
    """
    if _is_builtin(data):
        return _BUILT_IN[str(data)](split)
    if is_tfds(data):
        return read_tfds(str(data), split, errors)
    path = Path(data)
    return _open_section(path, _read_toml(path), split, errors)


def split_names(data: str | Path) -> tuple[str, ...]:
    """The names of a data set's splits, in the order of its file. Raises ValueError for a file that describes none."""
    if _is_builtin(data):
        return ("train", "val")
    if is_tfds(data):
        return tfds_splits(str(data))
    path = Path(data)
    content = _read_toml(path)
    kind = _format(path, content)
    _classes(path, content)
    sections = tuple(_sections(path, content, kind))
    if not sections:
        raise ValueError(f"{path}: there is no section, such as [train]")
    return sections


def name_of_data(data: str) -> str:
    """A short name for a data set: the name of its TOML file, or TFDS's name without the version."""
    if is_tfds(data):
        parts = Path(data.removeprefix(PREFIX)).parts
        return next((part for part in reversed(parts) if not re.fullmatch(r"[\d.]+\.\d+", part)), "tfds")
    return Path(data).stem


def open_for_model(data: str | Path, split: str, classes: Sequence[str], model: Path) -> Dataset:
    """Opens one split of a data set for the model in the file `model`, which has the given classes.

    Raises ValueError as `open_dataset` does, and if the data set's classes differ or the split has no pictures.
    """
    dataset = open_dataset(data, split)
    if tuple(dataset.classes) != tuple(classes):
        raise ValueError(
            f"{data}: its classes ({', '.join(dataset.classes)}) differ from those of {model} ({', '.join(classes)})"
        )
    require_pictures(data, split, dataset)
    return dataset


def open_train_and_val(data: str | Path) -> tuple[Dataset, Dataset | None]:
    """Opens the splits "train" and "val" of a data set; None if it has no "val".

    Raises ValueError as `open_dataset` and `require_trainable` do.
    """
    train = open_dataset(data, "train")
    val = open_dataset(data, "val") if "val" in split_names(data) else None
    require_trainable(data, train, val)
    return train, val


def open_splits(data: str | Path) -> dict[str, Dataset]:
    """Opens every split of a data set, by name.

    Raises ValueError as `open_dataset` does, and if a split has no pictures or its classes differ from the first's.
    """
    names = split_names(data)
    splits = {name: open_dataset(data, name) for name in names}
    for name, dataset in splits.items():
        require_pictures(data, name, dataset)
        _require_same_classes(data, (names[0], splits[names[0]]), (name, dataset))
    return splits


def require_trainable(data: str | Path, train: Dataset, val: Dataset | None) -> None:
    """Raises ValueError if a split has no pictures, `train` has no objects, or the classes of the two differ."""
    require_pictures(data, "train", train)
    if not any(len(train.sample(index).objects) for index in range(len(train))):
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
    path = Path(data)
    content = _read_toml(path)
    if _format(path, content) != "coco":
        return None
    section = _section(path, content, split, "coco")
    return path.parent / section["images"], path.parent / section["annotations"], _classes(path, content)


def _is_builtin(data: str | Path) -> bool:
    return str(data) in _BUILT_IN


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"{path}: neither a file nor the name of a built-in data set (there are: {listed(list(_BUILT_IN))})"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error


def _open_section(path: Path, content: dict[str, Any], split: str, errors: ErrorPolicy) -> Dataset:
    folder, kind, classes = path.parent, _format(path, content), _classes(path, content)
    options = _options(path, content, _OPTIONS.get(kind, {}))
    section = _section(path, content, split, kind)
    if kind == "voc":
        return read_voc(folder / section["root"], section["split"], classes, errors)
    images, annotations = folder / section["images"], folder / section["annotations"]
    if kind == "coco":
        return read_coco(images, annotations, classes, errors)
    return read_cocotext(images, annotations, section["split"], classes, **options, errors=errors)


def _format(path: Path, content: dict[str, Any]) -> str:
    if "format" not in content:
        raise ValueError(f"{path}: 'format' is missing; it should be one of: {listed(list(_SECTION_KEYS))}")
    kind = content["format"]
    if not isinstance(kind, str) or kind not in _SECTION_KEYS:
        raise ValueError(f"{path}: no such format: {kind!r}; there are: {listed(list(_SECTION_KEYS))}")
    return kind


def _classes(path: Path, content: dict[str, Any]) -> list[str] | None:
    classes = content.get("classes")
    if classes is None:
        return None
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path}: 'classes' should be a list of at least one string, but is {classes!r}")
    return classes


def _options(path: Path, content: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    options = {key: content[key] for key in kinds if key in content}
    for key, value in options.items():
        if kinds[key] is bool and not isinstance(value, bool):
            raise ValueError(f"{path}: '{key}' should be true or false, but is {value!r}")
        if kinds[key] is float and (type(value) not in (int, float) or not 0 <= value <= 1):
            raise ValueError(f"{path}: '{key}' should be a number from 0 to 1, but is {value!r}")
    return options


def _sections(path: Path, content: dict[str, Any], kind: str) -> dict[str, dict]:
    known = ["format", "classes", *_OPTIONS.get(kind, {})]
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    if unknown := [key for key in content if key not in {*known, *sections}]:
        raise ValueError(f"{path}: unknown key: {listed(unknown)}; there are: {listed(known)} and sections")
    return sections


def _section(path: Path, content: dict[str, Any], split: str, kind: str) -> dict[str, str]:
    keys, sections = _SECTION_KEYS[kind], _sections(path, content, kind)
    if split not in sections:
        raise ValueError(f"{path}: there is no section [{split}]; there are: {listed(list(sections)) or 'none'}")
    section = sections[split]
    if unknown := [key for key in section if key not in keys]:
        raise ValueError(f"{path}: [{split}] has an unknown key: {listed(unknown)}; there are: {listed(keys)}")
    for key in keys:
        if not isinstance(section.get(key), str):
            wrong = f"should be a string, but is {section[key]!r}" if key in section else "is missing"
            raise ValueError(f"{path}: '{key}' of [{split}] {wrong}")
    return section


def _require_same_classes(data: str | Path, one: tuple[str, Dataset], other: tuple[str, Dataset]) -> None:
    (a, b), (in_a, in_b) = (one[0], other[0]), (tuple(one[1].classes), tuple(other[1].classes))
    if in_a == in_b:
        return
    only_a, only_b = ([name for name in x if name not in y] for x, y in ((in_a, in_b), (in_b, in_a)))
    if only_a or only_b:
        difference = f"only in [{a}]: {listed(only_a) or 'none'}; only in [{b}]: {listed(only_b) or 'none'}"
    else:
        difference = f"the same names in a different order: {listed(in_a)} and {listed(in_b)}"
    raise ValueError(f"{data}: the classes of [{a}] and [{b}] differ: {difference}")
