"""Winograd's minimal filtering: the three small matrices behind every F(m, r), by Cook and Toom.

F(m, r) computes m outputs of a correlation with r taps by n = m + r - 1 multiplications:

    y = A^T [(G g) * (B^T d)]        d: n inputs, g: r taps, y: m outputs

A polynomial of degree n - 1 is known by its values at n points, infinity among them. Which points
are taken decides nothing but the rounding error, and that by a factor of a hundred: those below are
the best known that are not too crooked (small, in pairs of +-p, also their reciprocals).

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4; for the
points with roots of two, the transforms of ncnn; for the others, NNPACK.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

POINTS: dict[int, tuple[float, ...]] = {
    1: (),
    4: (0, 1, -1),
    6: (0, sqrt(0.5), -sqrt(0.5), sqrt(2), -sqrt(2)),
    8: (0, 1, -1, 2, -2, 0.5, -0.5),
}
"""The finite points by n, the length of a tile; infinity is always the last."""


class Transforms(NamedTuple):
    """The matrices of F(m, r).

    Args:
        inputs: B^T, (n, n).
        filters: G, (n, r).
        outputs: A^T, (m, n).
    """

    inputs: Matrix
    filters: Matrix
    outputs: Matrix


@lru_cache
def transforms(outputs: int, taps: int) -> Transforms:
    """Return the matrices of F(outputs, taps).

    Example:
        >>> t = transforms(2, 3)
        >>> d, g = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, -1.0])
        >>> (t.outputs @ ((t.filters @ g) * (t.inputs @ d))).tolist()
        [-2.0, -2.0]
    """
    length = outputs + taps - 1
    points = POINTS[length]
    data, filters = np.zeros((length, length)), np.zeros((length, taps))
    back = np.zeros((outputs, length))
    for row, point in enumerate(points):
        others = [each for each in points if each != point]
        data[row, : length - 1] = np.poly(others)[::-1]
        filters[row] = point ** np.arange(taps) / np.prod([point - each for each in others])
        back[:, row] = point ** np.arange(outputs)
    data[-1] = np.poly(points)[::-1] if points else 1.0
    filters[-1, -1] = back[-1, -1] = 1.0
    data[np.abs(data) < 1e-12] = 0.0  # what is left of products of roots that cancel
    return Transforms(data, filters, back)
