"""Linear classifiers on features: logistic regression and the linear support vector machine.

As DeCAF has them, with the strength of regularisation chosen by cross-validation. Both are convex
and solved to their minimum by L-BFGS on standardised features, in float64.

Source: Donahue et al., "DeCAF", ICML 2014, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from striate.randomness import stream

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Method = Literal["logistic", "svm"]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 4
_STEPS = 200


class Linear(NamedTuple):
    """A linear classifier: scores = features @ weight.T + bias.

    Args:
        weight: (classes, features).
        bias: (classes,).
        strength: of the regularisation.
        accuracy: in cross-validation with that strength; NaN where none was done.
    """

    weight: Floats
    bias: Floats
    strength: float
    accuracy: float = float("nan")

    def answers(self, features: Floats) -> Labels:
        """Return the class of each vector: (images, features) -> (images,)."""
        return np.asarray((features @ self.weight.T + self.bias).argmax(1), np.int64)


def fit_linear(
    features: Floats, labels: Labels, classes: int, *, method: Method = "logistic", seed: int = 0
) -> Linear:
    """Fit a linear classifier, its regularisation chosen by 4-fold cross-validation.

    Folds are stratified. Where classes have too few images for folds, there are as many folds as
    the smallest class has images, two at least.

    Args:
        features: (images, features).
        labels: (images,).
        classes: how many there are.
        method: logistic regression or the squared-hinge support vector machine, one against all.
        seed: of the folds.
    """
    fit = fit_logistic if method == "logistic" else fit_svm
    fold_of = _folds(labels, seed)
    accuracies = []
    for strength in STRENGTHS:
        right = 0
        for fold in range(fold_of.max() + 1):
            held = fold_of == fold
            part = fit(features[~held], labels[~held], classes, strength)
            right += int((part.answers(features[held]) == labels[held]).sum())
        accuracies.append(right / len(labels))
    best = max(range(len(STRENGTHS)), key=lambda at: (accuracies[at], STRENGTHS[at]))
    chosen = fit(features, labels, classes, STRENGTHS[best])
    return chosen._replace(accuracy=accuracies[best])


def fit_logistic(features: Floats, labels: Labels, classes: int, strength: float) -> Linear:
    """Minimise mean cross-entropy + strength / 2 |W|^2 over standardised features."""

    def loss(scores: Tensor, truth: Tensor) -> Tensor:
        return functional.cross_entropy(scores, truth)

    return _minimum(features, labels, classes, strength, loss)


def fit_svm(features: Floats, labels: Labels, classes: int, strength: float) -> Linear:
    """Minimise the mean of sum_k max(0, 1 - y_k s_k)^2 + strength / 2 |W|^2, y_k being 1 or -1."""

    def loss(scores: Tensor, truth: Tensor) -> Tensor:
        sign = 2 * functional.one_hot(truth, classes).to(scores) - 1
        return (1 - sign * scores).clamp_min(0).square().sum(1).mean()

    return _minimum(features, labels, classes, strength, loss)


def _minimum(
    features: Floats,
    labels: Labels,
    classes: int,
    strength: float,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Linear:
    given = torch.from_numpy(features).double()
    mean, std = given.mean(0), given.std(0, unbiased=False)
    std = torch.where(std > 1e-12 * (1 + mean.abs()), std, torch.ones_like(std))
    x, truth = (given - mean) / std, torch.from_numpy(labels)
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def value() -> Tensor:
        solver.zero_grad()
        total = loss(x @ weight.T + bias, truth) + strength / 2 * weight.square().sum()
        torch.autograd.backward(total)
        return total

    solver.step(value)  # type: ignore[no-untyped-call]
    with torch.no_grad():  # the standardisation becomes part of the classifier
        plain = weight / std
        shift = bias - plain @ mean
    return Linear(plain.float().numpy(), shift.float().numpy(), strength)


def _folds(labels: Labels, seed: int) -> Labels:
    """Return the fold of each image, classes spread evenly over the folds."""
    counts = np.bincount(labels)
    folds = int(np.clip(counts[counts > 0].min(), 2, _FOLDS))
    order = stream(seed, "folds").permutation("images", len(labels))
    fold_of = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        fold_of[own] = (np.arange(len(own)) + label) % folds
    return fold_of
