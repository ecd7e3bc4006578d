"""Picture files: decodes them as a viewer shows them, and rejects damaged ones."""

import io
import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from centernet_data.contract.messages import one_line
from centernet_data.imaging.jpeg import can_reduce, decode_jpeg, require_whole_cmyk

DARK_BELOW = 2**14  # 16-bit levels: a quarter of the range

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "JPEG2000": ".jp2", "TIFF": ".tif"}  # others: the format's own name

_TURN_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(path: str | Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a picture file as uint8 RGB, as a viewer shows it.

    Applies EXIF orientation, lays transparency over white, scales 16-bit grey down to 8 bits, and takes the first frame
    of an animation. With a `reduction` r of 2, 4 or 8, each pixel averages a block of r x r pixels; blocks may extend
    past the right and lower edges. Raises ValueError, naming the file, for anything but a complete picture; warns of
    16-bit grey that is nearly black because its levels use fewer bits.
    """
    content = picture_content(path)
    if wrong := dark_levels(content):
        with _one_line_errors(path):  # where warnings are errors
            warnings.warn(f"{path}: {wrong}", stacklevel=2)
    return decode_picture(content, path, reduction)


def picture_content(path: str | Path) -> bytes:
    """Reads a picture file's bytes. Raises ValueError, naming it, if it is missing, empty, a folder or unreadable."""
    path = Path(path)
    try:
        if content := path.read_bytes():
            return content
    except OSError:
        pass
    _require_content(path)
    with _one_line_errors(path):
        return path.read_bytes()


def decode_picture(content: bytes, where: str | Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a picture file's content, as `read_picture` does; `where` starts the messages of its ValueErrors."""
    # Given a path, Pillow maps uncompressed TIFFs into memory and garbles those with an orientation of 5 to 8.
    with _one_line_errors(where), Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):  # Pillow's warning does not name the file
            text = f"{where}: a very large picture, {image.width} x {image.height} pixels"
            warnings.warn(text, Image.DecompressionBombWarning, stacklevel=2)
        return _pixels(image, content, reduction)


def image_pixels(image: Image.Image, where: str) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a Pillow image, converted as `read_picture` does it, but not turned; `where` starts the messages of
    its ValueErrors."""
    with _one_line_errors(where):
        return np.array(_rgb(image))


def image_orientation(image: Image.Image) -> int:
    """A Pillow image's EXIF orientation, 1 (upright) to 8; 1 for a number that is none."""
    return orientation if (orientation := _orientation(image)) in _TURN_UPRIGHT else 1


def decoding_threads() -> ThreadPoolExecutor:
    """Threads for decoding many pictures, one per processor core: the decoders release the GIL while they decode."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores or 1)


def average_blocks(picture: UInt8[np.ndarray, "h w 3"], rows: int, columns: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The means of blocks of `rows` by `columns` pixels; the picture's edge is repeated to fill the last blocks."""
    if rows == columns == 1:
        return picture
    height, width = -(-picture.shape[0] // rows), -(-picture.shape[1] // columns)
    below, beside = height * rows - picture.shape[0], width * columns - picture.shape[1]
    if below or beside:
        picture = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def upright_size(content: bytes, where: str) -> tuple[int, int]:
    """The (height, width) that `decode_picture` gives, read from the header. Raises ValueError, naming `where`."""
    with _one_line_errors(where), Image.open(io.BytesIO(content)) as image:
        if _orientation(image) not in (5, 6, 7, 8):
            return image.height, image.width
        if image.format == "TIFF":  # only some versions of Pillow rotate the size when they open a TIFF
            return _pixels(image, content, reduction=1).shape[:2]
        return image.width, image.height


def upright_size_of_file(path: Path) -> tuple[int, int]:
    """The (height, width) of the picture in a file, as `upright_size` reads it. Raises ValueError, naming the file."""
    _require_content(path)
    with _one_line_errors(path):
        with path.open("rb") as file, Image.open(file) as image:
            if _orientation(image) not in (5, 6, 7, 8):
                return image.height, image.width
        return upright_size(path.read_bytes(), str(path))


def exif_orientation(content: bytes) -> int:
    """A picture file's EXIF orientation, 1 (upright) to 8; 1 for anything that is not a picture."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _orientation(image)
    except Exception:  # `decode_picture` reports what is wrong
        return 1


def dark_levels(content: bytes) -> str:
    """What is wrong with a picture file of 16-bit grey whose levels all are in the lowest quarter; otherwise empty.

    Cameras of 10 to 14 bits often write their levels as they are. They are not scaled here by what a picture contains:
    pictures of one data set would then be scaled differently.
    """
    if content.startswith(b"\xff\xd8"):  # JPEG: nearly all pictures are, and it has 8 bits
        return ""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if not _is_16_bit(image):
                return ""
            highest = int(np.asarray(image).max())
    except Exception:  # `decode_picture` reports what is wrong
        return ""
    if not 0 < highest < DARK_BELOW:
        return ""
    factor = 65536 // 2 ** max(8, highest.bit_length())
    return (
        f"its 16-bit levels end at {highest} of 65535, so it is dark or black here; if its levels have fewer bits, "
        f"multiply them (by {factor}) and save it again"
    )


def picture_suffix(content: bytes, where: str) -> str:
    """The suffix for a picture file's content, such as ".jpg". Raises ValueError, naming `where`, for other content."""
    with _one_line_errors(where), Image.open(io.BytesIO(content)) as image:
        return _SUFFIXES.get(image.format or "", f".{(image.format or 'png').lower()}")


def _pixels(image: Image.Image, content: bytes, reduction: int) -> UInt8[np.ndarray, "h w 3"]:
    pixels = _jpeg_pixels(image, content, reduction)
    if pixels is None:
        image.load()
        pixels = average_blocks(_upright(np.array(_rgb(image)), _orientation(image)), reduction, reduction)
    return pixels


def _jpeg_pixels(image: Image.Image, content: bytes, reduction: int) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decodes a JPEG with simplejpeg, which gives the same pixels as Pillow in a fifth of the time (0.8 instead of 4 ms
    for 640 x 480 pixels), can reduce while decoding, and notices what is damaged. None for what Pillow must decode."""
    if image.format not in ("JPEG", "MPO"):  # MPO: a JPEG followed by others, as telephones write
        return None
    if image.mode == "CMYK":
        require_whole_cmyk(content)
    if image.mode not in ("L", "RGB"):
        return None
    orientation, whole_blocks = _orientation(image), not (image.width % reduction or image.height % reduction)
    # Reduced before rotation, the partial blocks would be at the wrong edge.
    at_once = reduction if can_reduce(image.height, image.width) and (orientation == 1 or whole_blocks) else 1
    pixels = decode_jpeg(content, at_once)
    if pixels is None:
        return None
    return average_blocks(_upright(pixels, orientation), reduction // at_once, reduction // at_once)


@contextmanager
def _one_line_errors(where: str | Path) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        raise ValueError(f"{where}: not an image file, or its header is damaged") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = one_line(error).partition(",")[0]  # the rest speaks of an attack
        raise ValueError(f"{where}: the picture is too large: {limit}") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError and others
        raise ValueError(f"{where}: the picture cannot be decoded: {one_line(error)}") from error


def _require_content(path: Path) -> None:
    try:
        if not path.exists():
            raise ValueError(f"{path}: the file does not exist")
    except OSError as error:  # such as too long a name
        raise ValueError(f"{path}: {error.strerror}") from error
    if path.is_dir():
        raise ValueError(f"{path}: a folder, not a picture")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")


def _rgb(image: Image.Image) -> Image.Image:
    if _is_16_bit(image):
        return _eight_bit(image).convert("RGB")
    if image.mode in ("I", "F"):  # Pillow would clip values at 255
        raise ValueError(f"the range of its 32-bit grey levels (Pillow's mode {image.mode}) is unknown")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _is_16_bit(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _eight_bit(image: Image.Image) -> Image.Image:
    levels = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # viewers ignore an unreadable EXIF block too
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TURN_UPRIGHT else 1  # 0, 9: unknown


def _upright(pixels: UInt8[np.ndarray, "h w 3"], orientation: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    turn = _TURN_UPRIGHT.get(orientation)
    return pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn))
