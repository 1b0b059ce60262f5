"""The table of accuracy against eps, and whether it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate import progress
from striate.attack.attacked import Attacked
from striate.attack.gradient_sign import fgsm
from striate.attack.guards import Guard, inspect
from striate.attack.noise import noise
from striate.attack.pgd import pgd
from striate.contract import Contract
from striate.errors import UsageError
from striate.inference.metrics import wilson
from striate.records import Record

_AT_ONCE = 128


class Row(Record, frozen=True, kw_only=True):
    """Accuracy under one attack.

    Args:
        attack: its name.
        eps: how far a pixel may move, in full pixels; 0 is the clean images.
        steps: of gradient.
        accuracy: share answered right, 0 to 1.
        interval: of the accuracy, 95%.
        confidence: mean probability of the answers given.
    """

    attack: str
    eps: float
    steps: int
    accuracy: float
    interval: tuple[float, float]
    confidence: float


class Robustness(Record, frozen=True, kw_only=True):
    """How accuracy falls under attack.

    Args:
        n: images attacked.
        rows: by attack, then by eps.
        guards: what was checked, and what each found.
    """

    n: int
    rows: tuple[Row, ...]
    guards: tuple[Guard, ...]

    @property
    def trusted(self) -> bool:
        """Whether every guard was satisfied."""
        return all(guard.passed for guard in self.guards)


def robustness(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Sequence[float],
    steps: int = 40,
    step: float | None = None,
    restarts: int = 1,
    seed: int = 0,
    inputs: Tensor | None = None,
    expected: tuple[int, int] | None = None,
) -> Robustness:
    """Attack images by noise, FGSM and PGD at each eps, and check that the figures make sense.

    Args:
        net: the network.
        contract: what its inputs and outputs are.
        images: (n, channels, height, width), pixels of 0 to 1.
        labels: the right classes, (n,).
        eps: how far a pixel may move, in full pixels; in any order.
        steps: of PGD.
        step: length of each; 2.5 eps / steps unless given.
        restarts: random starts of PGD.
        seed: of starts and noise.
        inputs: the same images as the loader prepares them, to compare with.
        expected: (right, all) of an earlier evaluation on such images.

    Raises:
        UsageError: no image, an eps outside 0 to 1, or a step that goes nowhere.
    """
    wanted = sorted({float(each) for each in eps} - {0.0})
    if not len(images) or any(not 0 < each <= 1 for each in wanted):
        raise UsageError(
            f"Expected images, and eps within 0 to 1 (full pixels; 8/255 is eight grey levels), "
            f"received {len(images)} images and eps={tuple(eps)}."
        )
    if step is not None and not 0 < step <= 1:
        raise UsageError(f"Expected a step above 0 and up to 1 (full pixels), received {step=}.")
    attacks: tuple[tuple[str, int, Callable[..., Attacked]], ...] = (
        ("noise", 0, partial(noise, seed=seed)),
        ("FGSM", 1, _by_sign),
        (f"PGD-{steps}", steps, partial(pgd, steps=steps, step=step, restarts=restarts, seed=seed)),
    )
    clean = _all(partial(_by_sign, net, contract, eps=0.0), images, labels, "clean")
    found = [_row("clean", 0.0, 0, clean)]
    for each in wanted:
        for name, count, attack in attacks:
            what = f"{name} at eps {each:.3g}"
            parts = _all(partial(attack, net, contract, eps=each), images, labels, what)
            found.append(_row(name, each, count, parts))
    guards = inspect(
        net,
        contract,
        images,
        labels,
        clean=clean,
        table=[(row.attack, row.eps, row.steps, row.accuracy) for row in found],
        inputs=inputs,
        expected=expected,
        seed=seed,
    )
    return Robustness(n=len(images), rows=tuple(found), guards=guards)


def _by_sign(*given: Any, eps: float, first: int) -> Attacked:
    return fgsm(*given, eps=eps)  # which draws nothing, and needs no place to draw from


def _all(
    attack: Callable[..., Attacked], images: Tensor, labels: Tensor, what: str
) -> list[Attacked]:
    """Attack images part by part."""
    starts = range(0, len(images), _AT_ONCE)
    return [
        attack(images[first : first + _AT_ONCE], labels[first : first + _AT_ONCE], first=first)
        for first in progress.track(starts, what, "batches", len(starts))
    ]


def _row(name: str, eps: float, steps: int, parts: Sequence[Attacked]) -> Row:
    right = torch.cat([each.after == each.labels for each in parts])
    sure = torch.cat([each.confidences[:, 1] for each in parts])
    low, high = wilson(int(right.sum()), len(right))
    return Row(
        attack=name,
        eps=eps,
        steps=steps,
        accuracy=float(right.float().mean()),
        interval=(low, high),
        confidence=float(np.mean(sure.tolist())),
    )
