"""L-BFGS: Newton's direction from the last few gradients, for data small enough to be one batch.

torch.optim.LBFGS keeps one parameter group and a state of lists, which no checkpoint by parameter
name can hold, and evaluates the loss as often as it likes. Here one gradient is one step, as for
every other optimiser: given up is the line search, so the rate and the schedule are the user's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.records import expect
from striate.train.optimiser import Optimiser

_LEAST_CURVATURE = 1e-10


class LBFGS(Optimiser, frozen=True, kw_only=True, tag="lbfgs"):
    """The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno, without line search.

    w = w - rate H g, with H the inverse curvature that the last `history` pairs of moves and
    gradient changes imply; the first step goes min(1, 1 / |g|_1) down the gradient. Where batches
    are drawn, gradients differ by chance as much as by curvature: give it the whole data
    (batch = images, no augmentation, no dropout), or a small rate.

    Args:
        history: pairs kept.

    Source: Liu and Nocedal, Mathematical Programming 45 (1989); the two loops are Nocedal's, 1980.
    """

    rate: float = 0.5
    history: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.history >= 1, "a history of at least 1 pair", history=self.history)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return the optimiser."""
        return _LBFGS(groups, self)


class _LBFGS(torch.optim.Optimizer):
    """The algorithm over all groups as one vector; state lies with each parameter.

    State: `gradient` and `move` of the last step, `changes` and `moves` (pairs, *shape).
    """

    def __init__(self, groups: list[dict[str, Any]], record: LBFGS) -> None:
        self.record = record
        super().__init__(groups, {"lr": record.rate, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move every parameter; one without a gradient counts as having zeros."""
        parameters = [each for group in self.param_groups for each in group["params"]]
        if not parameters:
            return None
        gradient = torch.cat([self._gradient(group, p).flatten() for group, p in self._members()])
        if self.state[parameters[0]]:
            moves, changes = self._pairs(parameters, gradient)
            direction, first = two_loops(gradient, moves, changes), 1.0
        else:
            moves = changes = gradient.new_empty(0, len(gradient))
            direction, first = -gradient, min(1.0, 1.0 / max(float(gradient.abs().sum()), 1e-30))
        rates = [torch.full_like(p, group["lr"] * first).flatten() for group, p in self._members()]
        move = direction * torch.cat(rates)
        kept = {"gradient": gradient, "move": move, "moves": moves, "changes": changes}
        sizes, total = [parameter.numel() for parameter in parameters], 0
        for parameter, size in zip(parameters, sizes, strict=True):
            own = slice(total, total + size)
            for name, value in kept.items():
                shape = (*value.shape[:-1], *parameter.shape)
                self.state[parameter][name] = value[..., own].reshape(shape).clone()
            parameter.add_(self.state[parameter]["move"])
            total += size
        return None

    def _members(self) -> list[tuple[dict[str, Any], Tensor]]:
        return [(group, each) for group in self.param_groups for each in group["params"]]

    @staticmethod
    def _gradient(group: dict[str, Any], parameter: Tensor) -> Tensor:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return gradient.add(parameter, alpha=group["weight_decay"])

    def _pairs(self, parameters: list[Tensor], gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return moves and gradient changes, oldest first: (pairs, parameters) each."""

        def gather(name: str) -> Tensor:
            parts = [(self.state[each][name], each) for each in parameters]
            flat = [
                part.reshape(*part.shape[: part.dim() - each.dim()], each.numel())
                for part, each in parts
            ]
            return torch.cat(flat, dim=-1)

        moves, changes = gather("moves"), gather("changes")
        move, change = gather("move"), gradient - gather("gradient")
        if float(move @ change) > _LEAST_CURVATURE:
            moves = torch.cat([moves, move[None]])[-self.record.history :]
            changes = torch.cat([changes, change[None]])[-self.record.history :]
        return moves, changes


def two_loops(gradient: Tensor, moves: Tensor, changes: Tensor) -> Tensor:
    """Return -H g without ever writing H down: Nocedal's two loops.

    Args:
        gradient: (parameters,).
        moves: s_k = w_(k+1) - w_k, (pairs, parameters), oldest first.
        changes: y_k, of the gradient, likewise; s_k y_k > 0 for all.

    Returns:
        (parameters,).
    """
    curvature = (moves * changes).sum(1)
    q, shares = -gradient, []
    for index in reversed(range(len(moves))):
        share = (moves[index] @ q) / curvature[index]
        q = q - share * changes[index]
        shares.append(share)
    if len(moves):
        q = q * (curvature[-1] / (changes[-1] @ changes[-1]))
    for index, share in enumerate(reversed(shares)):
        q = q + moves[index] * (share - (changes[index] @ q) / curvature[index])
    return q
