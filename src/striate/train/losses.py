"""Losses beside the plain cross-entropy: the square, the hinge, and those for uneven classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from striate.design import Network
from striate.errors import ContractError, UsageError
from striate.records import expect
from striate.train.objective import Forward, Objective, Rows, weighted


class SquareLoss(Objective, frozen=True, kw_only=True):
    """The squared distance of the outputs to the label's unit vector: 1/2 sum_k (y_k - q_k)^2.

    Args:
        height: of the right class in q; the others are 0.

    Source: Hui and Belkin, "Evaluation of neural architectures trained with square loss", ICLR
    2021, for why it is no worse than the cross-entropy.
    """

    height: float = 1.0

    def __post_init__(self) -> None:
        expect(self.height > 0, "a height above 0", height=self.height)

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the loss summed over the rows, and over weighted outputs."""

        def one(outputs: Tensor) -> Tensor:
            wanted = functional.one_hot(rows.labels, outputs.shape[1]) * self.height
            return (outputs.float() - wanted).square().sum() / 2

        return weighted(one, forward(rows.images), network)


class Hinge(Objective, frozen=True, kw_only=True):
    """The multiclass support vector machine: sum over wrong k of max(0, margin - y_label + y_k).

    Args:
        margin: by how much the right class has to lead.
        squared: square each term, which punishes the worst ones most.

    Source: Weston and Watkins, ESANN 1999; squared, Tang, "Deep learning using linear support
    vector machines", 2013.
    """

    margin: float = 1.0
    squared: bool = False

    def __post_init__(self) -> None:
        expect(self.margin > 0, "a margin above 0", margin=self.margin)

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the loss summed over the rows, and over weighted outputs."""

        def one(outputs: Tensor) -> Tensor:
            y = outputs.float()
            short = (self.margin - y.gather(1, rows.labels[:, None]) + y).clamp_min(0)
            wrong = 1 - functional.one_hot(rows.labels, y.shape[1])
            return ((short.square() if self.squared else short) * wrong).sum()

        return weighted(one, forward(rows.images), network)


class Uneven(Objective, frozen=True, kw_only=True):
    """Objectives that weigh the classes.

    Args:
        weights: of the classes, in the contract's order (`balanced_weights` gives some); none
            weighs all alike. The loss is divided by the number of images, not by their weights,
            so that weights of mean 1 over the images keep the scale of the gradient.
        balanced: take `balanced_weights` of the training part for them.
    """

    weights: tuple[float, ...] = ()
    balanced: bool = False

    def __post_init__(self) -> None:
        expect(all(each >= 0 for each in self.weights), "weights from 0", weights=self.weights)
        once = not (self.weights and self.balanced)
        expect(once, "weights or balanced=true, not both", weights=self.weights)

    def check(self, classes: int) -> None:
        """Refuse weights of another number of classes."""
        if len(self.weights) not in (0, classes):
            raise ContractError(
                f"Expected one weight for each of {classes} classes, received "
                f"{len(self.weights)}: --set objective.weights=[...] sets them."
            )

    def fitted(self, labels: npt.NDArray[np.int64]) -> Self:
        """Return it with the weights that these training images ask for, if they are to."""
        if not self.balanced:
            return self
        counts = np.bincount(labels).tolist()
        return self.replace(weights=balanced_weights(counts), balanced=False)

    def weight(self, like: Tensor) -> Tensor | None:
        """Return the weights as a tensor on a tensor's device: (classes,)."""
        return torch.tensor(self.weights, device=like.device) if self.weights else None


class WeightedCrossEntropy(Uneven, frozen=True, kw_only=True):
    """Cross-entropy times the weight of the image's class."""

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the loss summed over the rows, and over weighted outputs."""

        def one(outputs: Tensor) -> Tensor:
            logits = outputs.float()
            return functional.cross_entropy(
                logits, rows.labels, self.weight(logits), reduction="sum"
            )

        return weighted(one, forward(rows.images), network)


class Focal(Uneven, frozen=True, kw_only=True):
    """Cross-entropy that looks away from what is easy: -w (1 - p)^gamma log p, p of the label.

    Args:
        gamma: how fast; 0 is the cross-entropy.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, over the softmax.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.gamma >= 0, "a gamma of at least 0", gamma=self.gamma)

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the loss summed over the rows, and over weighted outputs."""

        def one(outputs: Tensor) -> Tensor:
            logs = outputs.float().log_softmax(1).gather(1, rows.labels[:, None])[:, 0]
            missing = -torch.expm1(logs.clamp_max(-1e-12))  # 1 - p, with a finite slope at p = 1
            weights = self.weight(logs)
            each = missing**self.gamma * -logs
            return (each if weights is None else weights[rows.labels] * each).sum()

        return weighted(one, forward(rows.images), network)


def balanced_weights(counts: Sequence[int], beta: float = 1.0) -> tuple[float, ...]:
    """Return weights of classes so that rare ones count as much as common ones.

    weight_k is proportional to (1 - beta) / (1 - beta^n_k), which for beta = 1 is 1 / n_k, and
    scaled so that the mean over all images is 1.

    Args:
        counts: images of each class.
        beta: below 1, images of one class are taken to repeat each other.

    Raises:
        UsageError: a class has no image, or beta is out of range.

    Example:
        >>> balanced_weights([30, 10])
        (0.6666666666666666, 2.0)

    Source: Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019.
    """
    if not counts or min(counts) < 1:
        raise UsageError(f"Expected at least one image of each class, received {tuple(counts)}.")
    if not 0 <= beta <= 1:
        raise UsageError(f"Expected 0 <= beta <= 1, received beta={beta:g}.")
    raw = [1 / count if beta == 1 else (1 - beta) / (1 - beta**count) for count in counts]
    mean = sum(weight * count for weight, count in zip(raw, counts, strict=True)) / sum(counts)
    return tuple(weight / mean for weight in raw)
