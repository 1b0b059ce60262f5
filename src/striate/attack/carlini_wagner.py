"""Carlini and Wagner's L2 attack: the nearest image of another class, by optimisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, report
from striate.contract import Contract
from striate.inference import PixelNet


def carlini_wagner(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    targets: Tensor | None = None,
    confidence: float = 0.0,
    steps: int = 200,
    searches: int = 5,
    rate: float = 0.01,
) -> Attacked:
    """Minimise the distance plus c times the margin, searching c by halves.

    |x' - x|^2 + c max(f_label - max other f, -confidence), x' = (tanh(w) + 1) / 2

    Args:
        net, contract, images, labels, targets: as of `fgsm`.
        confidence: margin, in logits, that the wrong class shall have.
        steps: of Adam, for each c.
        searches: how many c are tried, from 0.01 on.
        rate: Adam's.

    Returns:
        The nearest images found; one for which none was found stays as it is.

    Source: Carlini, Wagner, "Towards evaluating the robustness of neural networks", S&P 2017,
    section V (f6, change of variable, binary search).
    """
    low = torch.zeros(len(images), dtype=images.dtype, device=images.device)
    high, weight = torch.full_like(low, 1e10), torch.full_like(low, 1e-2)
    best, nearest = images.clone(), torch.full_like(low, torch.inf)
    aim = labels if targets is None else targets
    with attacking(net, contract) as seen:
        for _ in range(searches):
            won = torch.zeros_like(low, dtype=torch.bool)
            variable = torch.atanh((images * 2 - 1) * (1 - 1e-6)).requires_grad_()
            optimiser = torch.optim.Adam([variable], lr=rate)
            for _ in range(steps):
                moved = (variable.tanh() + 1) / 2
                distance = (moved - images).square().flatten(1).sum(1)
                margin = _margin(seen, moved, aim, targets is not None)
                total = (distance + weight * margin.clamp_min(-confidence)).sum()
                (variable.grad,) = torch.autograd.grad(total, variable)
                optimiser.step()
                with torch.no_grad():
                    hit = margin <= -confidence
                    hit &= margin < 0
                    won |= hit
                    nearer = hit & (distance < nearest)
                    best[nearer], nearest[nearer] = moved.detach()[nearer], distance[nearer]
            high = torch.where(won, torch.minimum(high, weight), high)
            low = torch.where(won, low, torch.maximum(low, weight))
            weight = torch.where(high < 1e9, (low + high) / 2, weight * 10)
        return report(seen, "Carlini-Wagner L2", images, best, labels, targets=targets)


def _margin(seen: PixelNet, moved: Tensor, aim: Tensor, targeted: bool) -> Tensor:
    """Return by how much the attack is short of its aim, in logits: (batch,)."""
    logits = seen(moved)
    own: Tensor = logits.gather(1, aim[:, None])[:, 0]
    other: Tensor = logits.scatter(1, aim[:, None], -torch.inf).amax(1)
    return other - own if targeted else own - other
