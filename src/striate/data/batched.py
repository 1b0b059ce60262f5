"""Augmentation of a batch that lies on a device already: the maps, colours and holes of `warp`.

The same draws, the same triangle about each place; sums come in another order, so images agree with
the processor's to float32 rounding, not to the bit. That is why training takes one way or the
other, and a recipe's results are those of the processor's unless it is said otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.data import warp
from striate.data.augmenter import Augmenter, Draws
from striate.errors import UsageError


def augment_batch(augmenter: Augmenter, draws: Draws, images: Tensor) -> Tensor:
    """Change images of one size, each as its draw says.

    Args:
        augmenter: what may happen; changes of histograms and noise are the processor's alone.
        draws: of these images.
        images: (batch, channels, height, width) uint8 or float levels, in the contract's channels.

    Returns:
        (batch, channels, input_height, input_width) float32, on the images' device.

    Raises:
        UsageError: a change that is made on the processor only.
        ContractError: the images do not come to the network's size.
    """
    if draws.tones.shape[1]:
        raise UsageError(
            "Expected changes of place, colour matrices and erasing for a batch on a device; "
            "noise, RandAugment and TrivialAugment are made on the processor."
        )
    sizes = np.tile(np.array(images.shape[2:], np.int64), (len(images), 1))
    maps = torch.from_numpy(augmenter.maps(draws, sizes)).to(images.device)
    steps = torch.from_numpy(draws.steps).to(images.device)
    fill = torch.from_numpy(augmenter.fill).to(images.device)
    levels = sample(images, steps, maps, augmenter.contract.size, augmenter.border, fill)
    if draws.colours.shape[1]:
        levels = _coloured(levels, torch.from_numpy(draws.colours).to(images.device), augmenter)
    slope, offset = (
        torch.from_numpy(each).to(images.device)[:, None, None]
        for each in (augmenter.slope, augmenter.offset)
    )
    return _erased(levels * slope + offset, draws.holes)


def sample(
    images: Tensor,
    steps: Tensor,
    maps: Tensor,
    size: tuple[int, int],
    border: int,
    fill: Tensor,
) -> Tensor:
    """Sample images through maps, antialiased.

    Args:
        images: (batch, channels, height, width) levels.
        steps: as `bending.chain` has them: (batch, count, STEP) float64.
        maps: (batch, 2, 3) float64.
        size: height and width of the result.
        border: `warp.ZERO`, `warp.EDGE` or `warp.REFLECT`.
        fill: what is outside under ZERO: (channels,) float32.

    Returns:
        (batch, channels, *size) float32.
    """
    u, v, wide, tall = _places(steps, maps, size)
    most = float(warp.MOST_REACH) if steps.shape[1] else math.inf
    outside = torch.zeros_like(u, dtype=torch.bool)
    taps = []
    for place, shrunk, length in ((v, tall, images.shape[2]), (u, wide, images.shape[3])):
        beyond, place = _inside(place, length, border)
        outside |= beyond
        taps.append(_taps(place, shrunk.clamp(1.0, most), length))
    flat = images.flatten(2)
    total = torch.zeros(len(images), images.shape[1], *size, device=images.device)
    for row, down in zip(*taps[0], strict=True):
        for column, across in zip(*taps[1], strict=True):
            index = (
                (row * images.shape[3] + column).flatten(1)[:, None].expand(-1, flat.shape[1], -1)
            )
            total += flat.gather(2, index).view_as(total).float() * (down * across)[:, None]
    return torch.where(outside[:, None], fill[:, None, None], total)


def _places(steps: Tensor, maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Return where places are shown from and how much maps shrink there: each (batch, *size)."""
    y, x = (
        (torch.arange(length, dtype=torch.float64, device=maps.device) + 0.5) for length in size
    )
    x, y = (each.expand(len(maps), *size) for each in (x[None, :], y[:, None]))
    xx, xy, yx, yy = (
        torch.ones_like(x),
        torch.zeros_like(x),
        torch.zeros_like(x),
        torch.ones_like(x),
    )
    lost = torch.zeros_like(x, dtype=torch.bool)
    for k in reversed(range(steps.shape[1])):
        h = [each[:, None, None] for each in steps[:, k].unbind(1)]
        depth = h[6] * x + h[7] * y + h[8]
        lost, depth = lost | (depth <= 0), depth.where(depth > 0, 1.0)
        u, v = (h[0] * x + h[1] * y + h[2]) / depth, (h[3] * x + h[4] * y + h[5]) / depth
        a, b = (h[0] - u * h[6]) / depth, (h[1] - u * h[7]) / depth
        c, d = (h[3] - v * h[6]) / depth, (h[4] - v * h[7]) / depth
        xx, xy, yx, yy = a * xx + b * yx, a * xy + b * yy, c * xx + d * yx, c * xy + d * yy
        scale = 1 / (h[11] ** 2 + h[12] ** 2)
        x, y = u - h[11], v - h[12]
        square = (x**2 + y**2) * scale
        factor = 1 + h[9] * square + h[10] * square**2
        more = 2 * scale * (h[9] + 2 * h[10] * square)
        a, b, d = factor + more * x * x, more * x * y, factor + more * y * y
        xx, xy, yx, yy = a * xx + b * yx, a * xy + b * yy, b * xx + d * yx, b * xy + d * yy
        x, y = h[11] + x * factor, h[12] + y * factor
    (a, b, e), (c, d, f) = ([one[:, None, None] for one in row.unbind(1)] for row in maps.unbind(1))
    wide, tall = (
        torch.hypot(a * xx + b * yx, a * xy + b * yy),
        torch.hypot(c * xx + d * yx, c * xy + d * yy),
    )
    return (
        (a * x + b * y + e).masked_fill(lost, -1e9),
        (c * x + d * y + f).masked_fill(lost, -1e9),
        wide.masked_fill(lost, 1.0),
        tall.masked_fill(lost, 1.0),
    )


