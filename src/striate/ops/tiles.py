"""Tiles of images in vector registers: what the kernels of Winograd's convolution are written with.

Small matrices are applied to vectors of channels, and a tile's pixels are found in an image: those
beyond its edges lie elsewhere, in memory that holds zeros or that nobody reads, so that no kernel
has a case for the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from striate.ops.assembly import Function, Lanes, Word
from striate.ops.points import Matrix, transforms

Place = Callable[[int, int], Word]
"""Of a row and a column, the address of a pixel."""


class Form(NamedTuple):
    """F(m, r) in both directions; m and r are 1 where a filter has one row or one column.

    Args:
        outputs: m, down and across.
        taps: r, down and across.
        lanes: floats in a vector.
        vectors: vectors in a panel of features.
    """

    outputs: tuple[int, int]
    taps: tuple[int, int]
    lanes: int
    vectors: int

    @property
    def sides(self) -> tuple[int, int]:
        """n, down and across."""
        (down, across), (high, wide) = self.outputs, self.taps
        return down + high - 1, across + wide - 1

    @property
    def points(self) -> int:
        """Products for a tile."""
        return self.sides[0] * self.sides[1]

    @property
    def width(self) -> int:
        """Features in a panel."""
        return self.lanes * self.vectors

    def matrices(self, which: str) -> tuple[Matrix, Matrix]:
        """Return a matrix of `Transforms`, down and across."""
        down, across = (transforms(m, r) for m, r in zip(self.outputs, self.taps, strict=True))
        return getattr(down, which), getattr(across, which)


# -- small matrices times vectors ------------------------------------------------------------------


def combine(matrix: Matrix, values: Sequence[Lanes]) -> list[Lanes]:
    """Return matrix @ values, with what pairs of points +-p share computed once."""
    code = values[0].code
    columns, terms = list(matrix.T), list(values)
    for left in range(len(values)):
        for right in range(left + 1, len(values)):
            a, b = matrix[:, left], matrix[:, right]
            if (np.abs(a) == np.abs(b)).all() and (a == b).any() and (a != b).any():
                same = a == b
                columns[left], columns[right] = np.where(same, a, 0.0), np.where(same, 0.0, a)
                terms[left], terms[right] = (
                    values[left] + values[right],
                    values[left] - values[right],
                )
    rows = np.stack(columns, axis=1)
    found: dict[int, Lanes] = {}
    for row in range(len(rows)):
        twin = next((r for r in range(row + 1, len(rows)) if _twins(rows[row], rows[r])), None)
        if row in found:
            continue
        if twin is None:
            found[row] = weighted(code, rows[row], terms)
            continue
        even, odd = (rows[row] + rows[twin]) / 2, (rows[row] - rows[twin]) / 2
        scale = odd[np.nonzero(np.abs(odd) > 1e-12)[0][-1]]
        sum_even, sum_odd = weighted(code, even, terms), weighted(code, odd / scale, terms)
        found[row] = weighted(code, np.array([1.0, scale]), [sum_even, sum_odd])
        found[twin] = weighted(code, np.array([1.0, -scale]), [sum_even, sum_odd])
    return [found[row] for row in range(len(rows))]


def _twins(a: Matrix, b: Matrix) -> bool:
    close = np.isclose(np.abs(a), np.abs(b), rtol=1e-12).all()
    return bool(close and (a * b > 0).sum() > 0 and (a * b < 0).sum() > 0)


def weighted(code: Function, weights: Matrix, terms: Sequence[Lanes]) -> Lanes:
    """Return the sum of weights times terms; those of weight one come first."""
    used = [(float(w), term) for w, term in zip(weights, terms, strict=True) if abs(w) > 1e-12]
    used.sort(key=lambda each: each[0] != 1.0)
    weight, term = used[0]
    total = term if weight == 1.0 else term * code.constant(weight)
    for weight, term in used[1:]:
        if weight == 1.0:
            total = total + term
        elif weight == -1.0:
            total = total - term
        else:
            total = term.times_plus(code.constant(weight), total)
    return total


def transformed(
    matrices: tuple[Matrix, Matrix], load: Callable[[int, int], Lanes]
) -> Iterator[tuple[tuple[int, int], Lanes]]:
    """Yield the places and values of down @ tile @ across^T, the tile's being loaded one by one."""
    down, across = matrices
    columns = [
        combine(down, [load(row, column) for row in range(down.shape[1])])
        for column in range(across.shape[1])
    ]
    for row in range(down.shape[0]):
        for column, value in enumerate(combine(across, [each[row] for each in columns])):
            yield (row, column), value


def transform(
    matrices: tuple[Matrix, Matrix],
    load: Callable[[int, int], Lanes],
    store: Callable[[int, int, Lanes], None],
) -> None:
    """Write down @ tile @ across^T, the tile's values being loaded and stored one by one."""
    for (row, column), value in transformed(matrices, load):
        store(row, column, value)


def in_vectors(code: Function, count: Word) -> Iterator[tuple[Word, str | None]]:
    """Write a loop over `count` floats by vectors: yields the first one's index and a mask."""
    lanes = code.lanes
    whole = count - count % lanes
    with code.loop(whole, lanes) as index:
        yield index, None
    with code.when(whole.below(count)):
        yield whole, code.mask(count - whole)


# -- a tile in an image ----------------------------------------------------------------------------


def table(
    code: Function,
    size: tuple[int, int],
    corner: tuple[Word, Word],
    base: Word,
    outside: Word,
    *,
    strides: tuple[Word, Word],
    limits: tuple[Word, Word],
) -> Place:
    """Write the addresses of a tile's pixels to the stack; those outside the image lie elsewhere.

    Returns:
        a function of row and column that reads an address.
    """
    rows, columns = size
    room = code.stack(rows * columns)
    for row in range(rows):
        y = corner[0] + row
        inside_y = y.within(limits[0])
        line = base + y * strides[0]
        for column in range(columns):
            x = corner[1] + column
            place = (line + x * strides[1]).where(x.within(limits[1]), outside)
            place = place.where(inside_y, outside)
            code.store_word(place, room + (row * columns + column) * 8)
    return lambda row, column: code.load_word(room + (row * columns + column) * 8)


def corner(code: Function, tile: Word, step: tuple[int, int]) -> tuple[Word, Word, Word]:
    """Return image, row and column of a tile's first pixel; the tiles of an image by rows."""
    area = code.tiles_y * code.tiles_x
    rest = tile % area
    return tile // area, rest // code.tiles_x * step[0], rest % code.tiles_x * step[1]
