"""Maps over images: colour where something counts, the image faint behind it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from striate.draw.figure import Pixels

Floats = npt.NDArray[np.floating]

# dark blue, blue, pale, orange, dark red: told apart also without red or green
_DIVERGING = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (244, 125, 60), (128, 10, 20))
_HEAT = ((20, 11, 52), (101, 21, 110), (190, 55, 82), (249, 142, 8), (252, 255, 164))


def colours(values: Floats, *, signed: bool = False) -> Pixels:
    """Colour a map, (height, width) -> (height, width, 3) uint8.

    Args:
        values: scaled by their 99.5th percentile, so that one pixel does not darken the rest.
        signed: zero is pale, positive orange to red, negative blue; otherwise dark is zero.
    """
    size = np.abs(values) if signed else values
    top = max(float(np.percentile(size, 99.5)), float(size.max()) * 1e-3, 1e-12)
    share = (values / (2 * top) + 0.5) if signed else values / top
    return _ramp(np.clip(share, 0, 1), _DIVERGING if signed else _HEAT)


def overlay(image: Pixels, values: Floats, *, signed: bool = False, greyed: bool = False) -> Pixels:
    """Lay a map over an image: (height, width, 3) uint8.

    Args:
        image: (height, width, 1 or 3) uint8.
        values: (height, width), as of `colours`.
        signed: as of `colours`.
        greyed: without colour, pale: for a map that is not to be believed.
    """
    luminance = image.mean(axis=2, keepdims=True)
    paper = np.broadcast_to(luminance, (*image.shape[:2], 3))
    coloured = colours(values, signed=signed).astype(np.float64)
    mixed = 0.35 * paper + 0.65 * coloured
    if greyed:
        grey = mixed.mean(axis=2, keepdims=True)
        mixed = np.broadcast_to(0.35 * grey + 0.65 * 225, mixed.shape)
    return np.asarray(mixed.round(), np.uint8)


def signed_picture(values: Floats) -> Pixels:
    """Show values about zero as a picture, grey at zero: (channels, height, width) -> uint8."""
    top = max(float(np.percentile(np.abs(values), 99.5)), 1e-12)
    shown = np.clip(0.5 + 0.5 * values / top, 0, 1)
    return np.asarray((shown * 255).round(), np.uint8).transpose(1, 2, 0)


def _ramp(share: Floats, stops: tuple[tuple[int, int, int], ...]) -> Pixels:
    table = np.asarray(stops, np.float64)
    places = np.linspace(0, 1, len(table))
    bands = [np.interp(share, places, table[:, band]) for band in range(3)]
    return np.asarray(np.stack(bands, -1).round(), np.uint8)
