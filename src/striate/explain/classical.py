"""The filters that people wrote before any were learnt, to compare learnt ones with."""

from __future__ import annotations

import numpy as np

from striate.explain.attribution import Floats


def bank(height: int, width: int) -> tuple[tuple[str, ...], Floats]:
    """Return classical filters of a size, each of length 1.

    Gaussian, Laplacian of a Gaussian (centre and surround), derivatives of a Gaussian in eight
    directions (Sobel's and edge filters), and Gabor functions in eight directions, two wavelengths
    and two phases.

    Returns:
        Their names, and (filters, height, width).
    """
    rows, columns = np.meshgrid(
        np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
    )
    side = min(height, width)
    spread = side / 4
    blob = np.exp(-(rows**2 + columns**2) / (2 * spread**2))
    ring = ((rows**2 + columns**2) / (2 * spread**2) - 1) * blob
    made = {"gaussian": blob, "laplacian": ring - ring.mean()}
    for turn in range(8):
        degrees = turn * 22.5
        angle = np.radians(degrees)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        made[f"edge {degrees:.0f} deg"] = along * blob
        for wavelength in (side / 1.5, side / 2.5):
            for name, phase in (("even", 0.0), ("odd", np.pi / 2)):
                wave = blob * np.cos(2 * np.pi * along / wavelength + phase)
                label = f"gabor {degrees:.0f} deg, {name}, {wavelength:.2g} px"
                made[label] = wave - wave.mean() if name == "even" else wave
    stack = np.stack(list(made.values()))
    lengths = np.linalg.norm(stack.reshape(len(stack), -1), axis=1)[:, None, None]
    return tuple(made), np.asarray(stack / np.maximum(lengths, 1e-12), np.float32)


def sobel() -> Floats:
    """Return Sobel's two filters, horizontal and vertical change: (2, 3, 3)."""
    across = np.outer([1, 2, 1], [-1, 0, 1])
    return np.stack([across, across.T]).astype(np.float32)


def respond(picture: Floats, kernels: Floats) -> Floats:
    """Filter a grey picture, edges repeated: (height, width), (n, h, w) -> (n, height, width)."""
    count, high, wide = kernels.shape
    edges = ((high // 2, high - 1 - high // 2), (wide // 2, wide - 1 - wide // 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, edges, "edge"), (high, wide))
    return np.asarray(np.einsum("yxij,nij->nyx", windows, kernels), np.float32)
