"""Reads the YAML file by which Ultralytics' programs describe a data set in YOLO's layout."""

from pathlib import Path
from typing import Any

import yaml

from centernet_data.contract.messages import listed, one_line, shown
from centernet_data.contract.text_files import read_text

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def read_yolo_yaml(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The options ("names", and "kpt_shape" if the labels have keypoints) and the sections of a data set's YAML file.

    `names` is a list, or a mapping from numbers; with `nc` alone the names are class_0, class_1, ... `train`, `val` and
    `test` are a folder, a text file that lists pictures, or several of these, relative to `path`, which is relative to
    the current folder or, if it is not there, to the file's own. What is not there is looked for without a "../" before
    it, as Roboflow's files need it, and then beside the file, where it is after the whole folder was moved. What the
    file says of downloads is never run. Raises ValueError, naming the file, for anything else; whether the folders are
    there is seen when a split is opened.
    """
    content = _content(path)
    options: dict[str, Any] = {"names": _names(path, content)}
    if (shape := content.get("kpt_shape")) is not None:
        if not (isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)):
            raise ValueError(f"{path}: 'kpt_shape' should be two positive numbers, but is {shown(shape)}")
        options["kpt_shape"] = shape
    given = {split: [key for key in keys if content.get(key)] for split, keys in SPLITS.items()}
    if several := [keys for keys in given.values() if len(keys) > 1]:
        raise ValueError(f"{path}: {listed(several[0])} say the same; one of them must go")
    if not any(given.values()):
        raise ValueError(f"{path}: there is no split; a YAML file of YOLO's has train and val, as folders of pictures")
    root = _root(path, content)
    return options, {split: {"images": _places(path, root, keys[0], content)} for split, keys in given.items() if keys}


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would lose one value."""

    def construct_mapping(self, node, deep=False):
        """The mapping of a node."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"two values for {key!r}", node.start_mark)
        return super().construct_mapping(node, deep)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(read_text(path, "YAML"), _Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:  # TypeError: a list as a key
        text = one_line(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: not YAML: {text}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: YOLO's YAML file should have keys such as train and names, not {shown(content)}")
    return content


def _names(path: Path, content: dict[str, Any]) -> list[str]:
    names, count = content.get("names"), content.get("nc")
    if count is not None and not (type(count) is int and count > 0):
        raise ValueError(f"{path}: 'nc' should be the number of classes, but is {shown(count)}")
    if names is None:
        if count is None:
            raise ValueError(f"{path}: 'names' is missing: the names of the classes 0, 1, ...")
        return [f"class_{number}" for number in range(count)]
    if isinstance(names, dict):
        keys = [int(key) if isinstance(key, str) and key.isdecimal() else key for key in names]
        if sorted(map(str, keys)) != sorted(map(str, range(len(keys)))):
            raise ValueError(f"{path}: 'names' should number the classes from 0 without gaps, but has {listed(keys)}")
        names = [name for _, name in sorted(zip(keys, names.values(), strict=True))]
    if not isinstance(names, list) or not names:
        raise ValueError(f"{path}: 'names' should be a list or a mapping of class names, but is {shown(names)}")
    for name in names:
        if isinstance(name, bool) or not isinstance(name, (str, int, float)):
            raise ValueError(f"{path}: YAML reads a class name as {name!r}; write it in quotes")
    if count is not None and count != len(names):
        raise ValueError(f"{path}: 'nc' says {count} classes, but 'names' has {len(names)}: {listed(names)}")
    return [str(name) for name in names]


def _root(path: Path, content: dict[str, Any]) -> Path:
    """The folder that the splits are relative to."""
    given = content.get("path")
    if given is None:
        return path.parent
    if not isinstance(given, str):
        raise ValueError(f"{path}: 'path' should be a folder, but is {shown(given)}")
    if "://" in given:
        raise ValueError(f"{path}: 'path' is an address, {given}; download it, and give the folder")
    places = [Path(given).absolute(), path.parent / given]
    return next((place for place in places if place.is_dir()), path.parent / given)


def _places(path: Path, root: Path, key: str, content: dict[str, Any]) -> list[str]:
    given = content[key]
    values = given if isinstance(given, list) else [given]
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{path}: '{key}' should be a folder or a list of folders, but is {shown(given)}")
    if addresses := [value for value in values if "://" in value]:
        raise ValueError(f"{path}: '{key}' is an address, {addresses[0]}; download it, and give the folder")
    return [str(_place(path, root, value).absolute()) for value in values]


def _place(path: Path, root: Path, value: str) -> Path:
    places = [root / value, root / value.removeprefix("../"), path.parent / value]
    return next((place for place in places if place.exists()), places[0])
