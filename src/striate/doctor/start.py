"""Checks on a network that has not been trained: its weights, its signal, its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.doctor.effort import glance
from striate.doctor.scores import may_be_negative
from striate.doctor.subject import Check, Subject, Verdict, main_output, tensors
from striate.doctor.unregistered import all_trained as all_trained

_REGULARISATION = 1e3  # the lectures' "crank it up"
_LOUDEST = 1e3  # ratio of activations' spread, last to first, beyond which gradients explode
_MOST_GAIN = 5.0  # times that a layer makes its input larger; He's initialisation has 1.4
_WARN_DEAD, _FAIL_DEAD = 0.4, 0.9
_ALIKE = 0.5  # of a layer's features
_ROUNDING = 1e-5  # of a layer's values: nothing of them comes from the images
_AGAIN = 8  # times that a parameter without a gradient is asked for one
_RECTIFIERS = (nn.ReLU, nn.ReLU6)


def regularised_loss(subject: Subject) -> Check:
    """See that a large L2 on the weights raises the loss, as it must."""
    weights = [each for each in subject.net.parameters() if each.dim() > 1]
    with torch.no_grad():
        penalty = _REGULARISATION / 2 * float(sum((w.double() ** 2).sum() for w in weights))
    good = penalty > 0 and math.isfinite(penalty)
    return Check(
        check="regularised_loss",
        measured=penalty,
        expected=f"a rise above 0 with a decay of {_REGULARISATION:g}",
        band=(0.0, None),
        verdict="pass" if good else "fail",
        meaning="the penalty sees the weights"
        if good
        else "there are no weights to be decayed, or all of them are zero",
        fix="" if good else "start weights at random values: at zero, all features stay alike",
    )


def activation_scale(subject: Subject) -> Check:
    """Follow the spread of the values through depth."""
    with subject.quiet(training=True) as net, _watching(net) as seen, torch.no_grad():
        net(glance(subject, 64))
    live = [each.output for each in seen if not each.idle]  # a head at zero is no fading
    spreads = [float(each.std(0).mean()) for each in live]  # over images: biases have none
    if not bool((subject.images[:64] != subject.images[:1]).any()):
        spreads = []  # nothing goes in
    ratio = math.nan
    if spreads and spreads[0] > 0:
        ratio = spreads[-1] / spreads[0]
    elif spreads:
        ratio = 0.0
    fix = ""
    if not spreads:
        verdict: Verdict = "skip"
        meaning = "there is no signal to follow"
    elif 0.03 <= ratio <= 30:
        verdict, meaning = "pass", "the signal keeps its size through depth"
    else:
        verdict = "warn" if 1 / _LOUDEST <= ratio <= _LOUDEST else "fail"
        goes = "grows" if ratio > 1 else "fades"
        meaning = f"the signal {goes} through {len(spreads)} layers"
        fix = "start with He's initialisation (relu) or Xavier's (tanh), or normalise by batch"
    return Check(
        check="activation_scale",
        measured=ratio if math.isfinite(ratio) else None,
        expected="last spread / first spread from 0.03 to 30",
        band=(0.03, 30.0),
        verdict=verdict,
        meaning=meaning,
        fix=fix,
    )


def layer_gain(subject: Subject) -> Check:
    """Compare what each trained layer gives with what it takes, also where a norm hides it."""
    if subject.begun:
        gains = []
    else:
        with subject.quiet(training=True) as net, _watching(net) as seen, torch.no_grad():
            net(glance(subject, 64))
        gains = [each.gain for each in seen if each.trained and each.gain > 0]
    gain = math.exp(sum(map(math.log, gains)) / len(gains)) if gains else math.nan
    fix = ""
    if not gains:
        verdict: Verdict = "skip"
        meaning = "there is nothing to compare: trained weights, or no signal"
    elif not gain > _MOST_GAIN:
        verdict, meaning = "pass", "layers leave the signal at its size"
    else:
        verdict = "fail"
        meaning = (
            f"each layer makes the signal {gain:.0f} times larger; norms undo that, but updates "
            "of weights so large change nothing"
        )
        fix = "start with He's initialisation (relu) or Xavier's (tanh)"
    return Check(
        check="layer_gain",
        measured=gain if math.isfinite(gain) else None,
        expected=f"at most {_MOST_GAIN:g} times a layer (geometric mean; He's initialisation 1.4)",
        band=(0.0, _MOST_GAIN),
        verdict=verdict,
        meaning=meaning,
        fix=fix,
    )


def dead_units(subject: Subject) -> Check:
    """Count the rectified features that no image makes positive."""
    images = glance(subject)
    with subject.quiet(training=True) as net, _watching(net, _RECTIFIERS) as seen, torch.no_grad():
        net(images)
    silent = [_silent(each.output) for each in seen]
    share = max(silent, default=0.0)
    verdict: Verdict = "fail" if share > _FAIL_DEAD else "warn" if share > _WARN_DEAD else "pass"
    where = f" (in rectifier {1 + silent.index(share)} of {len(silent)})" if silent else ""
    return Check(
        check="dead_units",
        measured=share,
        expected=f"at most {_WARN_DEAD:.0%} of a layer's features silent for all images",
        band=(0.0, _WARN_DEAD),
        verdict=verdict if silent else "skip",
        meaning=f"{share:.0%} of the worst layer's features are zero for every image{where}",
        fix="" if verdict == "pass" else "start biases at 0, and centre the images",
    )


def features_differ(subject: Subject) -> Check:
    """See that no layer computes the same feature again and again.

    What begins at zero, as a last layer may, is told apart by its gradients: each class has its
    own.
    """
    weights = [each for each in subject.net.parameters() if each.dim() > 1 and len(each) > 1]
    rows = [each.detach().flatten(1) for each in weights]
    repeated = max(map(_repeated, rows), default=0.0)
    stay = True
    if repeated >= _ALIKE:
        slopes = _slopes(subject, weights)
        zero = [(each == 0).all(1, keepdim=True) for each in rows]
        told = [
            torch.cat([row, slope * idle], 1)
            for row, slope, idle in zip(rows, slopes, zero, strict=True)
        ]
        repeated = max(map(_repeated, told))
        both = [torch.cat(pair, 1) for pair in zip(rows, slopes, strict=True)]
        stay = max(map(_repeated, both)) >= _ALIKE
    good = repeated < _ALIKE
    return Check(
        check="features_differ",
        measured=repeated,
        expected="features with weights of their own (less than half of a layer's repeated)",
        band=(0.0, _ALIKE),
        verdict="pass" if good else "fail",
        meaning="features start apart"
        if good
        else f"{repeated:.0%} of a layer's features start alike"
        + (", and would stay alike" if stay else ": only the layers after it tell them apart"),
        fix="" if good else "draw the weights at random",
    )


def _repeated(rows: Tensor) -> float:
    """Return the share of rows that are some other row again."""
    return 1 - (len(torch.unique(rows, dim=0)) - 1) / (len(rows) - 1)


def _slopes(subject: Subject, weights: list[nn.Parameter]) -> list[Tensor]:
    """Return gradients of weights as rows, in thousandths of each weight's largest.

    Of scores weighed at random: by labels, classes that no image is of would seem alike. Where
    zeros let none through, they are those after a step that moves the zeros.
    """
    images = glance(subject, 32, passes=3).nan_to_num()
    chance = torch.Generator().manual_seed(subject.seed)
    with subject.quiet(training=True) as net, torch.enable_grad():
        trained = [each for each in net.parameters() if each.requires_grad]

        def slopes() -> list[Tensor | None]:
            outputs = [each for each in tensors(net(images)) if each.requires_grad]
            blind = [torch.randn(each.shape, generator=chance).to(each) for each in outputs]
            if not outputs or not trained:
                return [None] * len(trained)
            return list(torch.autograd.grad(outputs, trained, blind, allow_unused=True))

        found = slopes()
        zeros = [
            (parameter, each)
            for parameter, each in zip(trained, found, strict=True)
            if each is not None and not _none(each) and not bool(parameter.any())
        ]
        if zeros and any(map(_none, found)):
            with _moved(zeros):
                later = slopes()
            found = [b if _none(a) else a for a, b in zip(found, later, strict=True)]
    by = {id(each): slope for each, slope in zip(trained, found, strict=True)}
    rounded = []
    for each in weights:
        slope = by.get(id(each))
        slope = torch.zeros_like(each) if slope is None else slope.detach().nan_to_num()
        rounded.append((slope / slope.abs().max().clamp_min(1e-30) * 1e3).round().flatten(1))
    return rounded


def scores_not_probabilities(subject: Subject) -> Check:
    """See that what is taken for scores has not been through a softmax, or a rectifier, already.

    Of few classes all scores of a healthy start may be positive by luck. So the graph is asked what
    they come from; where it does not say, the same layers drawn anew are.
    """
    with subject.quiet(training=True) as net, torch.no_grad():
        outputs = main_output(net(glance(subject, 32, passes=3))).detach().float()
    sums = (outputs.sum(1) - 1).abs().max()
    cut = subject.answer == "logits" and bool((outputs >= 0).all()) and outputs.numel() > 20
    cut &= bool(outputs.std() > 0)
    twice = cut and float(sums) < 1e-3
    cut = cut and (twice or not may_be_negative(subject))
    fix = ""
    if twice:
        verdict: Verdict = "fail"
        meaning = "outputs add up to 1: a softmax is in the network, and another in the loss"
        fix = "leave the softmax to the loss"
    elif cut:
        squashed = " or above 1" if bool((outputs <= 1).all()) else ""
        verdict = "fail"
        meaning = (
            f"none of {outputs.numel()} outputs is below 0{squashed}, also where the same layers "
            "are drawn anew: an activation comes after them"
        )
        fix = "end the network with its last linear layer"
    else:
        verdict = "pass" if subject.answer == "logits" else "skip"
        meaning = "outputs are scores"
    return Check(
        check="scores_not_probabilities",
        measured=float(sums),
        expected="scores of any sign, which the loss puts through its softmax",
        verdict=verdict,
        meaning=meaning,
        fix=fix,
    )


def gradients_arrive(subject: Subject) -> Check:
    """See that each trained parameter has a gradient, at the latest after the first step.

    What begins at zero and has a gradient itself (the last scale of a residual block, a head) lets
    none through at first; it is asked again as the first step would move it, and several times, as
    a network may leave out blocks at random.
    """
    parameters = [(n, p) for n, p in subject.net.named_parameters() if p.requires_grad]
    with subject.quiet(training=True) as net, torch.enable_grad():
        values = [p for _, p in parameters]
        found = _gradients(subject, net, values)
        without = [name for (name, _), each in zip(parameters, found, strict=True) if _none(each)]
        zeros = [
            (p, each)
            for p, each in zip(values, found, strict=True)
            if each is not None and not _none(each) and not bool(p.any())
        ]
        with _moved(zeros):
            for _ in range(_AGAIN if without else 0):
                again = _gradients(subject, net, values)
                late = {n for (n, _), e in zip(parameters, again, strict=True) if not _none(e)}
                without = [name for name in without if name not in late]
    verdict: Verdict = "fail"
    if not parameters:
        meaning, fix = "the network has nothing to train", "give it a layer with weights"
    elif without:
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        meaning = f"nothing teaches {', '.join(without[:3])}{more}"
        fix = "look for a detached value, a layer that is not used, or weights at zero"
    else:
        verdict, meaning, fix = "pass", "every parameter can learn", ""
    return Check(
        check="gradients_arrive",
        measured=float(len(without)),
        expected="no trained parameter without a finite gradient",
        band=(0.0, 0.0),
        verdict=verdict,
        meaning=meaning,
        fix=fix,
    )


def _gradients(
    subject: Subject, net: nn.Module, parameters: list[nn.Parameter]
) -> tuple[Tensor | None, ...]:
    """Return the gradient of the loss by each parameter; None where there is none."""
    images = glance(subject, 32, passes=3)
    count = len(images)
    outputs = net(images)
    every = outputs.values() if isinstance(outputs, dict) else [outputs]
    loss = torch.stack([subject.losses(o, subject.labels[:count]).mean() for o in every]).sum()
    if not parameters or not loss.requires_grad:
        return (None,) * len(parameters)
    return torch.autograd.grad(loss, parameters, allow_unused=True)


def _none(gradient: Tensor | None) -> bool:
    """Say whether a gradient is none, zero everywhere, or not finite."""
    return gradient is None or not bool(gradient.any()) or not bool(gradient.isfinite().all())


@contextmanager
def _moved(zeros: list[tuple[nn.Parameter, Tensor]]) -> Iterator[None]:
    """Move parameters from zero along their gradients, by a tenth at most, and back."""
    try:
        with torch.no_grad():
            for parameter, gradient in zeros:
                parameter.sub_(gradient * (0.1 / gradient.abs().max()))
        yield
    finally:
        with torch.no_grad():
            for parameter, _ in zeros:
                parameter.zero_()


def _silent(value: Tensor) -> float:
    """Return the share of features that are 0 in every image and place: of (n, features, ...)."""
    by_feature = value.transpose(0, 1).flatten(1) if value.dim() > 1 else value[None]
    return float((by_feature <= 0).all(1).float().mean())


class _Seen(NamedTuple):
    """A module at work: how much larger than its input its output is, the latter, and more.

    A gain of 0 is none: nothing but rounding goes through. Idle: its weights are all zero.
    """

    gain: float
    output: Tensor
    trained: bool
    idle: bool


def _size(value: Tensor) -> float:
    """Return the root mean square of a layer's values."""
    return float(value.detach().float().square().mean().sqrt())


