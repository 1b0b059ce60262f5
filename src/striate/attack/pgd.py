"""PGD: the strongest plain first-order attack within a ball, from random starts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, report, wrongness
from striate.contract import Contract
from striate.randomness import stream
from striate.train.ascent import Norm, ascend, random_start


def pgd(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    steps: int = 40,
    step: float | None = None,
    norm: Norm = "linf",
    restarts: int = 1,
    targets: Tensor | None = None,
    seed: int = 0,
    first: int = 0,
) -> Attacked:
    """Climb the loss within a ball about each image; the first success of any start is kept.

    Args:
        net, contract, images, labels, targets: as of `fgsm`.
        eps: radius of the ball, in full pixels (linf) or their Euclidean length (l2).
        steps: how many.
        step: length of each; 2.5 eps / steps unless given.
        norm: of the ball.
        restarts: random starts.
        seed: of the starts.
        first: place of the first image among all, so that cutting them into batches changes
            nothing.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018, section 2.1.
    """
    length = 2.5 * eps / steps if step is None else step
    places = np.arange(first, first + len(images))
    with attacking(net, contract) as seen:
        loss = wrongness(seen, labels, targets)
        best, done = images.clone(), torch.zeros(len(images), dtype=torch.bool)
        for restart in range(restarts):
            start = random_start(images, eps, norm, stream(seed, "pgd", restart, places))
            moved = ascend(loss, images, start, eps=eps, step=length, steps=steps, norm=norm)
            with torch.no_grad():
                answers = seen(moved).argmax(1)
            hit = (answers != labels if targets is None else answers == targets).cpu()
            fresh = hit & ~done if restart else torch.ones_like(done)
            best[fresh.to(best.device)] = moved[fresh.to(moved.device)]
            done |= hit
        name = f"PGD-{steps}" + (f"x{restarts}" if restarts > 1 else "")
        return report(seen, name, images, best, labels, targets=targets, norm=norm, eps=eps)
