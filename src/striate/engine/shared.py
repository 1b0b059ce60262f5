"""A tensor that a program shares with the module it came from, and whether it is as it was.

Copying VGG-16's first linear layer takes 411 MB, a third of what its evaluation takes in all; so
large weights stay where they are, and each call looks whether somebody has written to them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from striate import design
from striate.engine.node import Node

LARGE = 4_000_000  # weights of a linear layer, from which on they are not copied
_SAMPLE = 64  # elements that are compared, at least, where there are as many
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Shared:
    """A tensor as it is now.

    Operators of torch count what they write. What goes past that counter (`parameter.data`, numpy)
    is seen where it changes one of some 64 elements spread over the tensor.

    Args:
        tensor: to be watched.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, _version(tensor)
        few = _spread(tensor.detach())
        noted = few.is_complex() or few.is_neg()  # torch reads no bits of these
        self._sample = few if noted else few.view(_BITS[few.element_size()])
        self._kept = self._sample.clone()

    @property
    def changed(self) -> bool:
        """Whether somebody has written to it."""
        return _version(self.tensor) != self.version or not torch.equal(self._sample, self._kept)


def copied(node: Node, owned: set[int], shared: list[Shared]) -> Node:
    """Return a node with copies of the module's tensors, but for linear weights too large for it.

    Args:
        node: with weights.
        owned: addresses of the module's tensors; others are nobody else's.
        shared: is given what is not copied.
    """

    def own(tensor: Tensor | None) -> Tensor | None:
        if tensor is None or tensor.untyped_storage().data_ptr() not in owned:
            return tensor
        if isinstance(node.record, design.Linear) and tensor.numel() > LARGE:
            shared.append(Shared(tensor))
            return tensor
        return tensor.clone()

    first = None if node.first is None else copied(node.first, owned, shared)
    return replace(node, weight=own(node.weight), bias=own(node.bias), first=first)


def _spread(tensor: Tensor) -> Tensor:
    """Return a view of some elements, spread over a tensor in whatever order it lies."""
    each = math.ceil(_SAMPLE ** (1 / max(1, tensor.dim())))
    return tensor[tuple(slice(None, None, max(1, size // each)) for size in tensor.shape)]


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
