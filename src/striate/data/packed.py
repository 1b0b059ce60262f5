"""Packed files: a data set as one file, memory-mapped.

The file begins with 64 bytes (magic, version, where its header is and that header's sha256) and
zeros; from byte 4096 on the images lie one behind the other, in the order of the parts; the header,
at the end, says what they are, and has a checksum of each. A file of up to half a gigabyte is
verified when it is opened; in a larger one each image is when it is first used.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from striate import progress
from striate.contract import Class, Contract
from striate.data.dataset import Dataset
from striate.data.decode import Decoding, Window, decode_as, decode_window, to_channels
from striate.data.jpeg import Box
from striate.data.samples import Samples
from striate.errors import DataError
from striate.records import Record

VERSION = 1
MAGIC = b"striate\x00"
HEAD = struct.Struct("<8sIIQQ32s")  # magic, version, zero, header's place and length, sha256
FIRST = 4096  # where the images begin: a page, so that arrays are aligned

_AT_ONCE = 512 << 20  # bytes of a file that is verified when it is opened
_STACKED = 256 << 20  # bytes of images of one size that are gathered in memory

Form = Literal["raw", "jpeg"]
Pixels = npt.NDArray[np.uint8]

_USUAL = Decoding()


class PackedPart(Record, frozen=True, kw_only=True):
    """One part of a packed file; every list has an entry for each image.

    Args:
        name: of the part.
        ids: what the images are called.
        labels: their classes.
        hashes: of the images' content before it was packed.
        shapes: height, width and channels.
        places: first byte and number of bytes in the file.
        checksums: CRC-32 of these bytes.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    hashes: tuple[str, ...]
    shapes: tuple[tuple[int, int, int], ...]
    places: tuple[tuple[int, int], ...]
    checksums: tuple[int, ...]


class Header(Record, frozen=True, kw_only=True):
    """What is in a packed file.

    Args:
        name: of the data set.
        source: what it was packed from.
        form: `raw` has 8-bit pixels as they are, `jpeg` has JPEG files.
        size: images with a short side above it were scaled to it; None keeps all.
        contract: for a network that sees these images: classes, channels, the middle of them, mean
            and standard deviation of the training part.
        parts: in the order of the file.
        notes: of the source.
    """

    name: str
    source: str
    form: Form
    size: int | None
    contract: Contract
    parts: tuple[PackedPart, ...]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[Class, ...]:
        """What label 0, 1, ... stands for."""
        return self.contract.classes


class Packed(Record, frozen=True, kw_only=True):
    """What was packed, or verified.

    Args:
        path: the file.
        images: how many.
        bytes: of the file.
        form: as in `Header`.
        size: as in `Header`.
        resumed: images that an earlier, interrupted call had packed.
    """

    path: str
    images: int
    bytes: int
    form: Form
    size: int | None
    resumed: int = 0


def read_header(path: Path) -> Header:
    """Read and check what a packed file says of itself.

    Raises:
        DataError: it is cut, altered, too new, or no packed file; says which.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(FIRST)
        if len(head) < HEAD.size or not head.startswith(MAGIC):
            raise DataError(
                f"{path} is no packed file, or was never finished: striate pack DATA {path} makes "
                "one, and goes on where it stopped."
            )
        _, version, zero, place, length, digest = HEAD.unpack(head[: HEAD.size])
        if version > VERSION:
            raise DataError(
                f"{path} has format {version}; this striate reads up to {VERSION}: update it, or "
                "pack the data again."
            )
        if place + length != size:
            raise DataError(
                f"{path} is cut short or has grown: expected {place + length:,} bytes, received "
                f"{size:,}; pack the data again."
            )
        file.seek(place)
        content = file.read(length)
    if version < 1 or zero or any(head[HEAD.size :]):
        raise DataError(
            f"{path} has been altered: its first {FIRST:,} bytes are not as they are written; pack "
            "the data again."
        )
    if sha256(content).digest() != digest:
        raise DataError(
            f"{path} has been altered: its header has another sha256 than noted; pack the data "
            "again."
        )
    return msgspec.json.decode(content, type=Header)


def is_packed(path: Path) -> bool:
    """Tell a packed file by its first bytes (or its suffix, where these were never written)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC or path.suffix == ".pack"


def open_packed(path: Path) -> Dataset:
    """Open a packed file.

    Raises:
        DataError: it is cut, altered, too new, or no packed file.
    """
    file = PackedFile(path)
    if path.stat().st_size <= _AT_ONCE:
        file.verify()
    parts: dict[str, Samples] = {
        part.name: PackedSamples(file, number, np.arange(len(part.ids)))
        for number, part in enumerate(file.header.parts)
    }
    header = file.header
    return Dataset(path.stem, str(path), header.classes, parts, notes=header.notes)


