"""Shift consistency: how often an answer stays the same when the image moves a little."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from striate.contract import Contract
from striate.explain.walk import looking
from striate.inference import PixelNet
from striate.layers import Net
from striate.records import Record

_AT_ONCE = 64


class ShiftConsistency(Record, frozen=True, kw_only=True):
    """How often a shift leaves the answer as it was.

    Args:
        images: how many were shifted.
        shifts: distances, in pixels.
        same: share of (image, direction) whose answer is the unshifted image's, for each distance.
        drop: by how much the probability of that answer falls on average, for each distance.
    """

    images: int
    shifts: tuple[int, ...]
    same: tuple[float, ...]
    drop: tuple[float, ...]


def shift_consistency(
    net: Net, contract: Contract, images: Tensor, *, most: int = 8
) -> ShiftConsistency:
    """Shift images by 1 to `most` pixels in the eight directions; edges are repeated.

    Args:
        net: the net.
        contract: what its inputs are.
        images: (images, channels, height, width), pixels of 0 to 1.
        most: the longest shift, in pixels.

    Source: Zhang, "Making convolutional networks shift-invariant again", ICML 2019, section 4.
    """
    ways = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    same, drop = [], []
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        before = _likely(seen, images)
        confidence, answer = before.max(1)
        for distance in range(1, most + 1):
            kept, fallen = 0.0, 0.0
            for y, x in ways:
                after = _likely(seen, moved(images, y * distance, x * distance))
                kept += float((after.argmax(1) == answer).float().mean())
                fallen += float((confidence - after.gather(1, answer[:, None])[:, 0]).mean())
            same.append(kept / len(ways))
            drop.append(fallen / len(ways))
    return ShiftConsistency(
        images=len(images), shifts=tuple(range(1, most + 1)), same=tuple(same), drop=tuple(drop)
    )


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Return images moved by whole pixels, their edges repeated: the same shape."""
    height, width = images.shape[2:]
    reach = (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0))
    padded = functional.pad(images, reach, mode="replicate")
    top, left = max(-down, 0), max(-right, 0)
    return padded[..., top : top + height, left : left + width]


def _likely(seen: PixelNet, images: Tensor) -> Tensor:
    last = torch.channels_last  # a third less time, with the same sums but for their rounding
    parts = torch.split(images, _AT_ONCE)
    return torch.cat([seen(part.contiguous(memory_format=last)).softmax(1) for part in parts])
