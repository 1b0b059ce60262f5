"""Convolution as a product of spectra: over the whole map, and over tiles of 16 x 16.

A correlation of maps is a product of spectra, one filter's conjugated; channels are summed in the
spectrum, where each frequency is a small matrix product of its own. Its cost does not depend on the
filter's size, so it is for large filters; whole-map spectra take memory, tiles keep it small.

    Y(f) = X(f) W(f)*      dX(f) = dY(f) W(f)      dW(f) = X(f) dY(f)*

What is not finite in an image spreads over all of its map (its tile, where tiled), never to another
image.

Source: Mathieu, Henaff and LeCun, Fast Training of Convolutional Networks through FFTs, 2013;
Vasilache et al., Fast Convolutional Nets With fbfft, 2014; tiles: NNPACK, and Zlateski et al. 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from striate.ops.algorithm import NO_STRIDE, Algorithm, Limit, numbers
from striate.ops.padding import crop, pad
from striate.ops.problem import Pair, Problem

TILE = 16
"""Pixels along a tile's side."""


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution, every stride-th value of the full one."""
    product = _images(pad(x, task), task) @ _filters(weight, task).mH
    y: Tensor = torch.fft.irfft2(_unpacked(product, task), s=task.padded)
    high, wide = task.out_size
    return y[:, :, :: task.stride[0], :: task.stride[1]][:, :, :high, :wide]


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image."""
    product = _images(_spaced(gradient, task), task) @ _filters(weight, task)
    return crop(torch.fft.irfft2(_unpacked(product, task), s=task.padded), task)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters."""
    product = _images(_spaced(gradient, task), task).mH @ _images(pad(x, task), task)
    _, rows, columns = product.shape
    frequencies = product.reshape(-1, task.groups, rows, columns).permute(1, 2, 3, 0)
    spectra = frequencies.reshape(task.features, columns, task.padded[0], -1)
    dilated: Tensor = torch.fft.irfft2(spectra, s=task.padded)[
        ..., : task.reach[0], : task.reach[1]
    ]
    return dilated[..., :: task.dilation[0], :: task.dilation[1]]


def _images(x: Tensor, task: Problem) -> Tensor:
    """Return spectra as matrices: (batch, channels, *padded) -> (F * groups, batch, channels)."""
    spectra: Tensor = torch.fft.rfft2(x, s=task.padded).flatten(2)
    grouped = spectra.reshape(x.shape[0], task.groups, -1, spectra.shape[-1])
    return grouped.permute(3, 1, 0, 2).flatten(0, 1)


def _filters(weight: Tensor, task: Problem) -> Tensor:
    """Return the dilated filters' spectra: -> (F * groups, features, channels), each by group."""
    dilated = weight.new_zeros(*weight.shape[:2], *task.reach)
    dilated[..., :: task.dilation[0], :: task.dilation[1]] = weight
    spectra: Tensor = torch.fft.rfft2(dilated, s=task.padded).flatten(2)
    grouped = spectra.reshape(task.groups, -1, weight.shape[1], spectra.shape[-1])
    return grouped.permute(3, 0, 1, 2).flatten(0, 1)


def _unpacked(product: Tensor, task: Problem) -> Tensor:
    """Return matrices as spectra: (F * groups, batch, maps) -> (batch, groups * maps, *F)."""
    _, batch, maps = product.shape
    spectra = product.reshape(-1, task.groups, batch, maps).permute(2, 1, 3, 0)
    return spectra.reshape(batch, task.groups * maps, task.padded[0], -1)


def _spaced(gradient: Tensor, task: Problem) -> Tensor:
    """Return the output's gradient with zeros where the stride skipped."""
    if task.stride == (1, 1):
        return gradient
    (down, across), (high, wide) = task.stride, task.out_size
    full = gradient.new_zeros(*gradient.shape[:2], down * (high - 1) + 1, across * (wide - 1) + 1)
    full[:, :, ::down, ::across] = gradient
    return full


def _workspace(task: Problem) -> int:
    high, wide = task.padded
    maps = task.batch * (task.channels + task.features)
    maps += task.features * task.channels // task.groups
    return maps * high * (wide // 2 + 1) * (16 if task.dtype == "float64" else 8)


FFT = Algorithm(
    name="fft",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=(numbers("float32", "float64"),),
    workspace_bytes=_workspace,
    relative_error=lambda task: 2e-6,
)


# -- tiles -----------------------------------------------------------------------------------------


def tiled_forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution, tile by tile."""
    one = _tile_problem(task)
    (high, wide), (down, across) = task.out_size, one.out_size
    tiles, counts = _overlapping(pad(x, task), one)
    y = forward(tiles, weight, one.replace(batch=len(tiles)))
    y = y.reshape(task.batch, *counts, task.features, down, across).permute(0, 3, 1, 4, 2, 5)
    return y.reshape(task.batch, task.features, counts[0] * down, -1)[:, :, :high, :wide]


def tiled_by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: a convolution with the filters turned round."""
    (above, below), (left, right) = task.padding
    back_y, back_x = task.reach[0] - 1, task.reach[1] - 1
    turned = weight.reshape(task.groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    back = task.replace(
        channels=task.features,
        features=task.channels,
        size=task.out_size,
        padding=((back_y - above, back_y - below), (back_x - left, back_x - right)),
    )
    return tiled_forward(gradient, turned.flip(2, 3), back)


def tiled_by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters: those of all tiles, summed in the spectrum."""
    one = _tile_problem(task)
    tiles, counts = _overlapping(pad(x, task), one)
    high, wide = one.out_size
    size = (counts[0] * high - gradient.shape[2], counts[1] * wide - gradient.shape[3])
    whole = functional.pad(gradient, (0, size[1], 0, size[0]))
    parts = whole.unfold(2, high, high).unfold(3, wide, wide).permute(0, 2, 3, 1, 4, 5)
    return by_weight(tiles, parts.flatten(0, 2), one.replace(batch=len(tiles)))


def _tile_problem(task: Problem) -> Problem:
    return task.replace(size=(TILE, TILE), padding=((0, 0), (0, 0)))


def _overlapping(padded: Tensor, one: Problem) -> tuple[Tensor, Pair]:
    """Return tiles that overlap by a filter's reach, and how many there are down and across."""
    (high, wide), (down, across) = padded.shape[2:], one.out_size
    counts = (-(-(high - TILE + down) // down), -(-(wide - TILE + across) // across))
    more = (counts[1] - 1) * across + TILE - wide, (counts[0] - 1) * down + TILE - high
    whole = functional.pad(padded, (0, more[0], 0, more[1]))
    tiles = whole.unfold(2, TILE, down).unfold(3, TILE, across)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2), counts


def _tiled_workspace(task: Problem) -> int:
    one = _tile_problem(task)
    (high, wide), (down, across) = task.out_size, one.out_size
    tiles = task.batch * -(-high // down) * -(-wide // across)
    values = tiles * (task.channels + task.features) * TILE * TILE
    return values * 4 + _workspace(one.replace(batch=tiles))


FFT_TILED = Algorithm(
    name="fft_tiled",
    forward=tiled_forward,
    by_input=tiled_by_input,
    by_weight=tiled_by_weight,
    limits=(
        numbers("float32", "float64"),
        NO_STRIDE,
        Limit(
            f"filters that reach over {TILE // 2 + 1} pixels at most",
            "kernel dilation",
            lambda task: max(task.reach) <= TILE // 2 + 1,
        ),
    ),
    workspace_bytes=_tiled_workspace,
    relative_error=lambda task: 2e-6,
)
