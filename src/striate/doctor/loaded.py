"""The check that weights to begin with reached every layer: `strict=False` passes over in silence.

There is no file to compare a foreign module with, but initialisers leave marks that training wipes
out with its first steps: biases that are all exactly 0, running statistics of exactly 0 and 1,
weights that fill a uniform range to its very ends.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from striate.doctor.subject import NORMALISING, Check, Subject, Verdict

_NAMED = 3
_MANY = 400  # weights, of which fewer do not tell an even spread from another
_FILLED = 5.0  # over their number: by how much their greatest may fall short of the range's end
_SURE = 4.0  # standard errors
_KOLMOGOROV = 1.95  # over the root of their number: 99.9% of uniform draws are nearer


def loaded_whole(subject: Subject) -> Check:
    """See that no layer but the last is as an initialiser leaves it, where others are not."""
    marks = {
        name: mark
        for name, module in subject.net.named_modules()
        if (mark := _untouched(module)) is not None
    }
    new = (*subject.anew, _last(subject.net))
    body = {name: mark for name, mark in marks.items() if name not in new}
    fresh = [name for name, mark in body.items() if mark]
    asked = subject.begun and bool(body)
    named = ", ".join(fresh[:_NAMED]) + f" and {len(fresh) - _NAMED} more" * (len(fresh) > _NAMED)
    verdict: Verdict = "skip"
    fix = ""
    if not subject.begun:
        meaning = "training begins with random weights"
    elif not asked:
        meaning = "no layer would tell whether it was trained"
    elif not fresh:
        verdict, meaning = "pass", "the weights it begins with are in every layer"
    else:
        verdict = "fail"
        meaning = f"{len(fresh)} of {len(body)} layers are as an initialiser leaves them: {named}"
        fix = (
            "load the weights strictly, and see which names differ "
            "(load_state_dict(strict=False) passes over them in silence)"
        )
    return Check(
        check="loaded_whole",
        measured=float(len(fresh)) if asked else None,
        expected="trained weights in every layer but the last",
        band=(0.0, 0.0) if asked else None,
        verdict=verdict,
        meaning=meaning,
        fix=fix,
    )


def _untouched(module: nn.Module) -> bool | None:
    """Tell whether a layer bears the marks of its initialiser; None where it could not."""
    if isinstance(module, NORMALISING):
        mean, variance = module.running_mean, module.running_var
        if mean is None or variance is None:
            return None
        return bool((mean == 0).all()) and bool((variance == 1).all())
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        return None
    bias = getattr(module, "bias", None)
    values = weight.detach().float()
    zero = isinstance(bias, Tensor) and bool((bias == 0).all())
    if zero and _spread_as_drawn(values):
        return True
    if values.numel() >= _MANY and _fills_a_range(values):
        return True
    return False if isinstance(bias, Tensor) else None


def _fans(weight: Tensor) -> tuple[int, int]:
    """Return how many values a weight's output takes in, and an input goes out to."""
    return weight[0].numel(), weight.shape[0] * weight[0, 0].numel()


def _spread_as_drawn(weight: Tensor) -> bool:
    """Tell whether weights have the deviation that a usual initialiser gives."""
    inputs, outputs = _fans(weight)
    usual = (2 / inputs, 2 / outputs, 2 / (inputs + outputs), 1 / inputs, 1 / (3 * inputs), 1e-4)
    spread = float(weight.std())
    error = 1 / math.sqrt(2 * weight.numel())
    return any(abs(spread - each**0.5) < _SURE * error * each**0.5 for each in usual)


def _fills_a_range(weight: Tensor) -> bool:
    """Tell whether weights are spread evenly over a range that initialisers draw from."""
    values, count = weight.flatten().sort().values, weight.numel()
    inputs, outputs = _fans(weight)
    greatest = float(values.abs().max())
    for end in (inputs**-0.5, math.sqrt(6 / inputs), math.sqrt(6 / (inputs + outputs))):
        if end * (1 - _FILLED / count) <= greatest <= end * (1 + 1e-6):
            even = torch.arange(1, count + 1) / count
            apart = float((even - (values / end + 1) / 2).abs().max())
            return apart < _KOLMOGOROV / math.sqrt(count)
    return False


def _last(net: nn.Module) -> str:
    """Return the last layer with a matrix of weights: the head, which may be new."""
    layers = [
        name
        for name, module in net.named_modules()
        if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.dim() > 1
    ]
    return layers[-1] if layers else ""
