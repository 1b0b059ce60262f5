"""How alike two representations of the same images are: layers of a network, or two networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.contract import Contract
from striate.errors import UsageError
from striate.explain.attribution import Floats
from striate.explain.validity import correlation
from striate.explain.walk import looking, walk
from striate.inference import PixelNet
from striate.layers import Net

Doubles = npt.NDArray[np.float64]
Measure = Literal["cka", "rsa"]

_AT_ONCE = 64


@dataclass(frozen=True)
class Similarity:
    """How alike layers are.

    Args:
        measure: `cka` or `rsa`.
        rows, columns: names of the layers.
        values: (rows, columns), 1 for the same up to rotation and scale.
        images: how many it was measured on; CKA of few images is too high.
    """

    measure: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    images: int


def features(net: Net, contract: Contract, images: Tensor, layers: Sequence[str]) -> list[Doubles]:
    """Return what layers answer to images: (images, numbers) float64 each.

    Args:
        net: the net.
        contract: what its inputs are.
        images: (images, channels, height, width), pixels of 0 to 1.
        layers: their names.
    """
    found: list[list[Tensor]] = [[] for _ in layers]
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        for first in range(0, len(images), _AT_ONCE):
            values = walk(net, seen.normalise(images[first : first + _AT_ONCE]), tuple(layers))
            for kept, name in zip(found, layers, strict=True):
                kept.append(values[name].flatten(1).double().cpu())
    return [torch.cat(each).numpy() for each in found]


def similarity(
    one: Sequence[tuple[str, Doubles]],
    other: Sequence[tuple[str, Doubles]],
    measure: Measure = "cka",
) -> Similarity:
    """Compare each of some representations with each of others, of the same images.

    Args:
        one, other: names and (images, numbers), as `features` gives them.
        measure: `cka`, linear centred kernel alignment; or `rsa`, the rank correlation of the
            distances between images.

    Raises:
        UsageError: they are of different numbers of images, or of fewer than three.

    Source: Kornblith et al., "Similarity of neural network representations revisited", ICML 2019,
    equation 3; Kriegeskorte, Mur, Bandettini, "Representational similarity analysis", 2008.
    """
    counts = {len(values) for _, values in (*one, *other)}
    if len(counts) != 1 or min(counts) < 3:
        raise UsageError(
            f"Expected representations of the same three images or more, received {sorted(counts)}."
        )
    prepare = _gram if measure == "cka" else _distances
    rows = [prepare(values) for _, values in one]
    columns = [prepare(values) for _, values in other]
    compare = _cosine if measure == "cka" else _rank
    values = [[compare(row, column) for column in columns] for row in rows]
    return Similarity(
        measure,
        tuple(name for name, _ in one),
        tuple(name for name, _ in other),
        np.asarray(values, np.float32),
        counts.pop(),
    )


def _gram(values: Doubles) -> Doubles:
    """Return the Gram matrix of centred features; CKA is the cosine of two of them."""
    centred = values - values.mean(0)
    return np.asarray(centred @ centred.T)


def _cosine(one: Doubles, other: Doubles) -> float:
    scale = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / scale) if scale else 0.0


def _distances(values: Doubles) -> Doubles:
    """Return 1 less the correlation of each pair of images, the upper triangle."""
    centred = values - values.mean(1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return np.asarray((1 - unit @ unit.T)[np.triu_indices(len(values), 1)])


def _rank(one: Doubles, other: Doubles) -> float:
    return correlation(np.asarray(one), np.asarray(other))