def _centred(value: Tensor) -> Tensor:
    """Take the mean of each feature off it, over images and places: biases are no signal."""
    rest = (0, *range(2, value.dim()))
    return value.detach().float() - value.detach().float().mean(rest, keepdim=True)


@contextmanager
def _watching(net: nn.Module, kinds: tuple[type[nn.Module], ...] = ()) -> Iterator[list[_Seen]]:
    """Collect what modules of some kinds give; those with weights of several axes, if none said."""
    seen: list[_Seen] = []

    def look(module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        if isinstance(output, Tensor):
            taken = next((each for each in arguments if isinstance(each, Tensor)), output)
            own = list(module.parameters(recurse=False))
            trained = any(each.requires_grad for each in own)
            idle = not any(bool(each.any()) for each in own if each.dim() > 1)
            given, size = _size(_centred(output)), _size(taken)
            blind = size == 0 or given <= _ROUNDING * _size(output)  # dead, or a black image
            gain = 0.0 if blind else given / size
            seen.append(_Seen(gain, output.detach(), trained, idle))

    def wanted(module: nn.Module) -> bool:
        own = [each for each in module.parameters(recurse=False) if each.dim() > 1]
        return isinstance(module, kinds) if kinds else bool(own)

    handles = [m.register_forward_hook(look) for m in net.modules() if wanted(m)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
