"""Batch-norms computed together with what comes after them: what a fused forward calls."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)

from striate.layers.batchnorm import BatchNorm


def rectified(
    norm: nn.Module,
    relu: nn.Module,
    x: Tensor,
    add: nn.Module | None = None,
    other: Tensor | None = None,
) -> Tensor:
    """Return relu(norm(x)), or relu(add(norm(x), other)), in one where that can be.

    Hooks on `relu` see what it gives; with hooks on the others each computes by itself, with the
    same bits.

    Args:
        norm: a BatchNorm.
        relu: a rectifier.
        x: (batch, channels, ...).
        add: a sum of two.
        other: what is added, of x's shape.
    """
    alone = any(map(_watched, (norm, add) if add is not None else (norm,)))
    if alone or not isinstance(norm, BatchNorm) or not norm.fuses(x):
        y: Tensor = norm(x)
        result: Tensor = relu(y if add is None else add(y, other))
        return result
    y = norm.together(x, other, rectified=True)
    if _watched(relu):
        y = relu(y)
    return y


def _watched(module: nn.Module) -> bool:
    """Say whether somebody wants to know when a module computes."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or _global_forward_hooks
        or _global_forward_pre_hooks
        or _global_backward_hooks
        or _global_backward_pre_hooks
    )
