"""Mean and standard deviation of the training images, exact and the same in any order.

Levels are counted, and the figures computed from the counts: integers do not round.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from striate import progress
from striate.contract import Contract
from striate.data.prepare import fit, fits
from striate.data.samples import Samples
from striate.ops import usable_cores

_MOST = 20_000  # images that are looked at, spread evenly over the samples
_CHUNK = 4096  # images counted at once, where all are in memory

Counts = npt.NDArray[np.int64]


def measure(samples: Samples, contract: Contract) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, in units of 0..1.

    They are taken over resized and cropped images (as whole grey levels), of all samples in memory
    and of up to 20,000 on disk.
    A channel that never changes has a standard deviation of 1, so that it can be divided by.

    Args:
        samples: what will be trained on.
        contract: its channels, resize and crop count; its mean and std do not.

    Returns:
        (mean, std), each with a value per channel.
    """
    stack = samples.stacked(contract)
    if stack is not None and fits(stack.shape[1:3], contract):
        chunks = [_levels(stack[k : k + _CHUNK]) for k in range(0, len(stack), _CHUNK)]
        counts = np.sum(chunks, axis=0)
    else:
        counts = _count(samples, contract)
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(axis=1)
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def principal_colours(samples: Samples, contract: Contract) -> tuple[tuple[float, ...], ...]:
    """Return the directions in which colours vary, the largest first, for `Lighting`.

    Each is an eigenvector of the covariance of the channels over all pixels, times the square root
    of its eigenvalue, in units of 0..1; the sign is that of a sum above zero. Of up to 2,000
    images, spread evenly over the samples.

    Args:
        samples: what will be trained on.
        contract: its channels, resize and crop count.
    """
    places = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), 2000)).astype(np.int64))

    def moments(place: int) -> Counts:
        fitted = fit(samples.pixels(place, contract), contract)
        levels = np.rint(fitted).clip(0, 255).astype(np.int64).reshape(-1, fitted.shape[-1])
        levels = np.concatenate([levels, np.ones_like(levels[:, :1])], axis=1)
        return np.asarray(levels.T @ levels)

    with ThreadPoolExecutor(usable_cores()) as pool:
        measured = pool.map(moments, places.tolist())
        sums = sum(progress.track(measured, "measuring colours", "images", len(places)))
    sums = np.asarray(sums, np.float64)
    mean = sums[:-1, -1] / sums[-1, -1] / 255
    covariance = sums[:-1, :-1] / sums[-1, -1] / 255**2 - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    parts = (vectors * np.sqrt(values.clip(0, None))).T[::-1]
    parts = parts * np.where(parts.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    return tuple(tuple(part) for part in parts.tolist())


def _count(samples: Samples, contract: Contract) -> Counts:
    places = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _MOST)).astype(np.int64))

    def count(place: int) -> Counts:
        fitted = fit(samples.pixels(place, contract), contract)
        return _levels(np.rint(fitted).clip(0, 255).astype(np.uint8))

    counts = np.zeros((contract.channel_count, 256), np.int64)
    with ThreadPoolExecutor(usable_cores()) as pool:
        counted = pool.map(count, places.tolist())
        for one in progress.track(counted, "measuring", "images", len(places)):
            counts += one
    return counts


def _levels(pixels: npt.NDArray[np.uint8]) -> Counts:
    """Count each level of each channel: (..., channels) -> (channels, 256)."""
    channels = pixels.shape[-1]
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(channels)])
