"""From the name of a data set, or the TOML file that describes it, to its splits."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from centernet_data.boxes import listed
from centernet_data.coco import read_coco
from centernet_data.dataset import Dataset
from centernet_data.shapes import SPLIT_NUMBERS, ShapesDataset
from centernet_data.tfds_data import has_split, is_tfds, read_tfds
from centernet_data.voc import read_voc

_SECTION_KEYS = {"coco": ("images", "annotations"), "voc": ("root", "split")}


def open_dataset(data: str | Path, split: str) -> Dataset:
    """One split of a data set: of the generated one named "shapes", of one that TFDS keeps ("tfds:" and its name or
    its folder), or of one that a TOML file describes:

        format = "coco"              # or "voc"
        classes = ["person"]         # optional: these alone, in this order
        [train]                      # one section per split
        images = "images"            # paths start from the TOML file's folder
        annotations = "train.json"   # for "voc" instead: root = "VOC2007" and split = "train"

    ValueError, naming the file and the record, for anything wrong in the TOML file or in what it points to.
    """
    if _is_builtin(data):
        return ShapesDataset(split)
    if is_tfds(data):
        return read_tfds(str(data), split)
    path = Path(data)
    return _open_section(path, _read_toml(path), split)


def open_for_model(data: str | Path, split: str, classes: Sequence[str], model: Path) -> Dataset:
    """One split of a data set whose classes are those of the model in the file `model`.

    ValueError as from `open_dataset`, and if the classes differ or the split is without pictures.
    """
    dataset = open_dataset(data, split)
    if tuple(dataset.classes) != tuple(classes):
        raise ValueError(
            f"{data}: its classes ({', '.join(dataset.classes)}) are not those of {model} ({', '.join(classes)})"
        )
    _require_pictures(data, split, dataset)
    return dataset


def open_train_and_val(data: str | Path) -> tuple[Dataset, Dataset | None]:
    """The splits "train" and "val" of a data set; None if it has no "val".

    ValueError as from `open_dataset`, and if a split is without pictures, the training split without objects, or
    the classes of the two differ.
    """
    train = open_dataset(data, "train")
    val = open_dataset(data, "val") if _has_val(data) else None
    _require_pictures(data, "train", train)
    if not any(len(train.sample(index).objects) for index in range(len(train))):
        raise ValueError(f"{data}: [train] has no object in any of its {len(train)} pictures")
    if val is not None:
        _require_pictures(data, "val", val)
        _require_same_classes(data, ("train", train), ("val", val))
    return train, val


def open_splits(data: str | Path) -> dict[str, Dataset]:
    """Every split of the built-in data set or of a TOML file, by name.

    ValueError as from `open_dataset`, and if a split is without pictures, or its classes are not those of the first.
    """
    names = list(SPLIT_NUMBERS) if _is_builtin(data) else _section_names(_read_toml(Path(data)))
    if not names:
        raise ValueError(f"{data}: there is no section in it")
    splits = {name: open_dataset(data, name) for name in names}
    for name, dataset in splits.items():
        _require_pictures(data, name, dataset)
        _require_same_classes(data, (names[0], splits[names[0]]), (name, dataset))
    return splits


def _is_builtin(data: str | Path) -> bool:
    return str(data) == "shapes"


def _has_val(data: str | Path) -> bool:
    if is_tfds(data):
        return has_split(str(data), "val")
    return _is_builtin(data) or "val" in _read_toml(Path(data))


def _section_names(content: dict[str, object]) -> list[str]:
    return [key for key, value in content.items() if isinstance(value, dict)]


def _read_toml(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise ValueError(f"{path}: neither a file nor the name of a built-in data set (there is: shapes)")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error


def _open_section(path: Path, content: dict[str, object], name: str) -> Dataset:
    kind, classes = _format(path, content), _classes(path, content)
    first, second = _section(path, content, name, _SECTION_KEYS[kind])
    if kind == "coco":
        return read_coco(path.parent / first, path.parent / second, classes)
    return read_voc(path.parent / first, second, classes)


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
        raise ValueError(f"{path}: 'classes' should be a list of at least one text, but is {classes!r}")
    return classes


def _section(path: Path, content: dict[str, object], name: str, keys: Sequence[str]) -> list[str]:
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    if unknown := [key for key in content if key not in {"format", "classes", *sections}]:
        raise ValueError(f"{path}: unknown key: {listed(unknown)}; there are: format, classes and sections")
    if name not in sections:
        raise ValueError(f"{path}: there is no section [{name}]; there are: {listed(list(sections)) or 'none'}")
    section = sections[name]
    if unknown := [key for key in section if key not in keys]:
        raise ValueError(f"{path}: [{name}] has an unknown key: {listed(unknown)}; there are: {listed(keys)}")
    for key in keys:
        if not isinstance(section.get(key), str):
            wrong = f"should be a text, but is {section[key]!r}" if key in section else "is missing"
            raise ValueError(f"{path}: '{key}' of [{name}] {wrong}")
    return [section[key] for key in keys]


def _require_pictures(data: str | Path, name: str, dataset: Dataset) -> None:
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
