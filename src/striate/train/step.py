"""The arithmetic of one optimiser step, and nothing else.

A step is a pure function of the weights, the optimiser's state and its number: the batch, the
dropout masks and whatever else is random have an address. Its loss is the mean over the global
batch, whichever way that is cut into processes and micro-batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from striate.contract import Affine
from striate.data import Batch
from striate.errors import NotFiniteError
from striate.layers import Net, placement
from striate.randomness import stream
from striate.train.objective import Rows
from striate.train.optimiser import Stepper
from striate.train.processes import Processes
from striate.train.recipe import Recipe

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Taken(NamedTuple):
    """What a step saw.

    Args:
        loss: mean over the global batch, before the update.
        rate: learning rate, without the parameters' multipliers.
        gradient_norm: L2 over all parameters, before clipping; None when float16 overflowed and
            the step was left out.
    """

    loss: float
    rate: float
    gradient_norm: float | None


class Step:
    """Takes one step after another.

    Args:
        recipe: objective, clipping, precision, layout, seed.
        net: the net being trained, on its device.
        stepper: its optimiser.
        together: the processes that share the batch.
        normalisation: how images are made of 8-bit levels; 0 to 1 where nothing is said.
    """

    def __init__(
        self,
        recipe: Recipe,
        net: Net,
        stepper: Stepper,
        together: Processes,
        normalisation: Affine | None = None,
    ) -> None:
        self.recipe, self.net, self.stepper, self.together = recipe, net, stepper, together
        self.normalisation = normalisation or Affine((1 / 255,), (0.0,))
        self.forward = torch.compile(net, dynamic=False) if recipe.compile else net
        self.first_seed = stream(recipe.seed, "step").seed("torch")
        self.parameters = tuple(stepper.parameters.values())
        self.scaler = torch.amp.GradScaler(
            together.device.type, enabled=recipe.precision == "float16"
        )

    def __call__(self, parts: Sequence[Batch], number: int, factor: float) -> Taken:
        """Take step `number`, counted from 1.

        Args:
            parts: the micro-batches, in order; (rows, channels, height, width) each.
            number: the step's number, its address for everything random.
            factor: of the schedule, on the optimiser's rate.

        Raises:
            NotFiniteError: the loss or the gradient is not finite; the weights are as before.
        """
        total = sum(part.total for part in parts)
        self._seed(number)
        if not self.net.training:
            self.net.train()
        self.stepper.torch.zero_grad()
        loss, before = torch.zeros((), device=self.together.device), 0
        for index, part in enumerate(parts):
            with placement(
                seed=self.recipe.seed, step=number, total=total, offset=before + part.offset
            ):
                share = self._loss(part, (number, index)) / total
            torch.autograd.backward(self.scaler.scale(share))
            loss, before = loss + share.detach(), before + part.total
        self.together.sum_gradients(self.parameters)
        self.scaler.unscale_(self.stepper.torch)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = get_total_norm(gradients)
        mean, length = torch.stack([self.together.sum(loss), norm]).tolist()
        seen = Taken(mean, self.stepper.set_rate(factor), length)
        overflow = self._refuse_unless_finite(seen, number)
        if self.recipe.clip is not None and not overflow:
            clip_grads_with_norm_(self.parameters, self.recipe.clip, norm)
        if not overflow:  # fused optimisers would begin their state with whatever memory holds
            self.scaler.step(self.stepper.torch)
        self.scaler.update()
        return seen._replace(gradient_norm=None) if overflow else seen

    @property
    def loss_scale(self) -> tuple[float, int]:
        """float16's loss scale and for how many steps it has stood; zeros with other precisions."""
        state = self.scaler.state_dict()
        return (state["scale"], state["_growth_tracker"]) if state else (0.0, 0)

    @loss_scale.setter
    def loss_scale(self, value: tuple[float, int]) -> None:
        if self.scaler.is_enabled():
            scale, age = value
            self.scaler.load_state_dict(
                {**self.scaler.state_dict(), "scale": scale, "_growth_tracker": age}
            )

    def _loss(self, part: Batch, address: tuple[int, int]) -> Tensor:
        images = part.images.to(
            self.together.device, non_blocking=True, memory_format=_memory_order(self.recipe)
        )
        rows = self.rows(part._replace(images=images), address)
        with self._precision():
            return self.recipe.objective.loss(
                cast(Callable[[Tensor], Tensor], self.forward), self.net.network, rows
            )

    def rows(self, part: Batch, address: tuple[int, int]) -> Rows:
        """Return a batch's share on the device, as an objective takes it."""
        return Rows(
            part.images.to(self.together.device),
            part.labels.to(self.together.device, non_blocking=True),
            part.offset,
            address,
            self.recipe.seed,
            self.together,
            self.normalisation,
        )

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.together.device.type, _DTYPES[self.recipe.precision])

    def _refuse_unless_finite(self, seen: Taken, number: int) -> bool:
        """Raise before the optimiser acts; say whether float16 merely overflowed."""
        norm = cast(float, seen.gradient_norm)
        if math.isfinite(seen.loss) and math.isfinite(norm):
            return False
        if math.isfinite(seen.loss) and self.scaler.is_enabled() and self.scaler.get_scale() > 1:
            return True
        what = "gradient" if math.isfinite(seen.loss) else "loss"
        raise NotFiniteError(
            f"Step {number}: the {what} is not finite (loss {seen.loss:g}, gradient norm {norm:g}, "
            f"learning rate {seen.rate:g}).",
            number,
        )

    def _seed(self, number: int) -> None:
        """Seed torch's generators for whatever draws without an address of its own.

        Not by torch.manual_seed, which formats a stack trace for every device not in use.
        """
        seed = (self.first_seed + number) % (1 << 63)
        torch.default_generator.manual_seed(seed)
        if self.together.device.type == "cuda":
            torch.cuda.manual_seed(seed)


def place(net: Net, recipe: Recipe, device: torch.device) -> Net:
    """Put a net on a device, its weights in the memory order that the recipe names."""
    order = _memory_order(recipe)
    return net.to(device=device, memory_format=order)  # type: ignore[call-overload, no-any-return]


def _memory_order(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format
