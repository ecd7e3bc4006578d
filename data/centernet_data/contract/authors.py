"""Whose a file is: what this project writes for people carries the name of the command that wrote it."""

import hashlib
import os
import re
from pathlib import Path

from centernet_data.contract.files import is_taken

HEAD = 4096  # bytes in which a file names its author
_FORMS = (  # of JSON, PNG and JPEG
    rb'\{\s*"written_by": "%s"',
    rb"\x89PNG.{33}tEXtSoftware\0%s",  # the first chunk after the header
    rb"\xff\xd8.{,200}\xff\xfe..%s",
)
_DETECTIONS = re.compile(rb'\[\s*(\]\s*$|\{\s*"file_name": ".*",\s*"box": \[)')  # a list, which cannot name one


def is_written_by(path: Path, author: str) -> bool:
    """Whether the file at `path` names `author`, such as "centernet eval", as `write_json` and `write_picture` do."""
    try:
        if not path.is_file() or path.is_symlink():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    if any(re.match(form % re.escape(author.encode()), head, re.DOTALL) for form in _FORMS):
        return True
    return path.name == "detections.json" and _DETECTIONS.match(head) is not None


def require_writable(path: Path | None, author: str, overwrite: bool, option: str) -> None:
    """Raises ValueError unless `author` may write the file `path`, if one is given: its folder can be written to, and
    in its place there is nothing, or a file of the same author, or with `overwrite` any file.

    `option` is the one that names the path. What is neither a file nor a link to one, such as /dev/null, is never
    replaced.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: there is no permission to write to its folder")
    if is_taken(path):
        require_replaceable(path, author, overwrite, option)


def require_replaceable(path: Path, author: str, overwrite: bool, option: str) -> None:
    """The part of `require_writable` that looks at what is in the place of the file."""
    if not os.path.lexists(path) or is_written_by(path, author):
        return
    if path.is_dir():
        raise ValueError(f"{path}: a folder, not a file; choose another {option}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: not a regular file; choose another {option}")
    if not overwrite:
        raise ValueError(
            f"{path}: there is a file that `{author}` did not write; choose another {option}, or give --overwrite"
        )


def folder_mark(folder: Path, file: str, author: str) -> str:
    """The comment by which the file of this name in `folder` names the author of the folder, and of everything else in
    it: it holds a digest of their names."""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders.sort()
        paths = [Path(place, name).relative_to(folder) for name in sorted([*folders, *files])]
        digest.update(b"".join(os.fsencode(path) + b"\0" for path in paths if path != Path(file)))
    return f"# Written by {author}, as all files here; a digest of the others' names: {digest.hexdigest()[:32]}\n"


def is_folder_written_by(folder: Path, author: str) -> bool:
    """Whether `author` wrote a folder and everything in it: a TOML file has the `folder_mark` of the rest. What
    somebody added to it or removed makes it another's."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return any(_begins_with(path, folder_mark(folder, path.name, author)) for path in folder.glob("*.toml"))


def _begins_with(path: Path, line: str) -> bool:
    with path.open("rb") as file:
        return file.read(len(line.encode())) == line.encode()
