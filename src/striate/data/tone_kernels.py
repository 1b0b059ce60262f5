"""Changes of colour that are no single matrix, in place on a sampled image in levels of 0 to 255.

The arithmetic is Pillow's (its enhancers, `ImageOps` of the same names), without rounding to whole
levels in between, apart from the histograms, which count whole levels.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

NOTHING, BRIGHTNESS, SATURATION, CONTRAST, SHARPNESS = 0, 1, 2, 3, 4
POSTERIZE, SOLARIZE, AUTOCONTRAST, EQUALIZE, NOISE = 5, 6, 7, 8, 9

_kernel = numba.njit(nogil=True, cache=True)


@_kernel
def apply_tones(image: Any, tones: Any, seed: Any, luma: Any) -> None:
    """Change an image.

    Args:
        image: (channels, height, width) float32.
        tones: kind and amount of each change, in order: (steps, 2) float64.
        seed: of noise: uint64.
        luma: weights of the channels in the luminance: (channels,) float32.
    """
    for step in range(len(tones)):
        kind, amount = int(tones[step, 0]), np.float32(tones[step, 1])
        if kind == NOTHING:
            continue
        if kind == SHARPNESS:
            _sharpen(image, amount)
        elif kind == AUTOCONTRAST or kind == EQUALIZE:
            for c in range(len(image)):
                _by_histogram(image[c], kind == EQUALIZE)
        elif kind == NOISE:
            _noise(image, amount, seed + np.uint64(step))
        elif kind == POSTERIZE or kind == SOLARIZE:
            _by_level(image, kind, amount)
        else:
            _blend(image, kind, amount, luma)
        _clip(image)


@_kernel
def _clip(image: Any) -> None:
    flat = image.reshape(-1)
    for x in range(len(flat)):
        flat[x] = min(max(flat[x], np.float32(0.0)), np.float32(255.0))


@_kernel
def _by_level(image: Any, kind: Any, amount: Any) -> None:
    flat, step = image.reshape(-1), np.float32(2.0 ** (8 - amount))
    for x in range(len(flat)):
        level = flat[x]
        if kind == POSTERIZE:
            flat[x] = np.floor(np.rint(level) / step) * step
        elif level >= amount:
            flat[x] = np.float32(255.0) - level


@_kernel
def _blend(image: Any, kind: Any, amount: Any, luma: Any) -> None:
    """Move away from black, from grey of the same luminance, or from the mean luminance."""
    channels, height, width = image.shape
    mean, rest = np.float32(0.0), np.float32(1.0) - amount
    grey = np.zeros(width, np.float32)
    if kind == CONTRAST:
        total = 0.0
        for c in range(channels):
            total += luma[c] * image[c].astype(np.float64).sum()
        mean = np.float32(total / (height * width))
    for y in range(height):
        if kind == SATURATION:
            grey[:] = 0.0
            for c in range(channels):
                for x in range(width):
                    grey[x] += luma[c] * image[c, y, x]
        for c in range(channels):
            for x in range(width):
                image[c, y, x] = amount * image[c, y, x] + rest * (grey[x] + mean)


@_kernel
def _sharpen(image: Any, amount: Any) -> None:
    """Move away from the image smoothed by 1 1 1, 1 5 1, 1 1 1; the border stays."""
    channels, height, width = image.shape
    rest = np.float32(1.0) - amount
    for c in range(channels):
        seen = image[c].copy()
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                total = np.float32(4.0) * seen[y, x]
                for j in range(-1, 2):
                    total += seen[y + j, x - 1] + seen[y + j, x] + seen[y + j, x + 1]
                image[c, y, x] = amount * seen[y, x] + rest * total / np.float32(13.0)


@_kernel
def _by_histogram(channel: Any, equal: Any) -> None:
    """Spread levels over the whole range: linearly, or so that all are as frequent."""
    counts, levels = np.zeros(256, np.int64), channel.reshape(-1)
    for x in range(len(levels)):
        counts[int(np.rint(levels[x]))] += 1
    low, high = 0, 255
    while counts[low] == 0:
        low += 1
    while counts[high] == 0:
        high -= 1
    if low == high:
        return
    if not equal:
        scale = np.float32(255.0 / (high - low))
        for x in range(len(levels)):
            levels[x] = (levels[x] - low) * scale
        return
    step = (len(levels) - counts[high]) // 255
    if step == 0:
        return
    table, total = np.empty(256, np.float32), step // 2
    for level in range(256):
        table[level] = total // step
        total += counts[level]
    for x in range(len(levels)):
        levels[x] = table[int(np.rint(levels[x]))]


@_kernel
def _noise(image: Any, std: Any, seed: Any) -> None:
    """Add the sum of four uniform numbers, nearly normal, never beyond 3.5 standard deviations."""
    flat, scale = image.reshape(-1), std * np.float32(np.sqrt(3.0) / 65536.0)
    for x in range(len(flat)):
        word = (np.uint64(x) + seed) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
        total = np.int64(0)
        for part in range(4):
            total += np.int64((word >> np.uint64(16 * part)) & np.uint64(0xFFFF))
        flat[x] += scale * np.float32(total - 131070)
