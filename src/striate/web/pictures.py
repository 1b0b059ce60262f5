"""Arrays as PNG files, and many maps as one picture that the page cuts up again."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.draw import colours
from striate.records import Record
from striate.serve.refusal import Refusal

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]

_MOST_PIXELS = 40_000_000  # of a picture dropped on the page
_MOST_SIDE = 96  # pixels of one map in an atlas


class Atlas(Record, frozen=True, kw_only=True):
    """Maps side by side in one picture.

    Args:
        png: as a data URI.
        columns: maps in a row.
        tile: (height, width) of each, in the picture's pixels.
        count: how many.
        low, high: the values at both ends of the colours.
        signed: whether zero is pale and both signs are coloured; otherwise the lowest is dark.
    """

    png: str
    columns: int
    tile: tuple[int, int]
    count: int
    low: float
    high: float
    signed: bool


def check_picture(content: bytes) -> None:
    """Refuse what is no image, or unpacks to too much, by its header.

    Raises:
        Refusal: 413 or 422.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise Refusal(413, f"{error}") from None
    except Exception:
        raise Refusal(422, "That is not an image: its content is of no known format.") from None
    if width * height > _MOST_PIXELS:
        said = f"Expected an image of at most {_MOST_PIXELS:,} pixels, received {width}x{height}."
        raise Refusal(413, said)


def png(pixels: Pixels) -> bytes:
    """Return (height, width, 1 or 3) uint8 as a PNG file."""
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(flat)).save(file, "png", compress_level=1)
    return file.getvalue()


def uri(pixels: Pixels) -> str:
    """Return pixels as a data URI."""
    return _uri(png(pixels))


def atlas(maps: Floats) -> Atlas:
    """Lay maps, (count, height, width), side by side on one scale of colours."""
    step = max(1, -(-max(maps.shape[1:]) // _MOST_SIDE))
    maps = maps[:, ::step, ::step]
    signed = bool(maps.min() < 0)
    size = np.abs(maps) if signed else maps
    top = max(float(np.quantile(size, 0.999)), 1e-12)
    share = (maps / (2 * top) + 0.5) if signed else maps / top
    levels = (np.clip(share, 0, 1) * 255).astype(np.uint8)
    sheet, columns = _laid(levels)
    picture = Image.fromarray(sheet, "L")
    picture = picture.convert("P") if picture.mode != "P" else picture
    picture.putpalette(_PALETTES[signed])
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1)
    return Atlas(
        png=_uri(file.getvalue()),
        columns=columns,
        tile=(maps.shape[1], maps.shape[2]),
        count=len(maps),
        low=-top if signed else 0.0,
        high=top,
        signed=signed,
    )


def tiled(pictures: Pixels) -> Atlas:
    """Lay pictures, (count, height, width, 1 or 3) uint8, side by side."""
    sheet, columns = _laid(pictures)
    return Atlas(
        png=uri(sheet),
        columns=columns,
        tile=(pictures.shape[1], pictures.shape[2]),
        count=len(pictures),
        low=0.0,
        high=1.0,
        signed=True,
    )


def _laid(tiles: Pixels) -> tuple[Pixels, int]:
    count, height, width, *bands = tiles.shape
    columns = max(1, min(count, round((count * height / width) ** 0.5)))
    rows = -(-count // columns)
    room = np.zeros((rows * columns, height, width, *bands), np.uint8)
    room[:count] = tiles
    turned = room.reshape(rows, columns, height, width, *bands).swapaxes(1, 2)
    return np.ascontiguousarray(turned.reshape(rows * height, columns * width, *bands)), columns


def _uri(file: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(file).decode()


def _palette(signed: bool) -> bytes:
    ends = np.linspace(-1, 1, 256) if signed else np.linspace(0, 1, 256)
    shown: bytes = colours(ends[None].astype(np.float32), signed=signed)[0].tobytes()
    return shown


_PALETTES = {signed: _palette(signed) for signed in (False, True)}
