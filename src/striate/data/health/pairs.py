"""Images that show the same: exactly, or re-encoded, resized, brightened or cropped a little.

Candidates of near duplicates are judged: one thumbnail is moved, scaled and brightened onto the
other by least squares (Lucas and Kanade 1981), and both the pictures and their edges have to agree.
Candidates are each image's nearest by correlation of very small pictures, which a shift of 5% and a
change of brightness leave alike. Images of up to 40 pixels can be moved onto many others: two of
them are candidates only where they are nearer to each other than chance has it in their data set
(see `_closer_than_chance`): shirts are all alike, photographs of 32 pixels are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from striate.data.health.signature import SIDE

Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]

_NEIGHBOURS = 5
_CHUNK = 1024
_ALIKE, _EDGES = 0.965, 0.86  # correlations of thumbnails and of their edges that say "the same"
_STEPS = 8
TINY = 40  # pixels
_COMPANY = 16  # neighbours that tell how near images of a data set lie
_CROWD = 64  # neighbours among which a crowd of copies ends
_LINKS = 3  # of a copy to its crowd
_GAP = 0.4  # logarithm of the distance beyond a crowd over that within: else 0.12 at most
_CHANCE = 1e-4  # that of an image without a double to have so near a neighbour
_DIRECTIONS = 96  # of largest variance, that tiny pictures are compared in

_PLACES = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1).astype(np.float32)  # -1 to 1
_SEEN = np.abs(_PLACES) < 0.88  # a crop has no more than this


def exact(hashes: list[str]) -> list[list[int]]:
    """Return groups of images with the same pixels.

    Example:
        >>> exact(["a", "b", "a"])
        [[0, 2]]
    """
    groups: dict[str, list[int]] = {}
    for index, each in enumerate(hashes):
        groups.setdefault(each, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def near(thumbnails: npt.NDArray[np.uint8], sides: npt.NDArray[np.int64]) -> Pairs:
    """Return pairs of images that show the same, (pairs, 2), each once and in order.

    Args:
        thumbnails: (n, 32, 32).
        sides: short side of each image, in pixels.
    """
    pictures = thumbnails.astype(np.float32)
    tiny = sides <= TINY
    candidates = [np.zeros((0, 2), np.int64)]
    if not tiny.all():
        candidates += [_similar(pictures, 8, 0.7), _similar(pictures, 16, 0.5)]
        candidates = [pairs[~tiny[pairs].any(axis=1)] for pairs in candidates]
    if tiny.any():
        close = _closer_than_chance(pictures)
        candidates.append(close[tiny[close].any(axis=1)])
    pairs = np.unique(np.concatenate(candidates), axis=0)
    same = [np.zeros(0, np.bool_)]
    for at in range(0, len(pairs), _CHUNK):
        first, second = (pictures[pairs[at : at + _CHUNK, each]] for each in (0, 1))
        picture, edges = _agreement(first, _aligned(first, second))
        same.append((picture > _ALIKE) & (edges > _EDGES))
    found: Pairs = pairs[np.concatenate(same)]
    return found


def _similar(pictures: Floats, side: int, least: float) -> Pairs:
    """Return each image's nearest by correlation of side x side pictures, as ordered pairs.

    Args:
        pictures: (n, 32, 32).
        side: of the pictures that are correlated.
        least: correlation below which nobody looks further.
    """
    likeness, others = _nearest(_small(pictures, side), _NEIGHBOURS)
    return _pairs(others, likeness > least)


def _closer_than_chance(pictures: Floats) -> Pairs:
    """Return pairs nearer to each other than others of the data set ever are, as ordered pairs.

    Where n images fill D dimensions evenly, the chance that one's nearest lies within a share r of
    the distance to its kth is k r^D at most. D is that of the data set: the inverse of the mean
    logarithm of such shares (Levina and Bickel 2004), here by the median over images. Pictures are
    compared along the directions of their largest variance, which are brought nearer to each other
    in size, for else all that counts is where light and shadow lie.

    Of an image with more copies than that all k are as far: it is told by the gap beyond its crowd.

    Args:
        pictures: (n, 32, 32); of too few nothing can be said.
    """
    if len(pictures) <= _COMPANY:
        return np.zeros((0, 2), np.int64)
    small = _small(pictures, 16)
    small -= small.mean(axis=0)
    variance, directions = np.linalg.eigh(small.T @ small / len(small))
    kept = min(_DIRECTIONS, len(small) // 8)
    scale = np.maximum(variance[::-1][:kept], 1e-12) ** -0.25
    whitened = small @ (directions[:, ::-1][:, :kept] * scale)
    whitened /= np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), 1e-6)
    likeness, others = _nearest(np.asarray(whitened, np.float32), _CROWD)
    logs = np.log(np.maximum(1 - likeness, 1e-7)) / 2  # of distances, up to a constant
    shares = logs[:, :_COMPANY] - logs[:, _COMPANY - 1 : _COMPANY]
    dimensions = -1 / min(float(np.median(shares[:, :-1].mean(axis=1))), -1e-6)
    near = shares * dimensions < np.log(_CHANCE / _COMPANY)
    crowded = np.diff(logs[:, _COMPANY - 1 :], axis=1).max(axis=1, initial=0) > _GAP
    near[crowded, :_LINKS] = True
    return _pairs(others, near)


def _small(pictures: Floats, side: int) -> Floats:
    """Return pictures averaged to side x side, without their mean, of norm 1: (n, side^2)."""
    block = SIDE // side
    small = pictures.reshape(-1, side, block, side, block).mean(axis=(2, 4))
    return _unit(small.reshape(len(small), -1))


def _nearest(rows: Floats, count: int) -> tuple[Floats, Pairs]:
    """Return the likeness of each row's nearest others, falling, and which they are.

    Args:
        rows: (n, values), of norm 1.
        count: how many, fewer where there are not as many.
    """
    count = min(count, len(rows) - 1)
    likenesses, others = [], []
    for first in range(0, len(rows), _CHUNK):
        likeness = rows[first : first + _CHUNK] @ rows.T
        mine = np.arange(len(likeness))
        likeness[mine, first + mine] = -1
        most = torch.from_numpy(likeness).topk(count, dim=1)  # numpy's takes 10x
        likenesses.append(most.values.numpy())
        others.append(most.indices.numpy())
    return np.concatenate(likenesses), np.concatenate(others)


def _pairs(others: Pairs, chosen: npt.NDArray[np.bool_]) -> Pairs:
    """Return the chosen of the pairs of a row's index and those in the row, each in order."""
    mine, column = np.nonzero(chosen)
    return np.sort(np.stack([mine, others[mine, column]], axis=1), axis=1).astype(np.int64)


