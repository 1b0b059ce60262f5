"""Images that show the same: exactly, or re-encoded, resized, brightened or cropped a little.

Candidates are each image's nearest by correlation of very small pictures, which a shift of 5% and a
change of brightness leave alike. Each is then judged: one thumbnail is moved, scaled and brightened
onto the other by least squares (Lucas and Kanade 1981), and both the pictures and their edges have
to agree. Images of up to 40 pixels are compared as they lie, since so small ones can be moved onto
many others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from striate.data.health.signature import SIDE

Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]

_NEIGHBOURS = 5
_CHUNK = 1024
_LEAST = 0.7  # correlation of 8x8 pictures below which nobody looks further
_ALIKE, _EDGES = 0.965, 0.86  # correlations of thumbnails and of their edges that say "the same"
_STEPS = 8
_TINY = 40  # pixels
_TINY_ALIKE, _TINY_EDGES = 0.985, 0.95

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
    candidates = np.unique(np.concatenate([_nearest(pictures, 8), _nearest(pictures, 16)]), axis=0)
    found = []
    for first in range(0, len(candidates), _CHUNK):
        pairs = candidates[first : first + _CHUNK]
        tiny = sides[pairs].min(axis=1) <= _TINY
        moved = pictures[pairs[:, 1]].copy()
        if not tiny.all():
            moved[~tiny] = _aligned(pictures[pairs[~tiny, 0]], moved[~tiny])
        picture, edges = _agreement(pictures[pairs[:, 0]], moved)
        alike = picture > np.where(tiny, _TINY_ALIKE, _ALIKE)
        found.append(pairs[alike & (edges > np.where(tiny, _TINY_EDGES, _EDGES))])
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _nearest(pictures: Floats, side: int) -> Pairs:
    """Return each image's nearest by correlation of side x side pictures, as ordered pairs."""
    block = SIDE // side
    small = pictures.reshape(-1, side, block, side, block).mean(axis=(2, 4))
    small = _unit(small.reshape(len(small), -1))
    count = min(_NEIGHBOURS, len(small) - 1)
    if count < 1:
        return np.zeros((0, 2), np.int64)
    found = []
    for first in range(0, len(small), _CHUNK):
        likeness = small[first : first + _CHUNK] @ small.T
        rows = np.arange(len(likeness))
        likeness[rows, first + rows] = -1
        most = torch.from_numpy(likeness).topk(count, dim=1, sorted=False)  # numpy's takes 10x
        mine, others = np.repeat(first + rows, count), most.indices.numpy().ravel()
        close = most.values.numpy().ravel() > (_LEAST if side == 8 else 0.5)
        found.append(np.stack([mine, others], axis=1)[close])
    return np.sort(np.concatenate(found), axis=1).astype(np.int64)


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
