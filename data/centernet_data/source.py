"""From the name of a data set, or the TOML file that describes it, to its splits."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

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
_OPTIONS = {"cocotext": {"ignore_illegible": bool, "least_area": float}}  # what only one format has


def open_dataset(data: str | Path, split: str, errors: ErrorPolicy = RAISE) -> Dataset:
    """One split of a data set: of a generated one ("shapes", "scene-text"), of one that TFDS keeps ("tfds:" and its
    name or its folder), or of one that a TOML file describes:

        format = "coco"              # or "cocotext" or "voc"
        classes = ["person"]         # optional: these alone, in this order
        [train]                      # one section per split
        images = "images"            # paths start from the TOML file's folder
        annotations = "train.json"   # for "voc" instead: root = "VOC2007" and split = "train"

    "cocotext" takes a `split` too, and two options beside `classes`: ignore_illegible = true and least_area = 0.001.
    ValueError, naming the file and the record, for anything wrong in the TOML file or in what it points to; what is
    wrong with one record alone goes to `errors`.
    """
    if _is_builtin(data):
        return _BUILT_IN[str(data)](split)
    if is_tfds(data):
        return read_tfds(str(data), split, errors)
    path = Path(data)
    return _open_section(path, _read_toml(path), split, errors)


def split_names(data: str | Path) -> tuple[str, ...]:
    """The splits that a data set has, in the order of its file. ValueError for a file that describes none."""
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
    """A short name for a data set: that of its TOML file, or TFDS's without the version."""
    if is_tfds(data):
        parts = Path(data.removeprefix(PREFIX)).parts
        return next((part for part in reversed(parts) if not re.fullmatch(r"[\d.]+\.\d+", part)), "tfds")
    return Path(data).stem


def open_for_model(data: str | Path, split: str, classes: Sequence[str], model: Path) -> Dataset:
    """One split of a data set whose classes are those of the model in the file `model`.

    ValueError as from `open_dataset`, and if the classes differ or the split is without pictures.
    """
    dataset = open_dataset(data, split)
    if tuple(dataset.classes) != tuple(classes):
        raise ValueError(
            f"{data}: its classes ({', '.join(dataset.classes)}) are not those of {model} ({', '.join(classes)})"
        )
    require_pictures(data, split, dataset)
    return dataset


def open_train_and_val(data: str | Path) -> tuple[Dataset, Dataset | None]:
    """The splits "train" and "val" of a data set; None if it has no "val".

    ValueError as from `open_dataset`, and if a split is without pictures, the training split without objects, or
    the classes of the two differ.
    """
    train = open_dataset(data, "train")
    val = open_dataset(data, "val") if "val" in split_names(data) else None
    require_trainable(data, train, val)
    return train, val


def require_trainable(data: str | Path, train: Dataset, val: Dataset | None) -> None:
    """ValueError as `open_train_and_val` says, for splits that are open already."""
    require_pictures(data, "train", train)
    if not any(len(train.sample(index).objects) for index in range(len(train))):
        raise ValueError(f"{data}: [train] has no object in any of its {len(train)} pictures")
    if val is not None:
        require_pictures(data, "val", val)
        _require_same_classes(data, ("train", train), ("val", val))


def coco_section(data: str | Path, split: str) -> tuple[Path, Path, list[str] | None] | None:
    """The folder of pictures, the COCO file and the chosen classes of a split; None for a split of another format.

    ValueError as from `open_dataset` for anything wrong in the TOML file.
    """
    if _is_builtin(data) or is_tfds(data):
        return None
    path = Path(data)
    content = _read_toml(path)
    if _format(path, content) != "coco":
        return None
    images, annotations = _section(path, content, split, "coco")
    return path.parent / images, path.parent / annotations, _classes(path, content)


def open_splits(data: str | Path) -> dict[str, Dataset]:
    """Every split of a data set, by name.

    ValueError as from `open_dataset`, and if a split is without pictures, or its classes are not those of the first.
    """
    names = split_names(data)
    splits = {name: open_dataset(data, name) for name in names}
    for name, dataset in splits.items():
        require_pictures(data, name, dataset)
        _require_same_classes(data, (names[0], splits[names[0]]), (name, dataset))
    return splits


