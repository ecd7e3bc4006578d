"""Finds files by the names that data sets give them, and says where a missing one is instead."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from centernet_data.contract.messages import listed


class NamedFiles:
    """The files in a folder and its sub-folders, by their path in it without its suffix.

    `suffixes` are in small letters, and match capital ones; accents match however they are written. Hidden files and
    folders are left out: a Mac adds a "._p0.xml" beside each p0.xml that it packs.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...]):
        self.folder = folder
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)  # stems by their last part, in small letters
        for path in visible_files(folder):
            if path.suffix.lower() in suffixes:
                stem = normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
                self._by_stem[stem].append(path)
                self._by_name[PurePosixPath(stem).name.lower()].append(stem)

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Each stem, sorted, with each of its files."""
        return ((stem, path) for stem in sorted(self._by_stem) for path in self._by_stem[stem])

    def of(self, stem: str) -> list[Path]:
        """The files of this stem; they differ in their suffixes."""
        return self._by_stem.get(normalize("NFC", stem), [])

    def similar(self, stem: str) -> list[str]:
        """Stems of files in other folders, or in other capitals."""
        return self._by_name.get(PurePosixPath(stem).name.lower(), [])


def visible_files(folder: Path) -> Iterator[Path]:
    """The files in a folder and its sub-folders, sorted, but none that is hidden or in a hidden folder."""
    seen = set()  # links may lead back
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(place, name)) not in seen
        )
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def is_there(path: Path) -> bool:
    """Whether the file exists. False for a name that no file can have, where `Path.is_file` raises."""
    try:
        return path.is_file()
    except OSError:
        return False


class PictureFiles:
    """The files that names mean in a folder, as `picture_file` finds them, but with each folder listed only once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._before = str(folder / "x")[:-1]  # a folder of "." is not written
        self._names: dict[str, set[str]] = {}

    def path(self, name: str) -> str:
        """The path of the file that `name` means."""
        inner, own = os.path.split(name)
        if inner not in self._names:
            self._names[inner] = _names_of_files(self._folder / inner)
        if own not in self._names[inner]:
            return str(picture_file(self._folder, name))
        return str(self._folder / name) if inner else self._before + own


def missing_files(paths: Sequence[str]) -> list[Path]:
    """Those of the paths that are no files. Lists each folder once, because asking a network's disk for a hundred
    thousand files one by one takes minutes."""
    folders: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _names_of_files(folder)
        if name not in folders[folder] and not is_there(Path(path)):  # a list may have other accents than were asked
            missing.append(Path(path))
    return missing


def _names_of_files(folder: str | Path) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:  # no folder, or one that may not be listed, though its files may be read
        return set()


def picture_file(folder: Path, name: str) -> Path:
    """The file that `name` means: as it is written, or else with Windows' backslashes or a URL's %20 read as such, and
    with accents as a Mac writes them, or as others do. The first of these if none exists."""
    if is_there(plain := folder / name):
        return plain
    spellings = [name, name.replace("\\", "/"), unquote(name), unquote(name).replace("\\", "/")]
    spellings += [normalize(form, spelling) for form in ("NFC", "NFD") for spelling in spellings]
    paths = [folder / spelling for spelling in dict.fromkeys(spellings)]
    return next((path for path in paths if is_there(path)), plain)


def elsewhere(missing: Path) -> str:
    """Where a missing file of a data set is instead, as the end of a sentence; empty if it is nowhere near."""
    parts = Path(unquote(str(missing)).replace("\\", "/"))
    above = [folder / parts.name for folder in list(parts.parents)[1:3]]
    if found := next((path for path in above if is_there(path)), None):
        return f"; it is there as {found}"
    try:
        if not missing.parent.is_dir():
            return f"; there is no folder {missing.parent}"
    except OSError:  # too long a name
        return ""
    near = sorted(other.name for other in missing.parent.iterdir() if other.stem.lower() == missing.stem.lower())
    return f"; it is there as {listed(near)}" if near else ""
