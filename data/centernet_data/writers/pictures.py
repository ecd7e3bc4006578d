"""The picture files of a data set that is written: their names in its folder, copies of them, and links to them."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from centernet_data.contract.messages import duplicates
from centernet_data.imaging.decoding import picture_suffix
from centernet_data.imaging.encoding import write_picture
from centernet_data.imaging.finding import PICTURE_SUFFIXES
from centernet_data.writers.parts import Part

Place = Callable[[Part, int, Path], None]  # writes the file of a part's picture, by its index, to a path

RENAMED = "pictures with another name than before, because a file cannot have theirs, or another picture has it"


def file_names(part: Part, by_stem: bool = False, avoid: str = "") -> list[str]:
    """A name for the file of each picture: a path with "/" inside a folder, with a suffix of pictures.

    These are the pictures' own names, sub-folders included, as far as files beneath one folder can have them on any
    system and in any list of names: no "..", no outer blanks or points, no control characters. Two pictures have one
    name only if they are one file; with `by_stem`, for formats that have a file of annotations for each picture, no two
    have a name that differs in its suffix only. The second is then called NAME-2. A folder called `avoid` gets
    another name.
    """
    found: dict[str, Path | None] = {}
    names = []
    for index in range(len(part)):
        own, source = _possible_name(part, index, avoid), part.path(index)
        name, number = own, 1
        while (key := _key(name, by_stem)) in found and (by_stem or source is None or found[key] != source):
            number += 1
            name = f"{own.with_suffix('')}-{number}{own.suffix}"
        found[key] = source
        names.append(str(name))
    return names


def file_names_in_one_folder(splits: Mapping[str, Part]) -> dict[str, list[str]]:
    """The `file_names` by stem of several splits, for one folder: where two splits have a name in common, each split's
    are in a sub-folder with its name."""
    names = {split: file_names(part, by_stem=True) for split, part in splits.items()}
    keys = [key for own in names.values() for key in {_key(name, True) for name in own}]
    if not duplicates(keys):
        return names
    return {split: [f"{split}/{name}" for name in own] for split, own in names.items()}


def renamed(part: Part, names: Sequence[str]) -> list[str]:
    """The note that says how many pictures have another name than before; none if all have theirs."""
    count = sum(part.sample(index).name not in (name, _stem(name)) for index, name in enumerate(names))
    return [f"{RENAMED}: {count}"] * bool(count)


def require_files(data: str, splits: Mapping[str, Part]) -> None:
    """Raises ValueError unless the pictures of a data set are files that links can lead to."""
    if any(part.path(0) is None for part in splits.values()):
        raise ValueError(f"{data}: --link: its pictures are in no files of their own; copy them without it")


def place_picture(part: Part, index: int, path: Path, link: bool) -> None:
    """Writes a picture's file to `path`, unless it is there: byte for byte; a rendered picture as PNG; with `link`, a
    symbolic link to its file with an absolute target. Raises ValueError for a picture that cannot be read."""
    if path.is_symlink() or path.exists():  # one file, listed twice
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if link and (source := part.path(index)) is not None:
        path.symlink_to(source.resolve())
    elif (content := part.content(index)) is None:
        write_picture(path, part.picture(index))
    else:
        path.write_bytes(content)


def _possible_name(part: Part, index: int, avoid: str) -> PurePosixPath:
    name = part.sample(index).name
    *folders, last = map(_possible, _parts_inside(name))
    path = PurePosixPath(*(f"{folder}_" if folder == avoid else folder for folder in folders), last)
    stem, suffix = (path.stem, path.suffix) if path.suffix.lower() in PICTURE_SUFFIXES else (path.name, "")
    if part.path(index) is None and part.content(index) is None:
        suffix = ".png"
    elif not suffix:
        suffix = picture_suffix(part.content(index) or b"", name)
    return path.with_name(f"{stem.strip()}{suffix}")


def _parts_inside(name: str) -> list[str]:
    """A name's folders and its last part; the last part only if the folders are elsewhere."""
    parts = [one for one in name.replace("\\", "/").split("/") if one not in ("", ".")]
    elsewhere = name.startswith(("/", "\\")) or ".." in parts or (parts and parts[0].endswith(":"))
    return (parts[-1:] if elsewhere else parts) or ["picture"]


def is_unwritable(character: str) -> bool:
    """Whether XML or a list of names cannot hold a character: controls, half characters, ends of lines, and U+FFFE."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in "\ufffe\uffff"


def _possible(name: str) -> str:
    """The part of a path with "_" for each character that a list of names, or XML, cannot hold."""
    plain = "".join("_" if is_unwritable(one) else one for one in name).strip()
    return f"_{plain[1:]}" if plain.startswith(".") else plain or "_"


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _key(name: PurePosixPath | str, by_stem: bool) -> str:
    return unicodedata.normalize("NFC", _stem(str(name)) if by_stem else str(name))
