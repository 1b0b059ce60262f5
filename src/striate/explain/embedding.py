"""t-SNE: images laid out so that those whose features are near one another lie together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from striate.errors import UsageError
from striate.explain.attribution import Floats
from striate.randomness import stream

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Embedding:
    """Places of images in the plane.

    Args:
        places: (images, 2).
        neighbours: share of the ten nearest neighbours in the features that are among the ten
            nearest in the plane; chance is 10 / (images - 1).
        divergence: what was minimised, in nats.
    """

    places: Floats
    neighbours: float
    divergence: float


def embed(
    features: Doubles, *, perplexity: float = 30.0, steps: int = 500, seed: int = 0
) -> Embedding:
    """Lay images out by exact t-SNE, from their two main directions.

    Args:
        features: (images, numbers), up to a few thousand images.
        perplexity: neighbours that an image has, in effect; at most a third of the images.
        steps: of gradient descent; the first quarter with exaggerated attraction.
        seed: of the tie-breaking noise.

    Raises:
        UsageError: fewer than four images.

    Source: van der Maaten, Hinton, "Visualizing data using t-SNE", JMLR 9, 2008.
    """
    count = len(features)
    if count < 4:
        raise UsageError(f"Expected at least four images to lay out, received {count}.")
    centred = features - features.mean(0)
    if min(centred.shape) > 50:  # the main directions hold what t-SNE uses
        left, strength, _ = np.linalg.svd(centred, full_matrices=False)
        centred = left[:, :50] * strength[:50]
    distances = _squared(centred)
    attraction = _attraction(distances, min(perplexity, (count - 1) / 3))
    places = _start(centred, seed)
    velocity, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(count / 12.0, 50.0)
    for step in range(steps):
        early = step < steps // 4
        slope, _ = _slope(attraction * (12.0 if early else 1.0), places)
        gains = np.where(np.sign(slope) != np.sign(velocity), gains + 0.2, gains * 0.8).clip(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * slope
        places = places + velocity
        places -= places.mean(0)
    _, divergence = _slope(attraction, places)
    kept = _neighbours(distances, _squared(places), min(10, count - 2))
    return Embedding(places.astype(np.float32), kept, divergence)


def _squared(values: Doubles) -> Doubles:
    norms = (values**2).sum(1)
    return np.asarray(np.maximum(norms[:, None] + norms[None] - 2 * values @ values.T, 0.0))


def _attraction(distances: Doubles, perplexity: float) -> Doubles:
    """Return joint probabilities whose entropy, image by image, is that of the perplexity."""
    count = len(distances)
    low, high, precision = np.zeros(count), np.full(count, np.inf), np.ones(count)
    precision /= np.maximum(np.median(distances, axis=1), 1e-12)
    others = ~np.eye(count, dtype=bool)
    nearest = np.where(others, distances, np.inf).min(1)
    for _ in range(64):
        weights = np.exp(-(distances - nearest[:, None]) * precision[:, None]) * others
        shares = weights / weights.sum(1, keepdims=True)
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, precision, low), np.where(wide, high, precision)
        precision = np.where(np.isinf(high), precision * 2, (low + np.minimum(high, 1e300)) / 2)
    return np.asarray(np.maximum((shares + shares.T) / (2 * count), 1e-12))


def _start(centred: Doubles, seed: int) -> Doubles:
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    places = left[:, :2] * strength[:2]
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    noise = stream(seed, "embed").normal("start", 0, 1e-6, places.shape)
    return np.asarray(places / max(float(places[:, 0].std()), 1e-12) * 1e-4 + noise)


def _slope(attraction: Doubles, places: Doubles) -> tuple[Doubles, float]:
    """Return the gradient of the Kullback-Leibler divergence, and the divergence."""
    closeness = 1 / (1 + _squared(places))
    np.fill_diagonal(closeness, 0.0)
    shares = np.maximum(closeness / closeness.sum(), 1e-12)
    pull = (attraction - shares) * closeness
    slope = 4 * (pull.sum(1)[:, None] * places - pull @ places)
    return slope, float((attraction * np.log(attraction / shares)).sum())


def _neighbours(one: Doubles, other: Doubles, count: int) -> float:
    sets = []
    for distances in (one, other):
        far = distances + np.diag(np.full(len(distances), np.inf))
        sets.append(np.argsort(far, axis=1, kind="stable")[:, :count])
    shared = [len(np.intersect1d(a, b)) for a, b in zip(*sets, strict=True)]
    return float(np.mean(shared)) / count
