"""JPEG: decodes every pixel of a file, or says what is damaged."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8

REDUCTIONS = (1, 2, 4, 8)

# Marker codes, ITU-T T.81 table B.1
_START, _SCAN, _END, _APP0, _APP14 = 0xD8, 0xDA, 0xD9, 0xE0, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # neither a byte 0xff of pixels nor a restart marker
_COEFFICIENTS = range(64)  # of a block
_LEAST_SIDE = 8  # pixels; below, several reductions give the same size, and the decoder would take the strongest

_UNUSUAL_SAMPLING = "Could not determine subsampling level"
_BEHIND_THE_PIXELS = re.compile(r"(\d+) extraneous bytes before marker 0xd9$")


class _Segment(NamedTuple):
    marker: int
    start: int  # of its length field
    end: int  # of its parameters: of a scan, where the pixels begin

    def parameters(self, content: bytes) -> bytes:
        return content[self.start + 2 : self.end]


def decode_jpeg(content: bytes, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decodes a grey or colour JPEG to RGB, not rotated. None for a sampling of the colours that this decoder does not
    take. `reduction` is one of `REDUCTIONS`.

    libjpeg fills what a damaged file lacks with grey, and only warns. Here each warning is a ValueError, except where
    no pixel is lost: bytes between segments, padding after the pixels, no end marker, wrong values that are not used.
    """
    try:
        pixels = _strictly(content, "RGB", reduction)
    except ValueError as error:
        if _UNUSUAL_SAMPLING in str(error):
            return None
        raise
    _require_every_scan(content)
    return pixels


def require_whole_cmyk(content: bytes) -> None:
    """Raises ValueError unless a JPEG in CMYK is complete."""
    _strictly(content, "CMYK", reduction=1)
    _require_every_scan(content)


def can_reduce(height: int, width: int) -> bool:
    """Whether `decode_jpeg` can reduce a picture of this size in pixels."""
    return min(height, width) >= _LEAST_SIDE


def _strictly(content: bytes, colours: str, reduction: int) -> UInt8[np.ndarray, "h w c"]:
    try:
        return _decode(content, colours, reduction)
    except ValueError as error:
        if _UNUSUAL_SAMPLING in str(error):
            raise
    # A decoder reports its first warning only, and a harmless one must not hide the next.
    tidied = _tidied(content)
    try:
        return _decode(tidied, colours, reduction)
    except ValueError as error:
        behind = _BEHIND_THE_PIXELS.search(str(error))
        # One byte repeated is padding; anything else are pixels that found no place, because others were read wrongly.
        if behind is None or len({*tidied[-2 - int(behind[1]) : -2]}) > 1:
            raise ValueError(f"it is damaged: {error}") from error
    return _decode(tidied, colours, reduction, strict=False)


def _decode(content: bytes, colours: str, reduction: int, strict: bool = True) -> UInt8[np.ndarray, "h w c"]:
    height = width = 0
    if reduction > 1:
        height, width = (int(side) for side in simplejpeg.decode_jpeg_header(content, strict=strict)[:2])
    return simplejpeg.decode_jpeg(
        content,
        colours,
        fastdct=False,
        fastupsample=False,
        min_height=-(-height // reduction),
        min_width=-(-width // reduction),
        min_factor=reduction,
        strict=strict,
    )


def _segments(content: bytes) -> Iterator[_Segment]:
    """The segments of the first picture in the file, up to its end marker."""
    place = content.find(bytes([0xFF, _START])) + 2
    while found := _MARKER.search(content, place):
        marker, start = found[1][0], found.end()
        if marker == _END:
            return
        place = start + max(2, int.from_bytes(content[start : start + 2], "big"))
        yield _Segment(marker, start, place)


def _require_every_scan(content: bytes) -> None:
    """Raises ValueError unless the scans together bring all coefficients of all colours, in full precision. A file cut
    off between two scans is a legal JPEG, only blurred or grey."""
    missing, progressive = {}, False
    for segment in _segments(content):
        parameters = segment.parameters(content)
        if segment.marker in _FRAMES:
            progressive = segment.marker in _PROGRESSIVE
            missing = {colour: {*_COEFFICIENTS} for colour in parameters[6::3]}
        elif segment.marker == _SCAN:
            first, last, precision = parameters[-3:] if progressive else (0, 63, 0)
            for colour in parameters[1:-3:2] if precision & 15 == 0 else ():
                missing.get(colour, set()).difference_update(range(first, last + 1))
            if not any(missing.values()):
                return
    raise ValueError("it is damaged: its last scans are missing")


def _tidied(content: bytes) -> bytes:
    """The same picture without what a decoder warns of although no pixel is lost."""
    parts, sequential = [bytes([0xFF, _START])], False
    for segment in _segments(content):
        if segment.marker in _FRAMES:
            sequential = segment.marker not in _PROGRESSIVE
        parts += [bytes([0xFF, segment.marker]), _expected(segment, content, sequential)]
        if segment.marker == _SCAN:
            parts.append(_pixels_from(content, segment.end))
    return b"".join([*parts, bytes([0xFF, _END])])


def _pixels_from(content: bytes, place: int) -> bytes:
    found = _MARKER.search(content, place)
    return content[place : found.start() if found else len(content)].rstrip(b"\xff")


def _expected(segment: _Segment, content: bytes, sequential: bool) -> bytes:
    """A segment from its length field on, with the values that a decoder expects where it uses no other."""
    values = bytearray(content[segment.start : segment.end])
    if segment.marker == _APP0 and values[2:7] == b"JFIF\0":
        values[7:8] = b"\1"  # its version
    elif segment.marker == _APP14 and values[2:7] == b"Adobe" and values[-1] > 2:
        values[-1] = 1  # its transform: YCbCr, as for any unknown one
    elif segment.marker == _SCAN and sequential:
        values[-3:] = bytes([0, 63, 0])  # the coefficients in it
    return bytes(values)
