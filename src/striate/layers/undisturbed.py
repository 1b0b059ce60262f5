"""The one way to work on a net and leave it as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def undisturbed(net: M) -> Iterator[M]:
    """Restore train/eval mode, hooks and requires_grad of every part afterwards.

    Also after an exception. Parameters' values and gradients are the caller's affair.

    Example:
        >>> net = nn.Dropout()
        >>> with undisturbed(net) as same:
        ...     _ = same.eval()
        >>> net.training
        True
    """
    modes = [(module, module.training) for module in net.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    hooks = [(module, name, dict(getattr(module, name))) for module, _ in modes for name in _HOOKS]
    try:
        yield net
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, required in wanted:
            parameter.requires_grad_(required)
        for module, name, before in hooks:
            kept = getattr(module, name)
            kept.clear()
            kept.update(before)
