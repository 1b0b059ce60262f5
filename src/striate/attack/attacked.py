"""What every attack takes and returns.

An attack is a function (net, contract, images, labels, ...) -> Attacked. Images are pixels of 0 to
1 and stay so; the contract's normalisation is inside, so that a step size cannot be in the wrong
units.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.contract import Contract
from striate.inference import PixelNet
from striate.layers import undisturbed
from striate.train.ascent import Loss, Norm, lengths


@dataclass(frozen=True)
class Attacked:
    """Images after an attack.

    Args:
        attack: its name.
        norm: what `eps` bounds; None where the attack seeks the nearest image instead.
        eps: the bound, in full pixels (linf) or their Euclidean length (l2).
        images: (batch, channels, height, width), pixels of 0 to 1.
        labels: the right classes, (batch,).
        targets: the classes aimed at, where the attack is targeted.
        before: answers to the images as they were, (batch,).
        after: answers to the attacked images, (batch,).
        confidences: probabilities of those answers, (batch, 2): before and after.
        largest: each image's largest change of a pixel, (batch,).
        length: the Euclidean length of each image's change, (batch,).
    """

    attack: str
    norm: Norm | None
    eps: float | None
    images: Tensor
    labels: Tensor
    targets: Tensor | None
    before: Tensor
    after: Tensor
    confidences: Tensor
    largest: Tensor
    length: Tensor

    @property
    def succeeded(self) -> Tensor:
        """Whether each image is answered as the attack wants, (batch,) bool."""
        return self.after != self.labels if self.targets is None else self.after == self.targets

    @property
    def accuracy(self) -> float:
        """Share of attacked images answered right."""
        return float((self.after == self.labels).float().mean())


@contextmanager
def attacking(net: nn.Module, contract: Contract) -> Iterator[PixelNet]:
    """Give a net as a function of pixels, in eval mode, and leave it as it was found."""
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(net):
        net.eval()
        for parameter in net.parameters():
            parameter.requires_grad_(False)  # only the pixels' gradient is wanted
        yield PixelNet(net, contract)


def wrongness(seen: PixelNet, labels: Tensor, targets: Tensor | None = None) -> Loss:
    """Return what attacks climb: the cross-entropy of the label, or less that of the target."""

    def loss(pixels: Tensor) -> Tensor:
        logits = seen(pixels)
        if targets is None:
            return functional.cross_entropy(logits, labels, reduction="sum")
        return -functional.cross_entropy(logits, targets, reduction="sum")

    return loss


@torch.no_grad()
def report(
    seen: PixelNet,
    attack: str,
    images: Tensor,
    moved: Tensor,
    labels: Tensor,
    *,
    targets: Tensor | None = None,
    norm: Norm | None = None,
    eps: float | None = None,
) -> Attacked:
    """Ask the net about images before and after, and measure how far they moved."""
    before, after = (seen(each).softmax(1).max(1) for each in (images, moved))
    apart = moved - images
    return Attacked(
        attack=attack,
        norm=norm,
        eps=eps,
        images=moved,
        labels=labels,
        targets=targets,
        before=before.indices,
        after=after.indices,
        confidences=torch.stack([before.values, after.values], 1),
        largest=apart.abs().flatten(1).amax(1),
        length=lengths(apart).flatten(),
    )
