"""Dropout whose mask has an address, so that resume, processes and micro-batches change nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.layers.placement import current_placement


class Dropout(nn.Module):
    """Set each element to zero with probability p in training; do nothing in evaluation.

    y = x * mask / (1 - p), mask ~ Bernoulli(1 - p): "inverted" dropout, so that evaluation needs no
    scaling. Inside `layers.placement` the mask is a pure function of (seed, step, name, row in the
    global batch, element); outside it torch's own generator draws.

    Args:
        p: probability of dropping an element, 0 <= p < 1.
        name: the layer's name in its network, part of the mask's address.

    Input shape: (batch, ...)
    Output shape: the same.

    Source: Srivastava et al., JMLR 15 (2014), section 10 (the scaling at training time).
    """

    def __init__(self, p: float = 0.5, name: str = "") -> None:
        super().__init__()
        self.p, self.name = p, name

    def forward(self, x: Tensor) -> Tensor:
        """Return x with elements dropped in training: (batch, ...) -> (batch, ...)."""
        if not self.training or self.p == 0.0:
            return x
        if current_placement() is None:
            return functional.dropout(x, self.p)
        mask: Tensor = placed_mask(x.detach(), self.p, self.name)
        return x * mask

    def extra_repr(self) -> str:
        """Return what print(module) shows in the brackets."""
        return f"p={self.p}"


@torch.library.custom_op(
    "striate::placed_mask", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def placed_mask(x: Tensor, p: float, name: str) -> Tensor:
    """Draw the mask of a layer's rows in the placement in force: 0 or 1 / (1 - p), shaped like x.

    An operator of its own, so that a compiled step reads the placement each time it runs.
    """
    where = current_placement()
    if where is None:
        raise RuntimeError("placed_mask was called outside layers.placement")
    keep = torch.empty((where.total, *x.shape[1:]), dtype=x.dtype, device=x.device)
    keep.bernoulli_(1 - p, generator=where.generator(name, x.device))
    return keep[where.offset : where.offset + x.shape[0]] / (1 - p)


@placed_mask.register_fake
def _(x: Tensor, p: float, name: str) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
