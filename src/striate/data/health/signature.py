"""What is kept of an image while a data set is examined: a thumbnail, a hash, its statistics."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate import progress
from striate.data.decode import read_bytes, to_channels
from striate.data.prepare import resample_8bit
from striate.data.samples import FileSamples, Samples, content_hash
from striate.errors import DataError
from striate.ops import usable_cores

SIDE = 32  # of a thumbnail; every image is scaled to this square
_STRIP = 1 << 20  # pixels that are counted at a time: numpy counts in 64 bits

Pixels = npt.NDArray[np.uint8]


class Signature(NamedTuple):
    """One image.

    Args:
        thumbnail: (32, 32) uint8, its luminance.
        hash: of its pixels.
        total: of each of 3 channels, sum of the levels in units of 0..1 over the pixels' number.
        square: the same for squared levels.
        spread: standard deviation of the luminance, in levels.
        mode: how its file stores pixels.
    """

    thumbnail: Pixels
    hash: str
    total: npt.NDArray[np.float64]
    square: npt.NDArray[np.float64]
    spread: float
    mode: str


def signatures(samples: Samples) -> list[Signature]:
    """Look at every image once, in threads.

    Raises:
        DataError: one cannot be read any more.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        taken = pool.map(lambda index: _take(samples, index), range(len(samples)))
        return list(progress.track(taken, "examining", "images", len(samples)))


def _take(samples: Samples, index: int) -> Signature:
    pixels = np.ascontiguousarray(samples.stored(index))
    grey = to_channels(pixels, "grey")
    counts = _histograms(pixels)
    scale = np.arange(256) / 255
    total, square = counts @ scale / grey.size, counts @ scale**2 / grey.size
    shades = _histograms(grey)[0] / grey.size
    mean = shades @ np.arange(256)
    return Signature(
        resample_8bit(grey, (SIDE, SIDE), "bilinear")[..., 0],
        content_hash(str(pixels.shape).encode(), pixels.data),
        np.broadcast_to(total, 3),
        np.broadcast_to(square, 3),
        float(np.sqrt(shades @ (np.arange(256) - mean) ** 2)),
        _mode(samples, index),
    )


def _histograms(pixels: Pixels) -> npt.NDArray[np.int64]:
    """Count levels, in strips: (height, width, channels) -> (channels, 256)."""
    counts = np.zeros((pixels.shape[2], 256), np.int64)
    rows = max(_STRIP // pixels.shape[1], 1)
    for top in range(0, len(pixels), rows):
        for channel, each in enumerate(counts):
            each += np.bincount(pixels[top : top + rows, :, channel].ravel(), minlength=256)
    return counts


def _mode(samples: Samples, index: int) -> str:
    """Say in words how a file stores its pixels."""
    if not isinstance(samples, FileSamples):
        return "grey" if samples.grey[index] else "RGB"
    try:
        with Image.open(io.BytesIO(read_bytes(samples.paths[index]))) as image:
            mode = {"L": "grey", "P": "palette", "1": "black and white"}.get(image.mode, image.mode)
            if image.mode.startswith("I"):
                mode = "16 bits"
            clear = ", transparent" if image.has_transparency_data else ""
            turned = ", turned by EXIF" if image.getexif().get(0x0112, 1) != 1 else ""
    except (OSError, ValueError, SyntaxError, DataError):
        return "unreadable header"
    return f"{mode}{clear}{turned}"
