"""What happens around the steps of a watched loop: does its optimiser step, and is it cleared?

All of it is read: a counter is hooked on the optimiser, and one small parameter's gradient is
compared with itself in the few steps that are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

_SMALL: Final = 4096  # elements of the parameter whose gradient is compared
_CUT: Final = 0.5  # of a gradient's elements that are the largest one: values were clipped to it


class Around:
    """Counts an optimiser's steps between calls of `note`, and sees whether gradients are cleared.

    Args:
        optimiser: torch's, or what wraps one.
        parameters: that the loop trains and the optimiser holds.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimiser = optimiser
        wanted = [each for each in parameters if each.requires_grad]
        few = [each for each in wanted if each.numel() <= _SMALL]
        # The last is of the layer nearest to the loss, which every loss gives a gradient.
        self._one = few[-1] if few else min(wanted, key=Tensor.numel, default=None)
        self._steps = self._last = 0
        self._counts = False
        self._hooks: list[Any] = []
        self._fresh: Tensor | None = None
        self._cleared: bool | None = None
        self._counter = self._count()

    def arm(self) -> None:
        """See at the next backward pass whether the gradients of the one before are gone."""
        one = self._one
        if one is None or not one.requires_grad or (self._counts and not self._last):
            return  # frozen, or no step since the last backward pass: gradients are being gathered
        self._cleared = None
        self._hooks = [
            one.register_hook(self._keep),  # type: ignore[no-untyped-call]
            one.register_post_accumulate_grad_hook(self._compare),  # type: ignore[no-untyped-call]
        ]

    def note(self) -> dict[str, Any]:
        """Return what a step showed, to be written beside its probe; counting begins anew."""
        self.disarm()
        said: dict[str, Any] = {}
        if self._counts:
            said["optimiser_steps"] = self._steps
        if self._cleared is not None:
            said["cleared"] = self._cleared
        self._last, self._steps, self._cleared = self._steps, 0, None
        return said

    def cut(self) -> float | None:
        """Return the value that most elements of a gradient were clipped to, if they were."""
        slope = None if self._one is None else self._one.grad
        if slope is None or slope.is_sparse or slope.numel() < 2:
            return None
        sizes = slope.detach().abs()
        most = sizes.max()
        share, value = torch.stack([(sizes == most).float().mean(), most.float()]).tolist()
        return value if share >= _CUT and value > 0 else None

    def disarm(self) -> None:
        """Take the hooks off the parameter."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._fresh = [], None

    def close(self) -> None:
        """Leave the optimiser and the parameter as they were found."""
        self.disarm()
        self._counter()

    def _count(self) -> Callable[[], object]:
        """Count steps, where the optimiser is one of torch's own; return what ends it.

        One that somebody wrote may never be stepped by that name (SAM), or have no hooks.
        """
        if not type(self.optimiser).__module__.startswith("torch.optim"):
            return lambda: None

        def stepped(*given: object) -> None:
            self._steps += 1

        self._counts = True
        return self.optimiser.register_step_post_hook(stepped).remove

    def _keep(self, slope: Tensor) -> None:
        if self._fresh is None and self._cleared is None and not slope.is_sparse:
            self._fresh = slope.detach().clone()

    def _compare(self, parameter: Tensor) -> None:
        fresh, whole = self._fresh, parameter.grad
        if fresh is None or whole is None or self._cleared is not None:
            return
        self._fresh = None
        if bool(fresh.any()) and bool(whole.isfinite().all()):
            self._cleared = torch.equal(whole, fresh.to(whole.dtype))


def held(optimiser: torch.optim.Optimizer, module: nn.Module) -> tuple[Tensor, ...]:
    """Return the parameters of a module that an optimiser holds; all, if it holds none of them."""
    known = {id(each) for group in optimiser.param_groups for each in group["params"]}
    every = tuple(module.parameters())
    return tuple(each for each in every if id(each) in known) or every


def rateless(optimiser: torch.optim.Optimizer, parameters: dict[str, Tensor]) -> list[str]:
    """Return the names of parameters in groups whose rate is 0, where another group's is not."""
    groups = [group for group in optimiser.param_groups if not float(group["lr"])]
    if len(groups) == len(optimiser.param_groups):
        return []
    known = {id(each) for group in groups for each in group["params"]}
    return [name for name, each in parameters.items() if id(each) in known]


def leading(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the parameter group with the largest rate."""
    group: dict[str, Any] = max(optimiser.param_groups, key=lambda each: float(each["lr"]))
    return group