def _unit(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6))


def _aligned(wanted: Floats, pictures: Floats) -> Floats:
    """Move and scale pictures onto others, upright: (pairs, 32, 32) both."""
    pairs = len(pictures)
    scale, shift = np.ones((pairs, 2), np.float32), np.zeros((pairs, 2), np.float32)
    moved = pictures
    for _ in range(_STEPS):
        down, across = np.gradient(moved, axis=1), np.gradient(moved, axis=2)
        columns: tuple[Any, ...] = (moved, np.ones_like(moved), down * _PLACES[:, None], down)
        columns += (across * _PLACES, across)
        matrix = np.stack([_inner(each) for each in columns], axis=2)
        normal = matrix.swapaxes(1, 2) @ matrix
        normal += (
            1e-3
            * np.eye(6, dtype=np.float32)
            * np.trace(normal, axis1=1, axis2=2)[:, None, None]
            / 6
        )
        right = matrix.swapaxes(1, 2) @ _inner(wanted)[..., None]
        answer = np.linalg.solve(normal, right)[..., 0]
        gain = np.where(np.abs(answer[:, :1]) > 0.1, answer[:, :1], 1.0) * (SIDE / 2)
        step = (answer[:, 2:] / gain).clip(-0.06, 0.06)
        scale = (scale + step[:, 0::2]).clip(0.85, 1.18)
        shift = (shift + step[:, 1::2]).clip(-0.12, 0.12)
        moved = _shown(pictures, scale, shift)
    return moved


def _inner(pictures: Floats) -> Floats:
    """Return what is not at the border, flat."""
    return pictures[:, _SEEN][:, :, _SEEN].reshape(len(pictures), -1)


def _shown(pictures: Floats, scale: Floats, shift: Floats) -> Floats:
    """Sample pictures at place * scale + shift, bilinearly; (pairs, 2) are down and across."""
    down, across = (_weights(scale[:, axis], shift[:, axis]) for axis in (0, 1))
    return np.asarray(down @ pictures @ across.swapaxes(1, 2), np.float32)


def _weights(scale: Floats, shift: Floats) -> Floats:
    places = (_PLACES * scale[:, None] + shift[:, None] + 1) * (SIDE / 2) - 0.5
    distance = np.abs(places.clip(0, SIDE - 1)[..., None] - np.arange(SIDE, dtype=np.float32))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)


def _agreement(first: Floats, second: Floats) -> tuple[Any, Any]:
    """Return the correlation of pictures, and that of their edges: (pairs,) each."""

    def correlate(one: Floats, other: Floats) -> Any:
        return (_unit(_inner(one)) * _unit(_inner(other))).sum(axis=1)

    edges = [
        correlate(np.gradient(first, axis=axis), np.gradient(second, axis=axis)) for axis in (1, 2)
    ]
    return correlate(first, second), np.minimum(*edges)


def grouped(sets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Join sets that share a number.

    Example:
        >>> grouped([[1, 2], [5, 6], [2, 3]])
        [[1, 2, 3], [5, 6]]
    """
    root: dict[int, int] = {}

    def top(number: int) -> int:
        while root.setdefault(number, number) != number:
            number = root[number]
        return number

    for one in sets:
        for number in one:
            root[max(top(one[0]), top(number))] = min(top(one[0]), top(number))
    groups: dict[int, list[int]] = {}
    for number in sorted(root):
        groups.setdefault(top(number), []).append(number)
    return [group for _, group in sorted(groups.items())]


def apartness(
    thumbnails: npt.NDArray[np.uint8],
    pairs: Sequence[tuple[int, int]],
    around: Sequence[Sequence[int]],
    least: float,
) -> list[float]:
    """Return how far pairs are apart, as a share of how far the nearest other image is from either.

    Args:
        thumbnails: (n, 32, 32).
        pairs: of images.
        around: for each pair, images that do not count as others (the pair itself among them).
        least: correlation below which a pair is as far apart as can be: infinitely.
    """
    small = _small(thumbnails.astype(np.float32), 16)
    found = []
    for (one, other), beside in zip(pairs, around, strict=True):
        like = float(small[one] @ small[other])
        if like < least:
            found.append(float("inf"))
            continue
        others = small[[one, other]] @ small.T
        others[:, list(beside)] = -1
        found.append((1 - like) / max(1 - float(others.max()), 1e-6))
    return found
