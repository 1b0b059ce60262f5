"""A part of a JPEG, decoded without the rest: what a random crop needs.

Of blocks outside the part only the entropy code is read, and of those below it nothing. The pixels
are those of a full decoding, to the bit, so it makes no difference who decodes when. This reads
what cameras and libraries write nearly always: baseline, Huffman-coded, grey or YCbCr, chroma whole
or halved across or both ways, upright, one scan. Anything else, and anything that looks damaged, is
answered with None and left to the full decoder, which also finds the words for what is wrong.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.jpeg_entropy import FAST, LONG, Tables, build_table
from striate.data.jpeg_kernels import decode_box

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # top, left, bottom, right in pixels, the latter two exclusive

_RATIOS = {
    ((1, 1),) * 3: (1, 1),
    ((2, 1), (1, 1), (1, 1)): (1, 2),
    ((2, 2), (1, 1), (1, 1)): (2, 2),
}  # from the components' sampling, across and down, to pixels a chroma sample has, down and across
_FILE, _EXIF, _PICTURES, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_QUANTISER, _HUFFMAN, _RESTARTS, _SCAN = 0xDB, 0xC4, 0xDD, 0xDA
_FRAMES = (0xC0, 0xC1)  # baseline, and its extension to four tables
_LEAST_CHROMA = 3  # samples across: fewer are not interpolated


class Header(NamedTuple):
    """What a baseline JPEG says of itself before its stream.

    Args:
        size: height and width in pixels.
        ratio: pixels a chroma sample has, down and across.
        codes: of each component, for the first and the other coefficients: 16 counts of codes by
            length, then the symbols.
        quantisers: of each component, 8 or 16 bits a number, in the order of the stream.
        every: units between restarts; 0 for none.
        stream: where it begins.
    """

    size: tuple[int, int]
    ratio: tuple[int, int]
    codes: tuple[bytes, ...]
    quantisers: tuple[bytes, ...]
    every: int
    stream: int


def decode_part(content: bytes, header: Header, box: Box) -> Pixels | None:
    """Decode a box of a JPEG.

    Args:
        content: of the file.
        header: what it says of itself.
        box: what is wanted, inside the image.

    Returns:
        (bottom - top, right - left, 1 or 3) uint8, grey or RGB; None where only a full decoding
        will do.
    """
    tables, end = _tables(header.codes, header.quantisers), content.rfind(b"\xff\xd9")
    if tables is None or end < header.stream:
        return None
    data = np.frombuffer(content[: end + 2] + bytes(4), np.uint8)
    out = np.empty((box[2] - box[0], box[3] - box[1], len(header.quantisers)), np.uint8)
    sound = decode_box(
        data, header.stream, header.every, header.size, header.ratio, tables, box, out
    )
    return out if sound else None


def read_header(content: bytes) -> Header | None:
    """Read a JPEG up to its stream; None unless it is of the common kind.

    An EXIF block, which may turn the image, several pictures in one file and Adobe's colours are
    not.
    """
    if content[:2] != b"\xff\xd8":
        return None
    place, every, frame = 2, 0, b""
    quantisers: dict[int, bytes] = {}
    tables: dict[int, bytes] = {}
    try:
        while content[place] == 0xFF:
            kind, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
            part, place = content[place + 4 : place + 2 + length], place + 2 + length
            if kind == _QUANTISER:
                _read_quantisers(part, quantisers)
            elif kind == _HUFFMAN:
                _read_tables(part, tables)
            elif kind == _RESTARTS:
                every = int.from_bytes(part[:2])
            elif kind in _FRAMES and not frame:
                frame = part
            elif kind == _SCAN:
                return _plan(frame, part, quantisers, tables, every, place)
            elif not _harmless(kind, part):
                return None
    except (IndexError, KeyError, ValueError):
        return None
    return None


def _harmless(kind: int, part: bytes) -> bool:
    if kind == _EXIF:
        return not part.startswith((b"Exif", b"http"))
    if kind == _PICTURES:
        return not part.startswith(b"MPF")
    return kind == 0xFE or (_FILE <= kind <= 0xEF and kind != _ADOBE)


def _read_quantisers(part: bytes, quantisers: dict[int, bytes]) -> None:
    while part:
        wide, number = part[0] >> 4, part[0] & 15
        end = 129 if wide else 65
        quantisers[number] = part[1:end]
        part = part[end:]


def _read_tables(part: bytes, tables: dict[int, bytes]) -> None:
    while part:
        end = 17 + sum(part[1:17])
        tables[part[0]] = part[1:end]
        part = part[end:]


def _plan(
    frame: bytes,
    scan: bytes,
    quantisers: dict[int, bytes],
    tables: dict[int, bytes],
    every: int,
    stream: int,
) -> Header | None:
    """Put together what the headers say; None where it is not of the common kind."""
    count = frame[5]
    parts = [frame[k : k + 3] for k in range(6, 6 + 3 * count, 3)]
    names = tuple(part[0] for part in parts)
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if frame[0] != 8 or not height or not width or scan[0] != count:
        return None
    if scan[1 + 2 * count : 4 + 2 * count] != b"\x00\x3f\x00":
        return None
    if tuple(scan[1 : 1 + 2 * count : 2]) != names or names not in ((1,), (1, 2, 3)):
        return None
    ratio = (1, 1)
    if count == 3:
        sampling = tuple((part[1] >> 4, part[1] & 15) for part in parts)
        if sampling not in _RATIOS:
            return None
        ratio = _RATIOS[sampling]
    if ratio[1] == 2 and (width + 1) // 2 < _LEAST_CHROMA:
        return None
    chosen = []
    for each in scan[2 : 2 + 2 * count : 2]:
        chosen += [tables[each >> 4], tables[16 | (each & 15)]]
    scales = tuple(quantisers[part[2]] for part in parts)
    if any(len(each) not in (64, 128) for each in scales):
        return None
    return Header((height, width), ratio, tuple(chosen), scales, every, stream)


@lru_cache(maxsize=16)
def _tables(codes: tuple[bytes, ...], quantisers: tuple[bytes, ...]) -> Tables | None:
    """Build tables; None where a code is none, or none for 8 bits."""
    fast, leap = np.empty((2, len(codes), 1 << FAST), np.int32)
    long = np.zeros((len(codes), LONG), np.int32)
    for number, table in enumerate(codes):
        counts, symbols = np.frombuffer(table[:16], np.uint8), np.frombuffer(table[16:], np.uint8)
        most = 11 if number % 2 == 0 else 255
        if not len(symbols) or len(symbols) > 256 or symbols.max() > most:
            return None
        if not build_table(counts, symbols, fast[number], leap[number], long[number]):
            return None
    scales = [
        np.frombuffer(each, ">u2" if len(each) > 64 else "u1").astype(np.int32)
        for each in quantisers
    ]
    return Tables(fast.ravel(), leap.ravel(), long.ravel(), np.concatenate(scales))
