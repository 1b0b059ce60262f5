"""What images have in common, measured: the mean image, and the matrix that whitens what is left.

x -> x - mean, or x -> matrix (x - mean); x is an image as its contract makes it. The matrix is the
symmetric one (zero-phase component analysis): of all that make values uncorrelated and of unit
variance it changes an image least, so that the result still looks like one.

matrix = U diag(1 / sqrt(eigenvalues + epsilon)) U', the covariance being U diag(eigenvalues) U'

Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, appendix A;
epsilon as in Coates, Ng, Lee, "An analysis of single-layer networks in unsupervised feature
learning", AISTATS 2011, for values of unit variance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate import progress
from striate.contract import Contract
from striate.data.loader import Loader
from striate.data.samples import Samples
from striate.design.centred import MEAN_IMAGE, WHITENING, Centring
from striate.ops import usable_cores

_MOST = 20_000  # images that are looked at, spread evenly over the samples
_BATCH = 256


class Whitening(NamedTuple):
    """A mean image, and a matrix where there is one.

    Args:
        mean: (channels, height, width) float32.
        matrix: (values, values) float32, values = channels * height * width; or None.
    """

    mean: Tensor
    matrix: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Centre and whiten images, (n, channels, height, width), as the network's layers do."""
        centred = images - self.mean
        if self.matrix is None:
            return centred
        return (centred.flatten(1) @ self.matrix.T).view_as(centred)

    def tensors(self) -> dict[str, Tensor]:
        """Return what the network's first layers hold, by name."""
        named = {MEAN_IMAGE: self.mean}
        return named if self.matrix is None else {**named, WHITENING: self.matrix}


def measure_whitening(
    samples: Samples, contract: Contract, centring: Centring, epsilon: float
) -> Whitening | None:
    """Measure mean image and whitening on images as the contract makes them, not augmented.

    Of all samples, or of 20,000 spread evenly over them.

    Args:
        samples: what will be trained on.
        contract: what they go through first; values of about unit variance.
        centring: what is wanted; None is returned for `none`.
        epsilon: variance below which a direction is noise rather than image.
    """
    if centring == "none":
        return None
    places = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _MOST)).astype(np.int64))
    loader = Loader(
        samples.subset(places),
        contract,
        batch=_BATCH,
        seed=0,
        shuffle=False,
        workers=usable_cores(),
    )
    values = int(np.prod(contract.shape))
    total = torch.zeros(values, dtype=torch.float64)
    products = torch.zeros((values, values) if centring == "zca" else (0, 0), dtype=torch.float64)
    for batch in progress.track(
        loader.epoch(0), "measuring whitening", "images", len(places), lambda each: each.total
    ):
        rows = batch.images.flatten(1)
        total += rows.double().sum(0)
        if centring == "zca":
            products += rows.T @ rows
    mean = total / len(places)
    image = mean.float().view(contract.shape)
    if centring == "mean_image":
        return Whitening(image)
    variances, axes = torch.linalg.eigh(products / len(places) - torch.outer(mean, mean))
    matrix = (axes * (variances.clamp_min(0) + epsilon).rsqrt()) @ axes.T
    return Whitening(image, matrix.float())
