"""DeepFool: the way to the nearest boundary, as if the classes' scores were linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, report
from striate.contract import Contract
from striate.inference import PixelNet


def deepfool(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 50,
    classes: int = 10,
    overshoot: float = 0.02,
) -> Attacked:
    """Step to the nearest of the linearised boundaries until the answer changes.

    r = |f_k - f_0| d / |d|^2, d = w_k - w_0, for the class k with the least |f_k - f_0| / |d|

    Args:
        net, contract, images, labels: as of `fgsm`.
        steps: at most so many.
        classes: how many of the likeliest are tried.
        overshoot: how much farther than the boundary to go, as a share.

    Returns:
        The images; `length` is the measure: how far the nearest boundary is. An image answered
        wrong from the start stays as it is.

    Source: Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool", CVPR 2016, algorithm 2.
    """
    with attacking(net, contract) as seen:
        with torch.no_grad():
            logits = seen(images)
        order = logits.argsort(1, descending=True)[:, : min(classes, logits.shape[1])]
        apart = torch.zeros_like(images)
        open_ = order[:, 0] == labels
        for _ in range(steps):
            if not open_.any():
                break
            step = _step(seen, (images + apart)[open_], order[open_])
            apart[open_] += step
            with torch.no_grad():
                moved = _placed(images, apart, overshoot)
                open_ &= seen(moved).argmax(1) == order[:, 0]
        moved = _placed(images, apart, overshoot)
        return report(seen, "DeepFool", images, moved, labels)


def _placed(images: Tensor, apart: Tensor, overshoot: float) -> Tensor:
    return (images + (1 + overshoot) * apart).clamp(0, 1)


def _step(seen: PixelNet, images: Tensor, order: Tensor) -> Tensor:
    """Return the least step to a linearised boundary, of the images' shape."""
    pixels = images.detach().requires_grad_()
    logits = seen(pixels).gather(1, order)
    slopes = torch.stack(
        [
            torch.autograd.grad(logits[:, k].sum(), pixels, retain_graph=True)[0]
            for k in range(order.shape[1])
        ],
        1,
    )
    ways = (slopes[:, 1:] - slopes[:, :1]).flatten(2)
    gaps = (logits[:, 1:] - logits[:, :1]).detach().abs()
    lengths = ways.norm(dim=2).clamp_min(1e-9)
    nearest = (gaps / lengths).argmin(1)
    rows = torch.arange(len(images), device=images.device)
    scale: Tensor = (gaps[rows, nearest] + 1e-4) / lengths[rows, nearest].square()
    chosen: Tensor = ways[rows, nearest]
    return (scale[:, None] * chosen).reshape(images.shape)
