"""Reads the long lists of a JSON file block by block, with a typed decoder: a file of half a gigabyte is never in
memory as a whole."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import msgspec

from centernet_data.readers.json_records import without_lost_values

BLOCK = 1 << 20  # bytes
_NUMBERS = b"0123456789.,- []"
TRIES = 9  # ends of a block
LONGEST = 1 << 26  # bytes of one record
_KEY = re.compile(rb'\s*"([^"\\]*)"\s*:\s*')
_NEXT_RECORD, _NEXT_KEY = re.compile(rb"\s*([,\]])"), re.compile(rb"\s*([,}])")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*("?)|[\[\]{}]')
_SIMPLE = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+')

R = TypeVar("R", bound=msgspec.Struct)


class NotPlain(Exception):
    """The file is not written as usual, or has a mistake: a reader that looks at every record can tell which."""


class Kind(Generic[R]):
    """The decoders of a list's records, and the check that no record has a key twice."""

    def __init__(self, record: type[R]):
        self.one, self.many = msgspec.json.Decoder(record), msgspec.json.Decoder(list[record])
        self._keys = [b'"%s"' % field.encode_name.encode() for field in msgspec.structs.fields(record)]

    def may_repeat_keys(self, piece: bytes, count: int) -> bool:
        """Whether one of `count` records may have a key twice; or it has an inner object with that key."""
        words = piece.translate(None, _NUMBERS)  # outlines are nine tenths of COCO's file
        return any(words.count(key) > count for key in self._keys)


def read_blocks(path: Path, kinds: Mapping[str, Kind]) -> Iterator[tuple[str, list]]:
    """Yields (key, records) for the lists under the keys of `kinds` in the object at the top of a JSON file, some
    records at a time, in the file's order. Passes over the values of other keys.

    Raises NotPlain, perhaps after some blocks, if a list is missing, if a record is not of its type, if a value is
    given twice, or if the file is not JSON in UTF-8.
    """
    with path.open("rb") as file:
        text, seen = _Text(file), set()
        text.take(b"{")
        while True:
            key = text.match(_KEY)[1].decode("utf-8", "replace")
            if key in seen:
                raise NotPlain(f"{key} is there twice")
            seen.add(key)
            if key in kinds:
                yield from ((key, records) for records in _blocks(text, kinds[key]))
            else:
                _pass_over(text)
            if text.match(_NEXT_KEY)[1] == b"}":
                break
        if text.window(BLOCK).strip() or not seen.issuperset(kinds):
            raise NotPlain("there is more after the object, or a list is missing")


def _blocks(text: "_Text", kind: Kind[R]) -> Iterator[list[R]]:
    text.take(b"[")
    if text.has(b"]"):
        return text.take(b"]")
    while True:
        yield _many(text, kind) or _one_by_one(text, kind)
        if text.match(_NEXT_RECORD)[1] == b"]":
            return


def _many(text: "_Text", kind: Kind[R]) -> list[R]:
    """The records in the next block; none if it reaches beyond the list, or if a record is longer.

    What ends with a `}` and decodes as a list's inside is a number of whole records, because no JSON object is the
    beginning of another one. What does not may end within a record, and an earlier `}` is tried.
    """
    window = text.window(BLOCK)
    end = len(window)
    for _ in range(TRIES):
        end = window.rfind(b"}", 0, end)
        if end < 0:
            break
        piece = b"[%s]" % window[: end + 1]
        if (records := _decoded(kind.many, piece)) is not None:
            if kind.may_repeat_keys(piece, len(records)):
                _require_once(piece)
            text.skip(end + 1)
            return records
    return []


def _one_by_one(text: "_Text", kind: Kind[R]) -> list[R]:
    """The next records of the list, up to its end or as many as make a block."""
    records, length = [], 0
    while True:
        record, end = _one(text, kind)
        records.append(record)
        length += end
        if length > BLOCK or not text.has(b","):
            return records
        text.take(b",")


def _one(text: "_Text", kind: Kind[R]) -> tuple[R, int]:
    """The next record, and its length in bytes."""
    size, end = 1 << 12, 0
    while True:
        window = text.window(size)
        while found := window.find(b"}", end) + 1:
            end = found
            if (record := _decoded(kind.one, window[:end])) is not None:
                _require_once(window[:end])
                text.skip(end)
                return record, end
        if len(window) < size or size > LONGEST:
            raise NotPlain("a record that does not end")
        size *= 2


def _decoded(decoder: msgspec.json.Decoder, piece: bytes):
    """What the piece holds; None if it is not JSON, most likely because it ends too early or too late. Raises NotPlain
    if it is JSON of another type."""
    try:
        return decoder.decode(piece)
    except msgspec.ValidationError as error:
        raise NotPlain(str(error)) from None
    except msgspec.DecodeError:
        return None


def _require_once(piece: bytes) -> None:
    try:
        json.loads(piece, object_pairs_hook=without_lost_values)
    except (ValueError, RecursionError) as error:
        raise NotPlain(str(error)) from None


def _pass_over(text: "_Text") -> None:
    """Passes over the next value, of any kind, which must be JSON."""
    size = BLOCK
    while True:
        window = text.window(size)
        if end := _end_of_value(window):
            _require_once(window[:end])
            return text.skip(end)
        if len(window) < size:
            raise NotPlain("a value that does not end")
        size *= 2


def _end_of_value(window: bytes) -> int:
    """Where the value ends that begins here; 0 if it is not whole."""
    if window[:1] not in (b"[", b"{"):
        simple = _SIMPLE.match(window)
        return simple.end() if simple and simple.end() < len(window) else 0
    depth = 0
    for token in _TOKEN.finditer(window):
        if token[0][:1] == b'"':
            if not token[1]:
                return 0
            continue
        depth += 1 if token[0] in b"[{" else -1
        if depth == 0:
            return token.end()
    return 0


class _Text:
    """The rest of a file, of which only a little is in memory."""

    def __init__(self, file: BinaryIO):
        self._file, self._buffer, self._begin = file, b"", 0

    def window(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end of the file."""
        if len(self._buffer) - self._begin < size:
            self._buffer = self._buffer[self._begin :] + self._file.read(2 * size)
            self._begin = 0
        return self._buffer[self._begin : self._begin + size]

    def skip(self, count: int) -> None:
        """Passes over this many bytes."""
        self._begin += count

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Passes over what the pattern matches. Raises NotPlain if it does not."""
        if not (found := pattern.match(self.window(1 << 12))):
            raise NotPlain(f"no {pattern.pattern!r}")
        self.skip(found.end())
        return found

    def has(self, mark: bytes) -> bool:
        """Whether this mark is next, after blanks."""
        return self.window(1 << 12).lstrip().startswith(mark)

    def take(self, mark: bytes) -> None:
        """Passes over blanks and this mark. Raises NotPlain if something else is next."""
        self.match(re.compile(rb"\s*" + re.escape(mark)))
