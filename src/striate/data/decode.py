"""From an image file to 8-bit pixels, in every mode a camera, scanner or script writes.

Palette, CMYK, transparency, 16 bits and EXIF rotation are resolved here as the contract says;
whatever is wrong with a file becomes one `DataError` that names it. Pillow decides what is an
image and decodes it; only sound JPEGs in grey or colour go through simplejpeg, which gives the same
pixels in two thirds of the time, and where a part is wanted, through our own decoder. A value is
refused where nothing says which one is white: of floating-point images, and of integers that do not
fit into 16 bits.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from striate.contract import Contract
from striate.data.jpeg import Box, Header, decode_part, read_header
from striate.errors import DataError

MOST_PIXELS = 89_478_485  # a quarter of a gigabyte as RGB; where Pillow warns of a bomb

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACK = {**_TURNS, 6: _TURNS[8], 8: _TURNS[6]}  # undoes a turn
_SIXTEEN_BITS = 65535
_STRIP = 1 << 20  # pixels of a large image that are converted at a time
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # an entry of warnings.filters
_LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601-2 in 1/65536, as Pillow has it

Pixels = npt.NDArray[np.uint8]
Channels = Literal["rgb", "bgr", "grey"]


class Decoding(NamedTuple):
    """What of a contract matters for decoding; see there."""

    exif: bool = True
    background: tuple[int, int, int] = (255, 255, 255)
    sixteen_bit: Literal["high_byte", "scale"] = "high_byte"

    @classmethod
    def of(cls, contract: Contract) -> Decoding:
        """Pick it out of a contract."""
        return cls(contract.exif, contract.background, contract.sixteen_bit)


def decode(source: Path | str | bytes, contract: Contract) -> Pixels:
    """Decode an image as a contract says, at its own size.

    Args:
        source: a path, or the file's content.
        contract: channels, EXIF, background and 16-bit rule are taken from it.

    Returns:
        (height, width, channels) uint8.

    Raises:
        DataError: it is missing, empty, no image, cut short, damaged, a decompression bomb, or of
            numbers whose range nobody knows.
    """
    return to_channels(decode_as(source, Decoding.of(contract)), contract.channels)


def decode_as(
    source: Path | str | bytes, decoding: Decoding, name: Path | str = "The image"
) -> Pixels:
    """Decode an image in the channels it is stored in.

    Args:
        source: a path, or the file's content.
        decoding: what to do about EXIF, transparency and 16 bits.
        name: what an error calls an image that is given by its content.

    Returns:
        (height, width, 1) uint8 for grey, (height, width, 3) for RGB.

    Raises:
        DataError: as `decode`.
    """
    if not isinstance(source, bytes):
        name, source = source, read_bytes(source)
    header = read_header(source)
    pixels = _plain(source, header) if header is not None else None
    if pixels is not None:
        return pixels
    with _opened(source, name) as image:
        turned = _orientation(image) if image.format == "TIFF" else 1  # by Pillow, as it loads
        pixels = _jpeg(image, source)
        if pixels is None:
            image.load()
            pixels = _in_strips(image, decoding, name)
        turn = _TURNS.get(_orientation(image)) if decoding.exif else _BACK.get(turned)
        if turn is not None:
            pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
    return pixels[..., None] if pixels.ndim == 2 else pixels


class Window(NamedTuple):
    """A part of an image.

    Args:
        pixels: (height, width, channels).
        corner: its top and left in the whole image.
        size: height and width of the whole image.
    """

    pixels: Pixels
    corner: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def whole(cls, pixels: Pixels) -> Window:
        """Return the part that is everything."""
        return cls(pixels, (0, 0), (pixels.shape[0], pixels.shape[1]))


def decode_window(
    source: Path | str | bytes, box: Box, decoding: Decoding, name: Path | str = "the image"
) -> Window:
    """Decode at least a box of an image, as `decode_as` does to the bit.

    Of a plain JPEG it is the box; of anything else, and where this is faster, the whole image.

    Args:
        source: a path, or the file's content.
        box: top, left, bottom and right, for an image of the size that this one should have.
        decoding: what to do about EXIF, transparency and 16 bits.
        name: what an error calls an image that is given by its content.

    Raises:
        DataError: as `decode`.
    """
    if not isinstance(source, bytes):
        name, source = source, read_bytes(source)
    header = read_header(source)
    if header is not None and _pays(header, box):
        pixels = decode_part(source, header, box)
        if pixels is not None:
            return Window(pixels, box[:2], header.size)
    return Window.whole(decode_as(source, decoding, name))


def _pays(header: Header, box: Box) -> bool:
    """Tell whether a box is decoded faster than its whole image, by both decoders' measured work.

    In units of the full decoder's time: ours takes 0.6 to pass everything and 0.9 to decode it.
    """
    (height, width), (top, left, bottom, right) = header.size, box
    inside = 0 <= top < bottom <= height and 0 <= left < right <= width
    read = bottom / height * 0.6 + (bottom - top) / height * (right - left) / width * 0.9
    return inside and height * width <= MOST_PIXELS and read < 1


def _plain(content: bytes, header: Header) -> Pixels | None:
    """Decode a plain JPEG; None leaves it to Pillow."""
    if header.size[0] * header.size[1] > MOST_PIXELS:
        return None
    try:
        colours = "GRAY" if len(header.quantisers) == 1 else "RGB"
        pixels: Pixels = simplejpeg.decode_jpeg(content, colours, strict=True)
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == header.size else None


def to_channels(pixels: Pixels, channels: Channels) -> Pixels:
    """Convert (..., 1) grey or (..., 3) RGB to the network's channels.

    Colour becomes grey by the ITU-R 601-2 luma, rounded as Pillow rounds it.

    Example:
        >>> to_channels(np.array([[[255, 0, 0]]], np.uint8), "grey").tolist()
        [[[76]]]
    """
    if channels == "grey":
        if pixels.shape[-1] == 1:
            return pixels
        grey = np.empty((*pixels.shape[:-1], 1), np.uint8)
        rows = max(_STRIP * pixels.shape[0] // max(pixels.size, 1), 1)
        for top in range(0, len(pixels), rows):
            luma = (pixels[top : top + rows] @ _LUMA + 0x8000) >> np.uint32(16)
            grey[top : top + rows, ..., 0] = luma
        return grey
    if pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    return pixels if channels == "rgb" else np.ascontiguousarray(pixels[..., ::-1])


@contextmanager
def _opened(content: bytes, name: Path | str) -> Iterator[Image.Image]:
    """Open an image, and turn all that may go wrong inside the block into a DataError."""
    if not content:
        raise DataError(f"{name} is empty (0 bytes).")
    if _QUIET not in warnings.filters:  # Pillow's warnings cannot name the file; our errors do
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)  # for good: threads share it
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} would unpack to more than {MOST_PIXELS:,} pixels: a decompression bomb? "
            "Where you trust it, save it smaller."
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not an image: its content is of no known format.") from error
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        reason = str(error) or type(error).__name__
        raise DataError(f"{name} is cut short or damaged: {reason.rstrip('.')}.") from error


def read_bytes(path: Path | str) -> bytes:
    """Return a file's content.

    Raises:
        DataError: there is none, it cannot be read, or it is a pipe or a device, which may never
            begin or never end.
    """
    path = Path(path)
    if not path.is_file() and path.exists() and not path.is_dir():
        raise DataError(f"{path} is no regular file; expected a file, or a link to one.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _jpeg(image: Image.Image, content: bytes) -> Pixels | None:
    """Decode a JPEG in grey or colour that is sound in every respect; None leaves it to Pillow."""
    colours = {"L": "GRAY", "RGB": "RGB"}
    if image.format != "JPEG" or image.mode not in colours:
        return None
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
        if (width, height) != image.size:
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(content, colours[image.mode], strict=True)
    except ValueError:
        return None
    return pixels[..., 0] if image.mode == "L" else pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block does not spoil the pixels
        return 1


def _in_strips(image: Image.Image, decoding: Decoding, name: Path | str) -> Pixels:
    """Return an image's pixels, (height, width) or (height, width, 3).

    Large ones are taken some rows at a time, so that beside Pillow's own (4 bytes a pixel) and the
    result no copy is whole. Integers are not, since all of them say how far they reach.
    """
    rows = max(_STRIP // image.width, 1)
    if image.height <= rows or image.mode.startswith(("I", "F")):
        return np.asarray(_flatten(image, decoding, name), np.uint8)
    tops = range(0, image.height, rows)
    strips = (image.crop((0, y, image.width, min(y + rows, image.height))) for y in tops)
    pixels: Pixels | None = None
    for top, strip in zip(tops, strips, strict=True):
        seen = np.asarray(_flatten(strip, decoding, name), np.uint8)
        if pixels is None:
            pixels = np.empty((image.height, *seen.shape[1:]), np.uint8)
        pixels[top : top + rows] = seen
    return np.asarray(pixels)


def _flatten(image: Image.Image, decoding: Decoding, name: Path | str) -> Image.Image:
    """Return an 8-bit image, grey (L) or RGB, without palette, transparency or 16 bits.

    Raises:
        DataError: numbers whose range nobody knows.
    """
    if image.mode == "F":
        raise DataError(
            f"{name} has floating-point values, and nothing says which one is white; save it with "
            "8 or 16 bits."
        )
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _eight_bits(image, decoding.sixteen_bit, name)
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, (*decoding.background, 255))
        seen = Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")
        grey = image.mode in ("1", "L", "LA") and len(set(decoding.background)) == 1
        return seen.convert("L") if grey else seen
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _eight_bits(
    image: Image.Image, rule: Literal["high_byte", "scale"], name: Path | str
) -> Image.Image:
    """Bring 16-bit grey to 8 bits; Pillow has it as 16-bit or as 32-bit integers."""
    levels: npt.NDArray[Any] = np.asarray(image).astype(np.int64)
    least, most = int(levels.min()), int(levels.max())
    if least < 0 or most > _SIXTEEN_BITS:
        raise DataError(
            f"{name} has integers that do not fit into 16 bits, and nothing says which one is "
            "white; save it with 8 or 16 bits."
        )
    if rule == "high_byte":
        return Image.fromarray((levels >> 8).astype(np.uint8))
    scaled = (levels - least) * (255 / (most - least) if most > least else 0.0)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
