"""A layer's filters, and how near each is to the classical ones.

The first layer of a trained network tends to hold oriented edges and blobs of colour, as the first
area of visual cortex does; each filter's best Gabor function, and its nearest classical filter, say
how far that has gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.design import Conv
from striate.errors import DesignError
from striate.explain.attribution import Floats, to_array
from striate.explain.classical import bank
from striate.layers import Net
from striate.records import Record

_FREE = 8  # numbers that a Gabor function has


class GaborFit(Record, frozen=True, kw_only=True):
    """The Gabor function nearest to a filter.

    amplitude exp(-(u^2 + (aspect v)^2) / (2 width^2)) cos(2 pi u / wavelength + phase), with (u, v)
    the place relative to the centre, turned by `angle`

    Args:
        explained: share of the filter's energy that the function explains, 0 to 1.
        angle: of the wave's direction, in degrees from the horizontal, 0 to 180.
        wavelength, width: in pixels.
        aspect: of the envelope.
        phase: in degrees.
        centre: (row, column), relative to the filter's middle, in pixels.
        determined: whether the filter has more numbers than the function, at least twice as many;
            otherwise any filter is explained.
    """

    explained: float
    angle: float
    wavelength: float
    width: float
    aspect: float
    phase: float
    centre: tuple[float, float]
    determined: bool


@dataclass(frozen=True)
class Filters:
    """The filters of a convolution.

    Args:
        layer: its name.
        weights: (filters, channels, height, width).
        gabor: each filter's best Gabor function.
        nearest: each filter's nearest classical one, and their cosine, 0 to 1; among Gabor
            functions only where a filter has numbers enough to tell one by.
    """

    layer: str
    weights: Floats
    gabor: tuple[GaborFit, ...]
    nearest: tuple[tuple[str, float], ...]

    @property
    def pictures(self) -> list[Floats]:
        """Each filter as (height, width, 1 or 3), 0 to 1, grey where it is zero.

        Filters over other than 1 or 3 channels are shown by their main spatial part.
        """
        shown = self.weights if self.weights.shape[1] in (1, 3) else spatial(self.weights)[:, None]
        largest = np.abs(shown).max((1, 2, 3), keepdims=True)
        return list((0.5 + 0.5 * shown / np.maximum(largest, 1e-12)).transpose(0, 2, 3, 1))


def filters(net: Net, layer: str | None = None) -> Filters:
    """Return the filters of a convolution of images.

    Args:
        net: the net.
        layer: its name; the first convolution unless given.

    Raises:
        DesignError: the layer is no convolution of images, or there is none.
    """
    found = [
        each
        for each in net.network.layers
        if isinstance(each, Conv) and len(each.kernel) == 2 and layer in (None, each.name)
    ]
    if not found:
        which = "no convolution of images" if layer is None else f"no such convolution: {layer}"
        raise DesignError(f"{net.network.name} has {which}.")
    module = net.get_submodule(found[0].name)
    weights = to_array(module.weight)  # type: ignore[arg-type]
    shapes = spatial(weights)
    return Filters(found[0].name, weights, fit_gabor(shapes), nearest_classical(shapes))


def spatial(weights: Floats) -> Floats:
    """Return each filter's main spatial part, (filters, height, width).

    It is the first singular vector over channels times its strength: for one channel the filter
    itself, for colours the pattern without its colour.
    """
    count, channels, height, width = weights.shape
    if channels == 1:
        return weights[:, 0]
    matrix = weights.reshape(count, channels, -1)
    colours, strengths, patterns = np.linalg.svd(matrix, full_matrices=False)
    sign = np.sign(colours[:, :, 0].sum(1))
    sign[sign == 0] = 1
    main = (sign * strengths[:, 0])[:, None] * patterns[:, 0]
    return np.asarray(main.reshape(count, height, width), np.float32)


def nearest_classical(patterns: Floats) -> tuple[tuple[str, float], ...]:
    """Return each pattern's nearest classical filter and the magnitude of their cosine.

    Gabor functions are left out where a pattern has too few numbers to tell one by (`GaborFit`).
    """
    names, templates = bank(patterns.shape[1], patterns.shape[2])
    if not _tells_gabor(patterns[0].size):
        kept = [index for index, name in enumerate(names) if not name.startswith("gabor")]
        names, templates = tuple(names[index] for index in kept), templates[kept]
    flat = patterns.reshape(len(patterns), -1)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    cosines = np.abs(unit @ templates.reshape(len(names), -1).T)
    return tuple((names[int(row.argmax())], float(row.max())) for row in cosines)


def fit_gabor(patterns: Floats) -> tuple[GaborFit, ...]:
    """Fit a Gabor function to each pattern, (filters, height, width), by least squares.

    A grid over angle, wavelength, width, aspect and centre gives the start, amplitude and phase
    follow from two linear coefficients; gradient steps refine it.
    """
    target = torch.from_numpy(np.ascontiguousarray(patterns, np.float32)).double().flatten(1)
    rows, columns = _grid(patterns.shape[1], patterns.shape[2])
    starts = _starts(patterns.shape[1], patterns.shape[2])
    energy = (target**2).sum(1).clamp_min(1e-24)
    best = torch.cat([_explained(part, rows, columns, target) for part in torch.split(starts, 512)])
    chosen = starts[best.argmax(0)].clone().requires_grad_()
    kept, score = chosen.detach().clone(), best.max(0).values
    optimiser = torch.optim.Adam([chosen], lr=0.02)
    with torch.enable_grad():
        for _ in range(200):
            optimiser.zero_grad()
            now = _own(chosen, rows, columns, target)[0]
            (chosen.grad,) = torch.autograd.grad(-(now / energy).sum(), chosen)
            optimiser.step()
            better = now.detach() > score
            kept[better], score = chosen.detach()[better], torch.where(better, now.detach(), score)
    score, phases = _own(kept, rows, columns, target)
    return tuple(
        _fit(row, float(share), float(phase), patterns[0].size)
        for row, share, phase in zip(kept, (score / energy).clamp(0, 1), phases, strict=True)
    )


def _fit(row: Tensor, share: float, phase: float, size: int) -> GaborFit:
    angle, wavelength, width, aspect, y, x = row.tolist()
    return GaborFit(
        explained=share,
        angle=float(np.degrees(angle) % 180),
        wavelength=float(np.exp(wavelength)),
        width=float(np.exp(width)),
        aspect=float(np.exp(aspect)),
        phase=float(np.degrees(phase)),
        centre=(y, x),
        determined=_tells_gabor(size),
    )


def _tells_gabor(size: int) -> bool:
    """Tell whether a filter of so many numbers has enough to tell a Gabor function by."""
    return size >= 2 * _FREE


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(
        torch.arange(height).double() - (height - 1) / 2,
        torch.arange(width).double() - (width - 1) / 2,
        indexing="ij",
    )
    return rows.flatten(), columns.flatten()


def _starts(height: int, width: int) -> Tensor:
    """Return the start values, (starts, 6): angle, log wavelength, width and aspect, centre."""
    side = min(height, width)
    axes: list[npt.NDArray[np.float64]] = [
        np.arange(8) * np.pi / 8,
        np.log(side * np.array([0.35, 0.5, 0.75, 1.2, 2.5])),
        np.log(side * np.array([0.15, 0.25, 0.45])),
        np.log(np.array([0.6, 1.0])),
        height * np.array([-0.2, 0.0, 0.2]),
        width * np.array([-0.2, 0.0, 0.2]),
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 6)
    return torch.from_numpy(grid)


def _waves(row: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return the even and the odd wave of parameters (n, 6), each (n, pixels) of length 1."""
    angle, wavelength, width, aspect, y, x = row[:, :, None].unbind(1)
    down, across = rows[None] - y, columns[None] - x
    along = across * angle.cos() + down * angle.sin()
    aside = (down * angle.cos() - across * angle.sin()) * aspect.exp()
    envelope = (-(along**2 + aside**2) / (2 * (2 * width).exp())).exp()
    turn = 2 * torch.pi * along / wavelength.exp()
    even, odd = envelope * turn.cos(), envelope * turn.sin()
    even = even / even.norm(dim=1, keepdim=True).clamp_min(1e-12)
    odd = odd - (odd * even).sum(1, keepdim=True) * even
    return even, odd / odd.norm(dim=1, keepdim=True).clamp_min(1e-9)


def _explained(row: Tensor, rows: Tensor, columns: Tensor, target: Tensor) -> Tensor:
    """Return the energy that each start explains of each pattern: (starts, patterns)."""
    even, odd = _waves(row, rows, columns)
    return (even @ target.T) ** 2 + (odd @ target.T) ** 2


def _own(row: Tensor, rows: Tensor, columns: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the energy that each pattern's own parameters explain, and the phase: (patterns,)."""
    even, odd = _waves(row, rows, columns)
    one, two = (even * target).sum(1), (odd * target).sum(1)
    return one**2 + two**2, torch.atan2(-two, one)
