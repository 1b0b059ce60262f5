"""FGSM: one step of every pixel to where the loss grows; and many small ones."""

from __future__ import annotations

from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, report, wrongness
from striate.contract import Contract
from striate.train.ascent import ascend


def fgsm(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    targets: Tensor | None = None,
) -> Attacked:
    """Move every pixel by `eps` along the sign of the loss's gradient.

    x' = clip(x + eps sign(d loss / dx), 0, 1)

    Args:
        net: the network.
        contract: what its inputs and outputs are.
        images: (batch, channels, height, width), pixels of 0 to 1.
        labels: the right classes, (batch,).
        eps: in full pixels: 8/255 is eight grey levels.
        targets: classes to aim at; away from the label unless given.

    Source: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR
    2015, section 4.
    """
    with attacking(net, contract) as seen:
        loss = wrongness(seen, labels, targets)
        moved = ascend(loss, images, images, eps=eps, step=eps, steps=1)
        return report(seen, "FGSM", images, moved, labels, targets=targets, norm="linf", eps=eps)


def iterated_fgsm(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    steps: int = 10,
    step: float | None = None,
    targets: Tensor | None = None,
) -> Attacked:
    """Take small FGSM steps, each brought back to within `eps` of the image.

    Args:
        net, contract, images, labels, eps, targets: as of `fgsm`.
        steps: how many.
        step: length of each, in full pixels; eps / steps unless given.

    Source: Kurakin, Goodfellow, Bengio, "Adversarial examples in the physical world", 2016, section
    2.2.
    """
    with attacking(net, contract) as seen:
        loss = wrongness(seen, labels, targets)
        length = eps / steps if step is None else step
        moved = ascend(loss, images, images, eps=eps, step=length, steps=steps)
        name = f"iterated FGSM-{steps}"
        return report(seen, name, images, moved, labels, targets=targets, norm="linf", eps=eps)