def _is_builtin(data: str | Path) -> bool:
    return str(data) in _BUILT_IN


def _read_toml(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise ValueError(
            f"{path}: neither a file nor the name of a built-in data set (there are: {listed(list(_BUILT_IN))})"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error


def _open_section(path: Path, content: dict[str, object], name: str, errors: ErrorPolicy) -> Dataset:
    kind, classes = _format(path, content), _classes(path, content)
    options = _options(path, content, _OPTIONS.get(kind, {}))
    first, second, *rest = _section(path, content, name, kind)
    if kind == "coco":
        return read_coco(path.parent / first, path.parent / second, classes, errors)
    if kind == "cocotext":
        return read_cocotext(path.parent / first, path.parent / second, *rest, classes, **options, errors=errors)
    return read_voc(path.parent / first, second, classes, errors)


def _format(path: Path, content: dict[str, object]) -> str:
    if "format" not in content:
        raise ValueError(f"{path}: 'format' is missing; it says one of: {listed(list(_SECTION_KEYS))}")
    kind = content["format"]
    if not isinstance(kind, str) or kind not in _SECTION_KEYS:
        raise ValueError(f"{path}: no such format: {kind!r}; there are: {listed(list(_SECTION_KEYS))}")
    return kind


def _classes(path: Path, content: dict[str, object]) -> list[str] | None:
    classes = content.get("classes")
    if classes is None:
        return None
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path}: 'classes' should be a list of at least one string, but is {classes!r}")
    return classes


def _options(path: Path, content: dict[str, object], kinds: dict[str, type]) -> dict[str, bool | float]:
    options = {key: content[key] for key in kinds if key in content}
    for key, value in options.items():
        if kinds[key] is bool and not isinstance(value, bool):
            raise ValueError(f"{path}: '{key}' should be true or false, but is {value!r}")
        if kinds[key] is float and (type(value) not in (int, float) or not 0 <= value <= 1):
            raise ValueError(f"{path}: '{key}' should be a share from 0 to 1, but is {value!r}")
    return options


def _sections(path: Path, content: dict[str, object], kind: str) -> dict[str, dict]:
    known = ["format", "classes", *_OPTIONS.get(kind, {})]
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    if unknown := [key for key in content if key not in {*known, *sections}]:
        raise ValueError(f"{path}: unknown key: {listed(unknown)}; there are: {listed(known)} and sections")
    return sections


def _section(path: Path, content: dict[str, object], name: str, kind: str) -> list[str]:
    keys, sections = _SECTION_KEYS[kind], _sections(path, content, kind)
    if name not in sections:
        raise ValueError(f"{path}: there is no section [{name}]; there are: {listed(list(sections)) or 'none'}")
    section = sections[name]
    if unknown := [key for key in section if key not in keys]:
        raise ValueError(f"{path}: [{name}] has an unknown key: {listed(unknown)}; there are: {listed(keys)}")
    for key in keys:
        if not isinstance(section.get(key), str):
            wrong = f"should be a string, but is {section[key]!r}" if key in section else "is missing"
            raise ValueError(f"{path}: '{key}' of [{name}] {wrong}")
    return [section[key] for key in keys]


def require_pictures(data: str | Path, name: str, dataset: Dataset) -> None:
    """ValueError if the split `name` is without pictures."""
    if len(dataset) == 0:
        raise ValueError(f"{data}: [{name}] has no pictures")


def _require_same_classes(data: str | Path, one: tuple[str, Dataset], other: tuple[str, Dataset]) -> None:
    (a, b), (in_a, in_b) = (one[0], other[0]), (tuple(one[1].classes), tuple(other[1].classes))
    if in_a == in_b:
        return
    only_a, only_b = ([name for name in x if name not in y] for x, y in ((in_a, in_b), (in_b, in_a)))
    if only_a or only_b:
        difference = f"only in [{a}]: {listed(only_a) or 'none'}; only in [{b}]: {listed(only_b) or 'none'}"
    else:
        difference = f"the same names in another order: {listed(in_a)} against {listed(in_b)}"
    raise ValueError(f"{data}: the classes of [{a}] and [{b}] differ: {difference}")
