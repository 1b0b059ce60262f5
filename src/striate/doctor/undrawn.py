"""A network's own chance, left out: what it draws by functions is replaced by its mean.

Dropout that is a module can be turned off; what a forward draws for itself cannot. PyTorch shows
every operator it asks for, whoever asks: dropout, attention's dropout, masks of zeros and ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def undrawn() -> Iterator[None]:
    """Replace what is drawn within by its mean: forward passes only; gradients go through."""
    with _Undrawn(), _Averaged():  # type: ignore[no-untyped-call]
        yield


def draws(net: nn.Module, images: Tensor) -> bool:
    """Tell whether a network, in the mode it is in, asks for random numbers.

    The generator is put back. Those of NumPy and of the network's own are not seen.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.random.get_rng_state()
        net(images)
        return not torch.equal(before, torch.random.get_rng_state())


class _Undrawn(TorchFunctionMode):
    """Leaves out dropout that keeps the spread: its mean is not what it was given."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what such a function was given."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "").rstrip("_") in ("alpha_dropout", "feature_alpha_dropout"):
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


class _Averaged(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Replaces draws of zeros and ones by their mean, whatever function asked for them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Fill with the probability what would have been drawn with it."""
        kwargs = kwargs or {}
        aten = torch.ops.aten
        if func is aten.bernoulli_.float:
            return args[0].fill_(args[1] if len(args) > 1 else kwargs.get("p", 0.5))
        if func is aten.bernoulli_.Tensor:
            return args[0].copy_(args[1])
        if func is aten.bernoulli.default:
            return args[0].clone()
        if func is aten.bernoulli.p:
            return torch.full_like(args[0], args[1])
        if func is aten.native_dropout.default:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        if func in (aten.rrelu_with_noise.default, aten.rrelu_with_noise_.default):
            return func(*args[:4], False)
        return func(*args, **kwargs)
