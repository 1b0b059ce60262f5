"""What a check may cost, so that all of them together stay under a minute.

Cost is counted in multiply-adds, which are the same on every machine, so that a check says the same
everywhere; the clock is looked at only to end what a slow machine does not get done.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from striate.doctor.subject import Subject

SECONDS: Final = 50.0  # when a check that trains begins no further step
STEPS: Final = 20  # of a training that can say something
BUSY: Final = "a slow machine, or a busy one: striate check DATA --net NET asks again later"
_GLANCE: Final = 30e9  # multiply-adds of a check that looks at many images: a second of two cores
_FEWEST: Final = 8  # images that such a check looks at all the same
_UPDATE: Final = 120  # multiply-adds in whose time a parameter is read, summed up and moved
_SIDES: Final = (128, 96, 64, 48, 32)  # that larger images are scaled to


def glance(subject: Subject, most: int | None = None, passes: int = 1) -> Tensor:
    """Return as many of the images as a check may look at.

    Args:
        subject: whose.
        most: how many would do.
        passes: how often the check goes through the network; backwards counts twice.
    """
    count = int(_GLANCE / (passes * subject.macs))
    least = _FEWEST if passes == 1 else _FEWEST // 2
    return subject.images[: min(max(count, least), most or len(subject.images))]


def step_cost(subject: Subject, batch: int) -> float:
    """Return the multiply-adds in whose time one step of a training is done."""
    parameters = sum(each.numel() for each in subject.net.parameters())
    return 3 * batch * subject.macs + _UPDATE * parameters


def affordable(subject: Subject, batch: int, most: int, work: float) -> tuple[Subject, int]:
    """Return how many steps a training may take, with images as small as they have to be for 20.

    Args:
        subject: whose net would be trained.
        batch: images of a step.
        most: steps that would do.
        work: multiply-adds that all steps may take.

    Returns:
        The subject, its images scaled where that is needed and its net takes them, and the steps;
        fewer than 20 where nothing helps.
    """
    high, wide = subject.images.shape[-2:] if subject.images.dim() == 4 else (0, 0)
    steps = min(most, int(work / step_cost(subject, batch)))
    chosen = high
    for side in (each for each in _SIDES if each < high == wide):
        if steps >= STEPS:
            break
        few = replace(subject, images=_scaled(subject.images[:2], side))
        if not _takes(few):
            break
        steps, chosen = min(most, int(work / step_cost(few, batch))), side
    if chosen == high:
        return subject, steps
    held_out = subject.held_out
    return replace(
        subject,
        images=_scaled(subject.images, chosen),
        held_out=held_out and (_scaled(held_out[0], chosen), held_out[1]),
    ), steps


def late(subject: Subject) -> bool:
    """Tell whether the machine is too slow to go on."""
    return time.monotonic() > subject.until


def _takes(subject: Subject) -> bool:
    try:
        with subject.quiet(training=True) as net, torch.no_grad():
            net(subject.images)
    except Exception:  # any: the network is the user's
        return False
    return True


def _scaled(images: Tensor, side: int) -> Tensor:
    return functional.interpolate(images, size=(side, side), mode="area")