def _inside(place: Tensor, length: int, border: int) -> tuple[Tensor, Tensor]:
    """Return which places show the fill, and the place in 0 to length that is shown for others."""
    if border == warp.REFLECT and length > 1:
        period = 2.0 * (length - 1)
        centre = (place - 0.5).abs() % period
        return torch.zeros_like(place, dtype=torch.bool), centre.minimum(period - centre) + 0.5
    beyond = (place < 0) | (place >= length)
    edge = place.clamp(0.5, length - 0.5)
    place = torch.where(beyond, edge, place)
    return (beyond if border == warp.ZERO else torch.zeros_like(beyond)), place


def _taps(place: Tensor, reach: Tensor, length: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the pixels around places and their weights, which sum to 1."""
    first = (place - reach + 0.5).floor().clamp_min(0)
    count = int((2 * reach).max()) + 2
    pixels, weights = [], []
    for k in range(count):
        pixel = first + k
        weight = (1 - (pixel + 0.5 - place).abs() / reach).clamp_min(0)
        weights.append(weight.masked_fill(pixel >= length, 0.0))
        pixels.append(pixel.clamp_max(length - 1).long())
    total = torch.stack(weights).sum(0)
    return pixels, [(weight / total).float() for weight in weights]


def _coloured(levels: Tensor, colours: Tensor, augmenter: Augmenter) -> Tensor:
    channels = levels.shape[1]
    luma = torch.from_numpy(augmenter.luma).to(levels.device)
    mean = (levels * luma[:, None, None]).sum(1).mean((1, 2))
    added = colours[:, :, channels] * mean[:, None] + colours[:, :, channels + 1]
    mixed = torch.einsum("ncd,ndhw->nchw", colours[:, :, :channels], levels)
    return (mixed + added[:, :, None, None]).clamp(0, 255)


def _erased(images: Tensor, holes: Any) -> Tensor:
    for image, rectangles in zip(images, holes.tolist(), strict=True):
        for top, left, bottom, right in rectangles:
            image[:, top:bottom, left:right] = 0.0
    return images
