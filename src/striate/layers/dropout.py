"""Dropout whose mask has an address, so that resume, processes and micro-batches change nothing."""

from __future__ import annotations

import math

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


class Noise(nn.Module):
    """The other forms of dropout; the noise has the same address as `Dropout`'s mask.

    - `plain`: y = x * mask in training, y = (1 - amount) x in evaluation.
    - `gaussian`: y = x (1 + s n), n ~ N(0, 1), s = sqrt(amount / (1 - amount)); nothing else.
    - `additive`: y = x + amount n; nothing in evaluation.

    Args:
        form: which.
        amount: probability of dropping, or the deviation of additive noise.
        name: the layer's name in its network.

    Input shape: (batch, ...)
    Output shape: the same.

    Source: Srivastava et al., JMLR 15 (2014), sections 4 and 10.
    """

    def __init__(self, form: str, amount: float, name: str = "") -> None:
        super().__init__()
        self.form, self.amount, self.name = form, amount, name

    def forward(self, x: Tensor) -> Tensor:
        """Return x, disturbed in training: (batch, ...) -> (batch, ...)."""
        if self.amount == 0.0:
            return x
        if self.form == "plain":
            return x * (self._mask(x) if self.training else 1 - self.amount)
        if not self.training:
            return x
        noise = self._normal(x)
        if self.form == "additive":
            return x + self.amount * noise
        return x * (1 + noise * math.sqrt(self.amount / (1 - self.amount)))

    def extra_repr(self) -> str:
        """Return what print(module) shows in the brackets."""
        return f"{self.form}, amount={self.amount}"

    def _mask(self, x: Tensor) -> Tensor:
        if current_placement() is None:
            return torch.empty_like(x, requires_grad=False).bernoulli_(1 - self.amount)
        mask: Tensor = placed_mask(x.detach(), self.amount, self.name)
        return mask * (1 - self.amount)

    def _normal(self, x: Tensor) -> Tensor:
        if current_placement() is None:
            return torch.randn_like(x, requires_grad=False)
        noise: Tensor = placed_normal(x.detach(), self.name)
        return noise


@torch.library.custom_op(
    "striate::placed_normal", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def placed_normal(x: Tensor, name: str) -> Tensor:
    """Draw N(0, 1) for a layer's rows in the placement in force, shaped like x."""
    where = current_placement()
    if where is None:
        raise RuntimeError("placed_normal was called outside layers.placement")
    noise = torch.empty((where.total, *x.shape[1:]), dtype=x.dtype, device=x.device)
    noise.normal_(generator=where.generator(name, x.device))
    return noise[where.offset : where.offset + x.shape[0]].clone()


@placed_normal.register_fake
def _(x: Tensor, name: str) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