def verify_packed(path: Path | str) -> Packed:
    """Compare every image of a packed file with its checksum, whatever its size.

    Raises:
        DataError: it is missing, cut, altered, too new, or no packed file.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {path}; expected one that striate pack has made.")
    file = PackedFile(path)
    file.verify()
    header = file.header
    return Packed(
        path=str(path),
        images=sum(len(part.ids) for part in header.parts),
        bytes=path.stat().st_size,
        form=header.form,
        size=header.size,
    )


class PackedFile:
    """A packed file in memory as far as it is used.

    Args:
        path: of the file.

    Raises:
        DataError: it is cut, altered, too new, or no packed file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.header = path, read_header(path)
        with path.open("rb") as file:
            self.bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self.sound = [np.zeros(len(part.ids), np.bool_) for part in self.header.parts]

    def content(self, number: int, index: int) -> memoryview:
        """Return the bytes of an image of the part `number`; verified when they are first used.

        Raises:
            DataError: they are not what was packed.
        """
        part = self.header.parts[number]
        place, length = part.places[index]
        content = self.bytes[place : place + length]
        if not self.sound[number][index]:
            if zlib.crc32(content) != part.checksums[index]:
                raise DataError(
                    f"{self.path} has been altered: {part.ids[index]} has another checksum than "
                    "when it was packed; pack the data again."
                )
            self.sound[number][index] = True
        return content

    def verify(self) -> None:
        """Compare every image with its checksum.

        Raises:
            DataError: one is not what was packed.
        """
        places = [
            (number, index)
            for number, part in enumerate(self.header.parts)
            for index in range(len(part.ids))
        ]
        for number, index in progress.track(places, "verifying", "images", len(places)):
            self.content(number, index)


class PackedSamples(Samples):
    """Images in a packed file.

    Args:
        file: the file.
        number: of the part.
        indices: which images of the part: (n,) int64.
    """

    def __init__(self, file: PackedFile, number: int, indices: npt.NDArray[np.int64]) -> None:
        self.file, self.number, self.indices = file, number, indices
        part = file.header.parts[number]
        shapes = np.asarray(part.shapes, np.int64).reshape(-1, 3)[indices]
        self.ids: Sequence[str] = [part.ids[index] for index in indices.tolist()]
        self.labels = np.asarray(part.labels, np.int64)[indices]
        self.sizes, self.grey = shapes[:, :2], shapes[:, 2] == 1

    def stored(self, index: int, decoding: Decoding = _USUAL) -> Pixels:
        """Return an image in the channels it is stored in: (height, width, 1 or 3).

        Raises:
            DataError: it has been altered, or was packed under other rules of decoding.
        """
        place = int(self.indices[index])
        part, content = self.file.header.parts[self.number], self.file.content(self.number, place)
        if self.file.header.form == "jpeg":
            return decode_as(bytes(content), decoding, f"{part.ids[place]} in {self.file.path}")
        if decoding != _USUAL:
            raise DataError(
                f"{self.file.path} has pixels that were decoded by the usual rules, but the "
                f"contract has {decoding}; use the files it was packed from."
            )
        return np.frombuffer(content, np.uint8).reshape(part.shapes[place])

    def stored_window(self, index: int, box: Box, decoding: Decoding) -> Window:
        """Return at least a box of an image, as it is stored.

        Raises:
            DataError: as `stored`.
        """
        if self.file.header.form == "raw":
            return super().stored_window(index, box, decoding)
        place = int(self.indices[index])
        part, content = self.file.header.parts[self.number], self.file.content(self.number, place)
        return decode_window(
            bytes(content), box, decoding, f"{part.ids[place]} in {self.file.path}"
        )

    def subset(self, indices: npt.ArrayLike) -> PackedSamples:
        """Return some of the samples, in the order of `indices`; nothing is copied."""
        chosen = self.indices[np.asarray(indices, np.int64)]
        return PackedSamples(self.file, self.number, chosen)

    def content_hash(self, index: int) -> str:
        """Return the hash of the image's content before it was packed."""
        return self.file.header.parts[self.number].hashes[int(self.indices[index])]

    def stacked(self, contract: Contract) -> Pixels | None:
        """Return small images of one size as an array: (n, height, width, channels)."""
        if self.file.header.form == "jpeg" or not len(self) or Decoding.of(contract) != _USUAL:
            return None
        alike = (self.sizes == self.sizes[0]).all() and (self.grey == self.grey[0]).all()
        if not alike or int(self.sizes[0].prod()) * 3 * len(self) > _STACKED:
            return None
        stack = np.stack([self.stored(index) for index in range(len(self))])
        return np.ascontiguousarray(to_channels(stack, contract.channels))
