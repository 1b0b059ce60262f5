"""The loss before training, and the loss that the same layers begin with by the usual rules.

Scores that have a spread already raise the first loss above ln K: by half their variance where it
is small. How wide they are at a healthy start depends on the network: each max-pooling makes them
wider, and few features make them a matter of luck. So a loss above ln K is held against those of
the same layers, drawn anew.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from striate.doctor.effort import glance
from striate.doctor.subject import Check, Subject, Verdict, main_output

_DRAWS, _FEW, _IMAGES = 16, 4, 128  # of a small network, of a large one
_COST = 60e9  # multiply-adds of all draws: two seconds of two cores
_USUAL, _WIDE = 3.0, 6.5  # times the median of those draws: luck, and beyond 192 starts' luckiest


def initial_loss(subject: Subject) -> Check:
    """Compare the loss before training with that of guessing, ln K, and with other draws."""
    chance, images = math.log(subject.classes), glance(subject)
    with subject.quiet(training=True) as net, torch.no_grad():
        losses = subject.losses(main_output(net(images)), subject.labels[: len(images)])
    mean, error = float(losses.mean()), _standard_error(losses)
    low, high = 0.85 * chance - 3 * error, chance + 0.5 + 3 * error  # random nets may be lucky
    low, most = 0.0 if subject.begun else low, 2 * chance + 1  # trained weights may know already
    drawn = mean > high and subject.answer == "logits" and not subject.begun
    above = usual_excess(subject) if drawn and math.isfinite(mean) else 0.0
    high, most = max(high, chance + _USUAL * above), max(most, chance + _WIDE * above)
    bad = not math.isfinite(mean) or mean < low or mean > most
    verdict: Verdict = "fail" if bad else "warn" if mean > high else "pass"
    fix = ""
    if mean < low:
        fix = "look for labels that reach the network, or a loss that is averaged twice"
    elif verdict != "pass":
        fix = "start the last layer smaller, and check the scale of the images"
    usual = f"; {chance + above:.3f} where these layers are drawn by He's rule" if above > 0 else ""
    return Check(
        check="initial_loss",
        measured=mean,
        expected=f"ln {subject.classes} = {chance:.3f} (standard error {error:.3f}){usual}",
        band=(low, high),
        verdict=verdict if subject.answer == "logits" else "skip",
        meaning="an untrained network guesses"
        if mean <= chance + 0.5 + 3 * error and verdict == "pass"
        else "as sure as these layers are where they start as usual"
        if verdict == "pass"
        else "the network is sure of answers before it has seen a label",
        fix=fix,
    )


def usual_excess(subject: Subject) -> float:
    """Return by how much the loss of blind labels is above ln K where the layers start as usual.

    That is the median of up to 16 draws. Weights are drawn as wide as they are but no wider than by
    He's rule, biases are 0, and images have mean 0 and spread 1, so that neither weights nor pixels
    that are too large excuse themselves. Blind labels: the mean over all classes.
    """
    images = glance(subject, _IMAGES, passes=_DRAWS).float()
    draws = max(_FEW, min(_DRAWS, int(_COST / (len(images) * subject.macs))))
    rest = [axis for axis in range(images.dim()) if axis != 1]
    images = images - images.mean(rest, keepdim=True)
    images = images / images.std(rest, keepdim=True).clamp_min(1e-6)
    generator, found = torch.Generator().manual_seed(subject.seed), []
    with subject.quiet(training=True) as net, torch.no_grad():
        for _ in range(draws):
            with drawn_anew(net, generator):
                scores = main_output(net(images.to(subject.images.dtype))).float()
            excess = float((scores.logsumexp(1) - scores.mean(1)).mean())
            found.append(excess - math.log(subject.classes))
    finite = [max(each, 0.0) for each in found if math.isfinite(each)]
    return statistics.median(finite) if finite else 0.0


@contextmanager
def drawn_anew(net: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Draw all trained weights again, no wider than by He's rule, and put them back afterwards."""
    kept = [
        (name, each, each.detach().clone())
        for name, each in net.named_parameters()
        if each.requires_grad and (each.dim() > 1 or name.endswith("bias"))
    ]
    try:
        for _, parameter, value in kept:
            if value.dim() > 1:
                he = math.sqrt(2 * len(value) / max(value.numel(), 1))
                wide = min(float(value.double().square().mean().sqrt()), he)
                drawn = torch.randn(value.shape, generator=generator)
                parameter.copy_(wide * drawn)
            else:
                parameter.zero_()
        yield
    finally:
        for _, parameter, value in kept:
            parameter.copy_(value)


def _standard_error(values: Tensor) -> float:
    return float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0
