"""Figures of merit as small pure functions of numpy arrays.

Every one is checked against scikit-learn or a closed form in the tests. A proportion never comes
without its interval: `wilson` stays inside [0, 1] and holds its level at 100% right on 30 images,
where the usual plus-or-minus formula says "exactly 1".
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.errors import UsageError

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

ECE_BINS = 15


class Interval(NamedTuple):
    """A confidence interval, ends included."""

    low: float
    high: float


class Bin(NamedTuple):
    """The predictions of like confidence: how many, how confident, how often right."""

    n: int
    confidence: float
    accuracy: float


def probabilities(
    outputs: Floats, meaning: Literal["logits", "probabilities", "distances"] = "logits"
) -> npt.NDArray[np.float64]:
    """Turn a network's outputs into probabilities, in float64.

    `logits` go through the softmax, exp(z_k) / sum_j exp(z_j); `distances` through the softmax of
    their negatives; `probabilities` are divided by their sum.

    Args:
        outputs: the network's numbers.
        meaning: what they are, as the contract says.

    Input shape:
        (images, classes)

    Returns:
        (images, classes), rows summing to 1.
    """
    values = np.asarray(outputs, np.float64)
    if meaning != "probabilities":
        scores = -values if meaning == "distances" else values
        values = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def surprise(
    outputs: Floats,
    labels: Integers,
    meaning: Literal["logits", "probabilities", "distances"] = "logits",
) -> npt.NDArray[np.float64]:
    """Return each image's cross-entropy, -log p(label), in nats: shape (images,).

    From logits it is computed as log sum_j exp(z_j) - z_label, which stays finite where the
    probability itself would round to zero.
    """
    rows = np.arange(len(labels))
    values = np.asarray(outputs, np.float64)
    if meaning == "probabilities":
        likely = probabilities(values, meaning)[rows, labels]
        return -np.log(np.maximum(likely, np.finfo(np.float64).tiny))
    scores = -values if meaning == "distances" else values
    top = scores.max(axis=1)
    logsum = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return np.asarray(logsum - scores[rows, labels])


def rank(scores: Floats, labels: Integers) -> npt.NDArray[np.int64]:
    """Return how many classes stand before the right one: 0 is a right answer; shape (images,).

    Equal scores are ordered by class number, as `argmax` does; so rank 0 is what `argmax` calls
    right, and a network that answers the same for everything earns nothing by ties. Nothing is
    right by a score that is not a number: it stands before every class, and its own class last.
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1])[None, :] < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier) | np.isnan(scores) | np.isnan(own)
    return np.asarray(before.sum(axis=1), np.int64)


def wilson(hits: int, count: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a proportion `hits / count`.

    With p = hits / count and z the normal quantile, the ends are
    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Raises:
        UsageError: no observations, or more hits than observations.

    Example:
        >>> low, high = wilson(30, 30)
        >>> f"{low:.3f} {high:.3f}"
        '0.886 1.000'

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    J. Am. Stat. Assoc. 22, 1927. Recommended over others by Brown, Cai and DasGupta, Stat. Sci. 16,
    2001.
    """
    if not 0 <= hits <= count or count < 1:
        raise UsageError(f"Expected 0 <= hits <= count, received hits={hits}, count={count}.")
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    p = hits / count
    middle = p + z2 / (2 * count)
    half = math.sqrt(z2 * (p * (1 - p) / count + z2 / (4 * count**2)))
    whole = 1 + z2 / count
    low = 0.0 if hits == 0 else (middle - half) / whole  # exactly, whatever the rounding
    return Interval(low, 1.0 if hits == count else (middle + half) / whole)


def reliability(likely: Floats, labels: Integers, bins: int = ECE_BINS) -> tuple[Bin, ...]:
    """Sort predictions by confidence into bins of equal width ((k-1)/bins, k/bins].

    Args:
        likely: probabilities, (images, classes).
        labels: (images,).
        bins: how many.

    Returns:
        One `Bin` each, empty ones too (n 0).
    """
    confidence = np.asarray(likely.max(axis=1), np.float64)
    right = likely.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.maximum(count, 1)
    mean_confidence = np.bincount(place, weights=confidence, minlength=bins) / divisor
    accuracy = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / divisor
    return tuple(
        Bin(int(n), float(c), float(a))
        for n, c, a in zip(count, mean_confidence, accuracy, strict=True)
    )


def expected_calibration_error(likely: Floats, labels: Integers, bins: int = ECE_BINS) -> float:
    """Return by how much confidence and accuracy differ, on average over predictions.

    ECE = sum over bins of (count / n) |accuracy - confidence|, 0 to 1, with bins of equal width. It
    depends on the bins: compare figures of the same number of bins only.

    Source: Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, ICML 2017,
    equation 3 (15 bins there).
    """
    parts = reliability(likely, labels, bins)
    total = sum(part.n for part in parts)
    return sum(part.n * abs(part.accuracy - part.confidence) for part in parts) / max(total, 1)


def confusion(labels: Integers, predictions: Integers, classes: int) -> npt.NDArray[np.int64]:
    """Count images by right class (row) and answer (column): (classes, classes)."""
    cell = np.asarray(labels, np.int64) * classes + predictions
    return np.bincount(cell, minlength=classes * classes).reshape(classes, classes)
