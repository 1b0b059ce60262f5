"""Probes: what single layers do during training, written into the history now and then.

A probe costs a small part of a step, and is taken at steps 1, 5, 10 and every 20th: some 0.3% of
the time (benchmarks/probes.py). It reads and changes nothing, so a watched run is, bit for bit, the
same as one that is not. A line of the history:

    {"kind": "probe", "probe": "layers", "step", "epoch", "waiting": share of a usual step,
     "weights": {name: {"size", "gradient", "update", "apart"}}, # norms; update / size ~ 1e-3;
                                                    # the gradient of what is frozen is null
     "values": {layer: {"mean", "spread", "dead", "saturated"}}, # of activations, in 16 rows
     "norms": {layer: drift of the running mean since the last probe, in running deviations}}

Size is that before the step, and `apart` what is left of weights without the mean over features.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from striate.layers.pointwise import ScaledTanh

EVERY: Final = 20
_EARLY: Final = (1, 5, 10)
ROWS: Final = 16  # of a batch, whose activations are looked at
_SATURATED: Final = 0.99
_LARGE: Final = 1e15  # whose square float32 cannot sum up

_RECTIFIERS = (nn.ReLU, nn.ReLU6)
_SQUASHERS = (nn.Sigmoid, nn.Tanh, ScaledTanh)
ACTIVATIONS: Final = (*_RECTIFIERS, *_SQUASHERS, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU)
_NORMS = nn.modules.batchnorm._BatchNorm


class Probes:
    """Looks at some steps of a training.

    Args:
        net: being trained; hooks are on it only during a step that is looked at.
        parameters: those that are trained, by name.
        on: whether to look at all.

    Attributes:
        waited: seconds between one step's end and the next one's begin, all together.
    """

    def __init__(self, net: nn.Module, parameters: Mapping[str, Tensor], on: bool = True) -> None:
        self.net, self.on = net, on
        self.follow(parameters)
        self._before: list[Tensor] | None = None
        self._values: dict[str, Tensor] = {}
        self._hooks: list[RemovableHandle] = []
        self._seen: dict[str, Any] | None = None
        self._running: dict[str, Tensor] = {}
        self._began = self._left = self.waited = 0.0
        self._gaps, self._busy = list[float](), list[float]()

    def follow(self, parameters: Mapping[str, Tensor]) -> None:
        """Look at these parameters' weights from the next step on."""
        self.weights = {name: each for name, each in parameters.items() if each.dim() > 1}

    @contextmanager
    def over(self, number: int) -> Iterator[None]:
        """Surround step `number`, counted from 1."""
        self.begin(number)
        try:
            yield
        except BaseException:
            self.leave()
            raise
        self.end()

    def begin(self, number: int) -> None:
        """Get ready to look at step `number`, if it is one that is looked at."""
        self._began = time.perf_counter()
        if self._left:
            self._gaps.append(self._began - self._left)
            self.waited += self._gaps[-1]
        if self.on and looked_at(number):
            self._before = [weight.detach().clone() for weight in self.weights.values()]
            self._values = {}
            self._hooks = [
                module.register_forward_hook(partial(_keep, self._values, name))
                for name, module in self.net.named_modules()
                if isinstance(module, ACTIVATIONS)
            ]

    @property
    def looking(self) -> bool:
        """Whether the step that has begun is looked at."""
        return self._before is not None

    def end(self) -> None:
        """Look at the step that has been taken; its gradients are still there."""
        before = self._before
        self.leave()
        if before is not None:
            self._seen = self._look(before, self._values)
        self._left = time.perf_counter()
        self._busy.append(self._left - self._began)

    def leave(self) -> None:
        """Take the hooks off, and look at nothing."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before = [], None

    def seen(self) -> dict[str, Any] | None:
        """Return what the last step showed, once; None if it was not looked at."""
        seen, self._seen = self._seen, None
        if seen is not None:
            gap, busy = (float(np.median(each or [0.0])) for each in (self._gaps, self._busy))
            seen["waiting"] = gap / (gap + busy) if gap else 0.0
            self._gaps, self._busy = [], []
        return seen

    @torch.no_grad()
    def blame(self, images: Tensor) -> str:
        """Return the first layer whose values, or else gradients, are not finite for a batch.

        Where all are, but too large to be summed up, it is the layer of the largest gradient.
        """
        found: list[str] = []

        def look(name: str, module: nn.Module, given: Any, made: Any) -> None:
            if isinstance(made, Tensor) and not bool(made.isfinite().all()):
                found.append(name)

        leaves = [(n, m) for n, m in self.net.named_modules() if not list(m.children())]
        handles = [m.register_forward_hook(partial(look, name)) for name, m in leaves]
        try:
            self.net(images)
        finally:
            for handle in handles:
                handle.remove()
        known = {name.rpartition(".")[0]: each.grad for name, each in self.weights.items()}
        slopes = {name: slope for name, slope in known.items() if slope is not None}
        found += [name for name, slope in slopes.items() if not bool(slope.isfinite().all())]
        if found or not slopes:
            return found[0] if found else "the loss"
        largest = torch.stack([slope.abs().amax() for slope in slopes.values()])
        return list(slopes)[int(largest.argmax())] if float(largest.max()) > _LARGE else "the loss"

    @torch.no_grad()
    def _look(self, before: list[Tensor], values: dict[str, Tensor]) -> dict[str, Any]:
        weights: list[Tensor] = list(self.weights.values())
        moves = [after - old for after, old in zip(weights, before, strict=True)]
        gradients = [torch.zeros(()) if w.grad is None else w.grad for w in weights]
        apart = [each - each.mean(0) for each in weights]
        columns: list[Sequence[float | None]] = [
            _norms(list(each)) for each in (before, gradients, moves, apart)
        ]
        columns[1] = [
            norm if weight.requires_grad else None
            for norm, weight in zip(columns[1], weights, strict=True)
        ]
        keys = ("size", "gradient", "update", "apart")
        return {
            "weights": {
                name: dict(zip(keys, figures, strict=True))
                for name, *figures in zip(self.weights, *columns, strict=True)
            },
            "values": {name: _figures(self.net, name, value) for name, value in values.items()},
            "norms": self._drift(),
        }

    def _drift(self) -> dict[str, float]:
        found = {}
        for name, module in self.net.named_modules():
            mean, variance = (getattr(module, key, None) for key in ("running_mean", "running_var"))
            if isinstance(module, _NORMS) and mean is not None and variance is not None:
                old = self._running.get(name)
                if old is not None:
                    move = (mean - old).abs() / (variance + module.eps).sqrt()
                    found[name] = float(move.mean())
                self._running[name] = mean.clone()
        return found


def looked_at(number: int) -> bool:
    """Tell whether step `number`, counted from 1, is one that is looked at."""
    return number in _EARLY or number % EVERY == 0


def beginning(labels: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return what an epoch begins with: which images, of how many classes, and what chance gives.

    Args:
        labels: of all training images.
        indices: of the first batch.
    """
    shares = np.bincount(labels) / max(len(labels), 1)
    return {
        "kind": "probe",
        "probe": "order",
        "digest": zlib.crc32(indices.tobytes()),
        "images": len(indices),
        "classes": len(np.unique(labels[indices])),
        "expected": float((1 - (1 - shares) ** len(indices)).sum()),
    }


