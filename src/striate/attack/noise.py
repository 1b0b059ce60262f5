"""Random noise: the control that an attack has to beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from striate.attack.attacked import Attacked, attacking, report
from striate.contract import Contract
from striate.randomness import stream


def noise(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    seed: int = 0,
    first: int = 0,
) -> Attacked:
    """Move every pixel by `eps` up or down, by chance: as far as FGSM does, without a gradient.

    Args:
        net, contract, images, labels, eps: as of `fgsm`.
        seed: of the signs.
        first: place of the first image among all.
    """
    places = np.arange(first, first + len(images))
    up = stream(seed, "noise", places).uniform("sign", size=tuple(images.shape[1:])) < 0.5
    signs = torch.from_numpy(np.where(up, 1.0, -1.0)).to(images)
    with attacking(net, contract) as seen:
        moved = (images + eps * signs).clamp(0, 1)
        return report(seen, "random noise", images, moved, labels, norm="linf", eps=eps)
