"""What `centernet data fetch` does."""

import json
from importlib import resources
from pathlib import Path

from rich.console import Console

from centernet.commands.known_data import KNOWN_DATA, Archive, KnownData
from centernet.download import Remote, download
from centernet.lock import only_writer
from centernet.unpack import unpack
from centernet_data.contract.files import is_taken, remove_unfinished, write_text
from centernet_data.contract.text_files import read_text

IMAGES, ANNOTATIONS = "images", "instances.json"  # of a data set of single pictures


def describe(name: str, out: Path, console: Console) -> None:
    """Prints a data set's addresses with their sizes, its terms of use, and its TOML file."""
    known = KNOWN_DATA[name]
    lines = [known.title, f"terms of use: {known.terms}", ""]
    for archive in known.archives:
        lines.append(f"{archive.remote.address} ({_what_is_known(archive.remote)})")
        lines.append(f"  unpacked to {out / archive.folder}")
    if pictures := _pictures(known):
        size = sum(picture.size or 0 for picture in pictures)
        lines += [picture.address for picture in pictures]
        lines.append(f"  {len(pictures)} files, {_in_words(size)} together, to {out / IMAGES}")
    lines += ["", f"{_toml_path(name, out)}:", *(f"  {line}" for line in known.toml.splitlines()), ""]
    console.print("\n".join(lines), soft_wrap=True)


def fetch(name: str, out: Path, console: Console) -> None:
    """Fetches a data set into the folder `out`, as far as it is not there yet, and prints the command to train on it.

    Raises ValueError as `download` and `unpack` do, and if another process is writing there.
    """
    known, toml = KNOWN_DATA[name], _toml_path(name, out)
    with only_writer(out):
        remove_unfinished(out)
        for archive in known.archives:
            _fetch_archive(archive, out, console)
        if pictures := _pictures(known):
            download(pictures, out / IMAGES, console)
            _write_ours(out / ANNOTATIONS, _packaged(known), console)
        _write_ours(toml, known.toml, console)
    console.print(f"ready: centernet train {known.options} --data {toml}", soft_wrap=True)


def _fetch_archive(archive: Archive, out: Path, console: Console) -> None:
    folder = out / archive.folder
    if is_taken(folder):  # whole: it was renamed when all was in it
        console.print(f"{folder}: is there already", soft_wrap=True)
        return
    fetched = download([archive.remote], out, console)
    done = unpack(out / archive.remote.name, archive.inside, folder, console)
    others = f"; {done.left_out:,} others of the archive left out" if done.left_out else ""
    console.print(f"{folder}: {done.files:,} files{others}", soft_wrap=True)
    for path in fetched:
        path.unlink()


def _write_ours(path: Path, text: str, console: Console) -> None:
    """Writes a file of this project; one that is there already and says something else stays, which is said."""
    if not is_taken(path):
        write_text(path, text)
    elif not path.is_file() or read_text(path) != text:
        console.print(f"{path}: is there already with other content; kept as it is", soft_wrap=True)


def _pictures(known: KnownData) -> list[Remote]:
    """The single pictures of a data set that has no archive."""
    if known.pictures_of is None:
        return []
    records = json.loads(_packaged(known))["images"]
    return [Remote(record["coco_url"], record["sha256"], record["bytes"]) for record in records]


def _packaged(known: KnownData) -> str:
    return resources.files("centernet_data").joinpath(str(known.pictures_of)).read_text(encoding="utf-8")


def _toml_path(name: str, out: Path) -> Path:
    return out / f"{name}.toml"


def _what_is_known(remote: Remote) -> str:
    size = "size not published" if remote.size is None else _in_words(remote.size)
    return f"{size}, {'no hash published' if remote.sha256 is None else f'SHA-256 {remote.sha256}'}"


def _in_words(size: int) -> str:
    """A number of bytes as people say it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
