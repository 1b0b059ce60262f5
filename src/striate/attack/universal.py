"""One perturbation for all images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.attack.attacked import Attacked, attacking, report
from striate.contract import Contract
from striate.randomness import stream

_CLAMP = 9.0  # nats: one image that is already wrong shall not outweigh the rest


@dataclass(frozen=True)
class Universal:
    """A perturbation found on some images.

    Args:
        perturbation: (channels, height, width), full pixels, within `eps`.
        eps: its largest pixel.
        found_on: what it does to the images it was found on.
    """

    perturbation: Tensor
    eps: float
    found_on: Attacked


def universal(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    epochs: int = 10,
    batch: int = 64,
    step: float | None = None,
    seed: int = 0,
) -> Universal:
    """Climb the mean loss of all images by one perturbation added to each.

    Args:
        net, contract, images, labels: as of `fgsm`.
        eps: its largest pixel, in full pixels.
        epochs: how often every image is used.
        batch: images a step.
        step: length of a step, in full pixels; eps / 10 unless given.
        seed: of the order.

    Source: Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017; climbed by
    signs of gradients with a clamped loss, as Shafahi et al., "Universal adversarial training",
    AAAI 2020, algorithm 2.
    """
    length = eps / 10 if step is None else step
    with attacking(net, contract) as seen:
        apart = torch.zeros_like(images[0])
        for epoch in range(epochs):
            order = torch.from_numpy(stream(seed, "universal", epoch).permutation("o", len(images)))
            for some in torch.split(order, batch):
                moving = apart.clone().requires_grad_()
                logits = seen((images[some] + moving).clamp(0, 1))
                losses = functional.cross_entropy(logits, labels[some], reduction="none")
                (slope,) = torch.autograd.grad(losses.clamp_max(_CLAMP).sum(), moving)
                apart = (apart + length * slope.sign()).clamp(-eps, eps)
        found = apply(net, contract, images, labels, apart, eps)
    return Universal(apart, eps, found)


def apply(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    perturbation: Tensor,
    eps: float | None = None,
) -> Attacked:
    """Add one perturbation, (channels, height, width), to every image."""
    with attacking(net, contract) as seen:
        moved = (images + perturbation).clamp(0, 1)
        return report(seen, "universal", images, moved, labels, norm="linf", eps=eps)
