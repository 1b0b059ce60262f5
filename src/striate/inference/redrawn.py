"""Whether answers are those of whoever has learnt from labels of which a share was drawn anew.

Such labels teach a network to give every image its class with one probability a, and all others
alike. So its loss on them is the entropy of that, -a ln a - (1 - a) ln((1 - a) / (K - 1)), and the
answers that count as wrong fall on all other classes alike. A network that is merely weak is surer
of easy images, so that its loss is less, and takes some classes for one another.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_LEVEL = (0.93, 1.15)  # times the loss of whoever is as unsure of every image
_EVENLY = 3.0  # standard errors
_FEWEST = 20  # mistakes
_RIGHT = 0.3  # below that, it is guessing
_CLASSES = 4  # fewer have no two other classes that mistakes could prefer


class Redrawn(NamedTuple):
    """Figures of answers that look as if labels had been drawn anew.

    Args:
        accuracy: by the labels given, 0 to 1; nearly all that is wrong are wrong labels, where the
            network is good.
        loss: mean cross-entropy, in nats.
        unsure: that of whoever is right as often, and as unsure of every image.
        uneven: standard errors from mistakes that fall on all other classes alike.
        mistakes: how many.
    """

    accuracy: float
    loss: float
    unsure: float
    uneven: float
    mistakes: int


def redrawn(confusion: npt.NDArray[Any], loss: float) -> Redrawn | None:
    """Return the figures of such answers; None where they are not of that kind.

    Args:
        confusion: images by label and answer, (K, K).
        loss: mean cross-entropy on them, in nats.

    Example:
        >>> found = redrawn(np.full((10, 10), 4) + 56 * np.eye(10), 1.6)
        >>> round(found.accuracy, 2), round(found.unsure, 2)
        (0.62, 1.49)
        >>> redrawn(np.full((10, 10), 4) + 56 * np.eye(10), 1.2) is None
        True
    """
    total, mistakes = float(confusion.sum()), float(confusion.sum() - np.trace(confusion))
    if len(confusion) < _CLASSES or mistakes < _FEWEST or loss <= 0:
        return None
    right = 1 - mistakes / total
    guessing = float(confusion.sum(1).max()) / total
    uneven = _uneven(confusion)
    if right < max(_RIGHT, guessing) or uneven is None or uneven >= _EVENLY:
        return None
    unsure = -right * math.log(right) - (1 - right) * math.log((1 - right) / (len(confusion) - 1))
    if not _LEVEL[0] < loss / unsure < _LEVEL[1]:
        return None
    return Redrawn(right, loss, unsure, uneven, int(mistakes))


def _uneven(table: npt.NDArray[Any]) -> float | None:
    """Return how far mistakes are from falling on all other classes alike, in standard errors.

    Pearson's chi-squared over the cells beside the diagonal, each row's mistakes given; None where
    there are too few of them to tell.
    """
    classes, mistakes = len(table), table.sum(1) - np.diag(table)
    apart = ~np.eye(classes, dtype=bool) & (mistakes > 0)[:, None]
    expected = np.broadcast_to((mistakes / (classes - 1))[:, None], table.shape)[apart]
    freedom = (classes - 2) * int((mistakes > 0).sum())
    if not freedom or mistakes.sum() < 0.5 * freedom:
        return None
    chi = float(((table[apart] - expected) ** 2 / expected).sum())
    return (chi - freedom) / math.sqrt(float((2 + 1 / expected).sum()))
