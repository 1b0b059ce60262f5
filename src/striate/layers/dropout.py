"""Dropout whose mask has an address, so that resume, processes and micro-batches change nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.layers.placement import Placement, current_placement


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
        where = current_placement()
        if not self.training or self.p == 0.0:
            return x
        if where is None:
            return functional.dropout(x, self.p)
        mask: Tensor = _mask(x, self.p, self.name, where)
        return x * mask

    def extra_repr(self) -> str:
        """Return what print(module) shows in the brackets."""
        return f"p={self.p}"


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _mask(x: Tensor, p: float, name: str, where: Placement) -> Tensor:
    generator = where.generator(name, x.device)
    keep = torch.empty((where.total, *x.shape[1:]), dtype=x.dtype, device=x.device)
    keep.bernoulli_(1 - p, generator=generator)
    return keep[where.offset : where.offset + x.shape[0]].div_(1 - p)