def _keep(values: dict[str, Tensor], name: str, module: nn.Module, given: Any, made: Any) -> None:
    """Keep the first rows of what an activation gave first."""
    if name not in values and isinstance(made, Tensor) and len(made):  # a process may have none
        values[name] = made.detach()[:ROWS]


def _figures(net: nn.Module, name: str, value: Tensor) -> dict[str, float]:
    """Return mean, spread and the share that is dead or saturated of (rows, features, ...)."""
    kind = net.get_submodule(name)
    mean, spread = value.float().mean(), value.float().std(correction=0)
    dead = torch.zeros(())
    if isinstance(kind, _RECTIFIERS):
        by_feature = value.transpose(0, 1).flatten(1) if value.dim() > 1 else value[None]
        dead = (by_feature.amax(1) <= 0).float().mean()
    saturated = torch.zeros(())
    if isinstance(kind, _SQUASHERS):
        middle = 0.5 if isinstance(kind, nn.Sigmoid) else 0.0
        half = 0.5 if isinstance(kind, nn.Sigmoid) else getattr(kind, "outer", 1.0)
        saturated = ((value - middle).abs() > _SATURATED * half).float().mean()
    figures = torch.stack([each.float().cpu() for each in (mean, spread, dead, saturated)])
    return dict(zip(("mean", "spread", "dead", "saturated"), figures.tolist(), strict=True))


def _norms(tensors: list[Tensor]) -> list[float]:
    return torch.stack(torch._foreach_norm(tensors)).tolist() if tensors else []
