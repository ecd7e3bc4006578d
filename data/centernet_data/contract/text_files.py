"""Text files that people write, with any editor."""

import codecs
from pathlib import Path


def read_text(path: Path, kind: str = "a text file") -> str:
    """Reads a text file in UTF-8, or in UTF-16 if it begins with that byte order mark; a mark and the kind of line ends
    are no part of the text. Raises ValueError, naming the file, for anything else: it is not `kind`."""
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not {kind}: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file as `read_text` reads it, without blanks around them; empty ones too, so that a line's
    place in the list tells its number. Raises ValueError as `read_text` does."""
    return [line.strip() for line in read_text(path).split("\n")]
