"""Labelled images, whether they lie in memory or on disk.

An image is addressed by its place; everything the loader, the split and the figures need of it is
here. What is decoded is the image as it was stored (8-bit, grey or RGB); the network's channels are
made from that in one place, so that a cached image and one read again are the same to the bit.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.contract import Contract
from striate.data.decode import (
    Decoding,
    Window,
    decode_as,
    decode_window,
    read_bytes,
    to_channels,
)
from striate.data.jpeg import Box
from striate.data.pace import stage

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

_USUAL = Decoding()


class Samples(ABC):
    """Labelled images.

    Attributes:
        ids: what each is called, unique within a data set.
        labels: each one's class, an index into the data set's classes: (n,) int64.
        sizes: each one's height and width in pixels: (n, 2) int64.
        grey: whether each one is stored without colour: (n,) bool.
    """

    ids: Sequence[str]
    labels: Labels
    sizes: npt.NDArray[np.int64]
    grey: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def stored(self, index: int, decoding: Decoding = _USUAL) -> Pixels:
        """Return an image in the channels it is stored in: (height, width, 1 or 3).

        Raises:
            DataError: it cannot be read any more; names the path.
        """

    def pixels(self, index: int, contract: Contract) -> Pixels:
        """Return an image, in the contract's channels but its own size: (height, width, channels).

        Raises:
            DataError: it cannot be read any more; names the path.
        """
        return to_channels(self.stored(index, Decoding.of(contract)), contract.channels)

    def stored_window(self, index: int, box: Box, decoding: Decoding) -> Window:
        """Return at least a box of an image (top, left, bottom, right), as it is stored.

        Raises:
            DataError: as `stored`.
        """
        return Window.whole(self.stored(index, decoding))

    def window(self, index: int, box: Box, contract: Contract) -> Window:
        """Return at least a box of an image, in the contract's channels.

        Raises:
            DataError: it cannot be read any more; names the path.
        """
        seen = self.stored_window(index, box, Decoding.of(contract))
        return seen._replace(pixels=to_channels(seen.pixels, contract.channels))

    @abstractmethod
    def subset(self, indices: npt.ArrayLike) -> Samples:
        """Return some of the samples, in the order of `indices`."""

    @abstractmethod
    def content_hash(self, index: int) -> str:
        """Return 32 hexadecimal digits that tell this image's content from any other."""

    def stacked(self, contract: Contract) -> Pixels | None:
        """Return all images as one array (n, height, width, channels), where that costs nothing."""
        return None


class ArraySamples(Samples):
    """Images of one size, in memory.

    Args:
        images: (n, height, width, 1 or 3) uint8, grey or RGB.
        labels: (n,).
        ids: n names.
    """

    def __init__(self, images: Pixels, labels: npt.ArrayLike, ids: Sequence[str]) -> None:
        self.images, self.ids = images, ids
        self.labels = np.asarray(labels, np.int64)
        count, height, width, channels = images.shape
        self.sizes = np.tile(np.array([height, width], np.int64), (count, 1))
        self.grey = np.full(count, channels == 1)

    def stored(self, index: int, decoding: Decoding = _USUAL) -> Pixels:
        """Return an image as it is: (height, width, 1 or 3)."""
        image: Pixels = self.images[index]
        return image

    def subset(self, indices: npt.ArrayLike) -> ArraySamples:
        """Return some of the samples, in the order of `indices`; the images are copied."""
        chosen = np.asarray(indices, np.int64)
        names = [self.ids[index] for index in chosen.tolist()]
        return ArraySamples(self.images[chosen], self.labels[chosen], names)

    def content_hash(self, index: int) -> str:
        """Return a hash of shape and pixels."""
        image = self.images[index]
        return content_hash(str(image.shape).encode() + image.tobytes())

    def stacked(self, contract: Contract) -> Pixels:
        """Return all images in the contract's channels: (n, height, width, channels)."""
        return np.ascontiguousarray(to_channels(self.images, contract.channels))


class FileSamples(Samples):
    """Image files, each of its own size; `verify` makes them.

    Args:
        paths: of the files.
        labels: (n,).
        ids: n names.
        sizes: (n, 2), height and width as they are shown.
        grey: (n,) bool.
        hashes: of the files' bytes.
        kept: the decoded images by place, None for those that did not fit into memory.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: npt.ArrayLike,
        ids: Sequence[str],
        sizes: npt.ArrayLike,
        grey: npt.ArrayLike,
        hashes: Sequence[str],
        kept: Sequence[Pixels | None],
    ) -> None:
        self.paths, self.ids, self.hashes, self.kept = paths, ids, hashes, kept
        self.labels = np.asarray(labels, np.int64)
        self.sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
        self.grey = np.asarray(grey, np.bool_)

    def stored(self, index: int, decoding: Decoding = _USUAL) -> Pixels:
        """Return an image in the channels it is stored in: (height, width, 1 or 3).

        Raises:
            DataError: the file is gone or has been damaged since it was opened.
        """
        kept = self.kept[index]
        if kept is None or decoding != _USUAL:
            kept = decode_as(self._content(index), decoding, self.paths[index])
        return kept

    def stored_window(self, index: int, box: Box, decoding: Decoding) -> Window:
        """Return at least a box of an image, as it is stored."""
        if self.kept[index] is None or decoding != _USUAL:
            return decode_window(self._content(index), box, decoding, self.paths[index])
        return super().stored_window(index, box, decoding)

    def _content(self, index: int) -> bytes:
        with stage("disk"):
            return read_bytes(self.paths[index])

    def subset(self, indices: npt.ArrayLike) -> FileSamples:
        """Return some of the samples, in the order of `indices`."""
        chosen = np.asarray(indices, np.int64)
        places = chosen.tolist()
        return FileSamples(
            [self.paths[place] for place in places],
            self.labels[chosen],
            [self.ids[place] for place in places],
            self.sizes[chosen],
            self.grey[chosen],
            [self.hashes[place] for place in places],
            [self.kept[place] for place in places],
        )

    def content_hash(self, index: int) -> str:
        """Return the hash of the file's bytes, as they were when it was opened."""
        return self.hashes[index]


def content_hash(*content: bytes | memoryview) -> str:
    """Return 32 hexadecimal digits of BLAKE2b of some bytes, one behind the other.

    Example:
        >>> content_hash(b"")
        'cae66941d9efbd404e4d88758ea67670'
    """
    digest = hashlib.blake2b(digest_size=16)
    for each in content:
        digest.update(each)
    return digest.hexdigest()
