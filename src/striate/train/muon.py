"""Muon: a filter bank's update with all its singular values brought to one.

A gradient of a convolution is nearly of low rank: a few directions take the whole update. Muon
takes its momentum as a matrix (features, channels x window), replaces it by the nearest matrix with
orthonormal rows, and so moves every direction alike. Classifiers, biases and normalisation are left
to AdamW. torch.optim.Muon takes matrices only, and nothing beside them; this one takes filters.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from striate.records import expect
from striate.train.optimiser import Optimiser

_QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at zero; singular values end between 0.7 and 1.2


class Muon(Optimiser, frozen=True, kw_only=True):
    """Momentum, orthogonalised, for convolution filters; AdamW for all other parameters.

    v = momentum v + (1 - momentum) g; u = (1 - momentum) g + momentum v as a matrix;
    w = w - rate (decay w + max(1, rows / columns)^1/2 orthogonal(u)).

    Args:
        momentum: how much of the last velocity is kept.
        iterations: of Newton and Schulz's quintic that makes `orthogonal`.
        others: AdamW's rate for what is no filter, as a share of `rate`.
        betas: of that AdamW.

    Source: Jordan et al., "Muon: an optimizer for hidden layers", 2024; for filters, Jordan,
    "94% on CIFAR-10 in 3.29 seconds", arXiv 2404.00498, in its later versions.
    """

    rate: float = 0.02
    momentum: float = 0.95
    iterations: int = 5
    others: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(0 <= self.momentum < 1, "0 <= momentum < 1", momentum=self.momentum)
        expect(1 <= self.iterations <= 20, "1 to 20 iterations", iterations=self.iterations)
        expect(self.others > 0, "a share above 0", others=self.others)
        expect(all(0 <= beta < 1 for beta in self.betas), "betas from 0 to 1", betas=self.betas)

    def build(self, groups: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
        """Return the optimiser over groups cut into filters and the rest."""
        cut = [
            {**group, "params": members, "filters": filters}
            for group in groups
            for filters in (True, False)
            if (members := [each for each in group["params"] if (each.dim() > 2) is filters])
        ]
        return _Muon(cut, self)


class _Muon(torch.optim.Optimizer):
    """The algorithm; each group says whether its parameters are filters."""

    def __init__(self, groups: list[dict[str, Any]], record: Muon) -> None:
        self.record = record
        super().__init__(groups, {"lr": record.rate, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            move = self._move_filter if group["filters"] else self._move_other
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move(parameter, group["lr"], group["weight_decay"])
        return None

    def _move_filter(self, weight: Tensor, rate: float, decay: float) -> None:
        gradient, state = cast(Tensor, weight.grad), self.state[weight]
        if not state:
            state["velocity"] = torch.zeros_like(weight)
        velocity = state["velocity"].lerp_(gradient, 1 - self.record.momentum)
        update = gradient.lerp(velocity, self.record.momentum)
        rows, columns = weight.shape[0], weight[0].numel()
        direction = orthogonal(update.reshape(rows, columns), self.record.iterations)
        scale = max(1.0, rows / columns) ** 0.5
        weight.mul_(1 - rate * decay).sub_(direction.view(weight.shape), alpha=rate * scale)

    def _move_other(self, weight: Tensor, rate: float, decay: float) -> None:
        gradient, state = cast(Tensor, weight.grad), self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        (first, second), step = self.record.betas, float(state["step"])
        mean = state["mean"].lerp_(gradient, 1 - first) / (1 - first**step)
        square = state["square"].lerp_(gradient.square(), 1 - second) / (1 - second**step)
        rate *= self.record.others
        weight.mul_(1 - rate * decay).sub_(mean / (square.sqrt() + 1e-8), alpha=rate)


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return about U V^T of a matrix U S V^T: (rows, columns) -> (rows, columns).

    Newton and Schulz's iteration in a quintic whose slope at zero is steep, so that five rounds do;
    singular values end between about 0.7 and 1.2, very small ones below.

    Args:
        matrix: in float32 or float64; zeros give zeros.
        iterations: rounds.

    Source: Jordan et al. 2024; Bernstein and Newhouse, "Old optimizer, new norm", 2024.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-12)
    first, third, fifth = _QUINTIC
    for _ in range(iterations):
        gram = x @ x.T
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return cast(Tensor, x.T if tall else x)
