"""Kernels over images in channels-last order, compiled for this machine at their first call.

A value is a flat array; pixel p has its channels at [p * stride, p * stride + channels). The inner
loops run along channels, where neighbours lie side by side, so that LLVM makes vectors of them. A
NaN stays a NaN, and stays in its image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

Array = Any  # numba's stubs know no types


@njit(nogil=True, cache=True, error_model="numpy")
def affine(
    first: int,
    last: int,
    x: Array,
    stride: int,
    y: Array,
    y_stride: int,
    scale: Array,
    shift: Array,
    rectify: bool,
) -> None:
    """Y = scale * x + shift, then max(y, 0) where asked, over pixels first..last."""
    channels = scale.shape[0]
    for p in range(first, last):
        source = x[p * stride : p * stride + channels]
        target = y[p * y_stride : p * y_stride + channels]
        if rectify:
            for c in range(channels):
                value = source[c] * scale[c] + shift[c]
                target[c] = np.float32(0.0) if value < np.float32(0.0) else value
        else:
            for c in range(channels):
                target[c] = source[c] * scale[c] + shift[c]


@njit(nogil=True, cache=True, error_model="numpy")
def response(
    first: int,
    last: int,
    x: Array,
    stride: int,
    y: Array,
    y_stride: int,
    channels: int,
    size: int,
    alpha: float,
    k: float,
) -> None:
    """Local response normalisation with beta = 3/4, a power that two square roots give."""
    before = size // 2
    squares = np.zeros(channels + size, np.float32)
    sums = np.empty(channels, np.float32)
    share, base, one = np.float32(alpha / size), np.float32(k), np.float32(1.0)
    for p in range(first, last):
        source = x[p * stride : p * stride + channels]
        target = y[p * y_stride : p * y_stride + channels]
        middle = squares[before : before + channels]
        for c in range(channels):
            middle[c] = source[c] * source[c]
        for c in range(channels):
            sums[c] = squares[c]
        for step in range(1, size):
            shifted = squares[step : step + channels]
            for c in range(channels):
                sums[c] += shifted[c]
        for c in range(channels):
            root = math.sqrt(base + share * sums[c])
            target[c] = source[c] * (one / (root * math.sqrt(root)))


@njit(nogil=True, cache=True, error_model="numpy")
def maximum(
    first: int,
    last: int,
    x: Array,
    stride: int,
    y: Array,
    y_stride: int,
    channels: int,
    sizes: tuple[int, int, int, int],
    kernel: tuple[int, int],
    steps: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    """The largest value under each window, over rows first..last of all images' output rows."""
    height, width, out_height, out_width = sizes
    for row in range(first, last):
        image, i = row // out_height, row % out_height
        top = i * steps[0] - padding[0]
        for j in range(out_width):
            left = j * steps[1] - padding[1]
            place = (row * out_width + j) * y_stride
            target = y[place : place + channels]
            target[:] = np.float32(-np.inf)
            for a in range(max(top, 0), min(top + kernel[0], height)):
                for b in range(max(left, 0), min(left + kernel[1], width)):
                    pixel = ((image * height + a) * width + b) * stride
                    source = x[pixel : pixel + channels]
                    for c in range(channels):
                        value, best = source[c], target[c]
                        target[c] = best if (value <= best or best != best) else value
