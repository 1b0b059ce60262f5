"""What every attribution method takes and returns.

A method is a function (net, contract, image, target) -> Attribution: how much each pixel counts for
one class. Variants wrap a method (`smooth_grad(saliency)`), so that whatever takes one takes all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.errors import UsageError
from striate.explain.walk import looking
from striate.inference import PixelNet

Floats = npt.NDArray[np.float32]
View = Callable[[PixelNet, Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """How much each pixel of an image counts for a class.

    Args:
        method: its name.
        target: the class, an output of the network.
        score: the class's logit for the image.
        values: (channels, height, width), in logits; signed unless the method takes magnitudes.
        signed: whether a negative value speaks against the class.
        layer: the layer that it was read at, where a method chooses one.
        gap: how far the values' sum misses what theory says it should be, as a share of that;
            None where theory says nothing.
        note: what a reader should know of this map, such as that it is another method's.
        extra: what else the method found, by name.
    """

    method: str
    target: int
    score: float
    values: Floats
    signed: bool = True
    layer: str | None = None
    gap: float | None = None
    note: str = ""
    extra: tuple[tuple[str, Floats], ...] = ()

    @property
    def map(self) -> Floats:
        """One value a pixel, (height, width): the sum over channels, the largest where unsigned."""
        return np.asarray(self.values.sum(0) if self.signed else self.values.max(0), np.float32)


class Method(Protocol):
    """An attribution method."""

    def __call__(
        self, net: nn.Module, contract: Contract, image: Tensor, target: int
    ) -> Attribution:
        """Attribute a class to pixels.

        Args:
            net: the network; a Net where the method looks inside, else any module.
            contract: what its inputs and outputs are.
            image: (channels, height, width), pixels of 0 to 1 in the contract's channels.
            target: the class, an output of the network.
        """


def gradient(
    net: nn.Module, contract: Contract, image: Tensor, target: int, view: View | None = None
) -> tuple[Tensor, float]:
    """Return the gradient of a class's logit by the pixels, and the logit.

    Args:
        net, contract, image, target: as of `Method`; several images, (batch, channels, height,
            width), give as many gradients and the sum of the logits.
        view: how the logits come about; by calling the net, unless given.
    """
    with looking(net):
        seen = PixelNet(net, contract)
        pixels = image.detach().clone().requires_grad_()
        batch = pixels if pixels.dim() == 4 else pixels[None]
        logits = view(seen, batch) if view is not None else seen(batch)
        check_target(logits, target)
        score = logits[:, target].sum()
        return torch.autograd.grad(score, pixels)[0], float(score.detach())


def check_target(logits: Tensor, target: int) -> None:
    """Refuse a class that the network does not have."""
    if logits.dim() != 2:
        raise UsageError(
            f"Expected one row of outputs an image, received shape {tuple(logits.shape)}: "
            "attribution is for classifiers."
        )
    if not 0 <= target < logits.shape[1]:
        raise UsageError(f"Expected a class of 0 to {logits.shape[1] - 1}, received {target=}.")


def to_array(values: Tensor) -> Floats:
    """Return a tensor as float32 numpy."""
    return values.detach().float().cpu().numpy()
