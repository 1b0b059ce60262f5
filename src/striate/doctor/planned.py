"""Rules on what was planned for the rate and for momentum, against how long the training is."""

from __future__ import annotations

import numpy as np

from striate.doctor.story import Finding, Story

_FEW = 10  # steps; fewer say nothing
_FEWEST = 30  # likewise of a plan
_CLIMB = 0.6  # of all steps, beyond which a rate that climbs leaves none for the training
_BETTER = 1.3  # times its least value, beyond which a loss has been better than it is
_MOVES = 1e-4  # of the weights' size: less is too low a rate, however soon it is reached
_LEARNT = 0.15  # of the loss of guessing, below which there was time enough


def warm_up_too_long(story: Story) -> Finding | None:
    """A rate that climbs for most of the training."""
    rates, planned = story.rates, story.planned
    if len(rates) < max(planned, _FEWEST) or not bool(np.isfinite(rates).all()):
        return None
    top = int(rates.argmax())
    curve = story.smoothed()
    share, left = (top + 1) / len(rates), float(curve[-1])
    climbs = bool((np.diff(rates[: top + 1]) >= 0).all()) and rates[0] < 0.1 * rates[top]
    apart = left > _BETTER * float(curve.min())  # it came apart: too high, not too late
    last = story._replace(probes=story.last_probes(1)).update_ratio()
    slow = last is not None and last < _MOVES  # at the top, too
    if share < _CLIMB or not climbs or apart or slow or left < _LEARNT * story.chance:
        return None
    recipe, short = story.recipe, 0.1 * story.recipe.epochs
    return Finding(
        finding="warm_up_too_long",
        confidence=0.8,
        evidence={"share_of_steps": share, "first_rate": float(rates[0]), "loss": left},
        meaning=f"the learning rate climbed for {share:.0%} of the steps, and the training loss "
        f"ended at {left:.2f}",
        remedy=f"warm up for a tenth of the training ({short:g} of {recipe.epochs} epochs), or "
        "train longer",
        settings=(f"warmup_epochs={short:g}",) if recipe.warmup_epochs > short else (),
    )


def rate_falls_too_soon(story: Story) -> Finding | None:
    """A rate that has fallen to nothing while there was much to learn."""
    if len(story.rates) < _FEWEST or not len(story.losses):
        return None
    ratio, curve = story.update_ratio(), story.smoothed()
    top = int(story.rates.argmax())
    small = float((story.rates[top:] < 0.02 * story.rates.max()).sum() / len(story.rates))
    left = float(curve[-1])
    if small < 0.35 or left < _LEARNT * story.chance or ratio is None or ratio > 5e-4:
        return None
    return Finding(
        finding="rate_falls_too_soon",
        confidence=0.8,
        evidence={"share_of_steps": small, "loss": left, "update_ratio": ratio},
        meaning=f"for {small:.0%} of the steps the rate was less than a fiftieth of its best, and "
        f"the training loss stood at {left:.2f}",
        remedy="let the rate fall later, or along a cosine"
        + ("; a scheduler whose places are epochs is to step once an epoch" * story.own_loop),
        settings=("schedule=cosine",),
    )


def momentum_too_long(story: Story) -> Finding | None:
    """Momentum that remembers a good part of the whole training."""
    momentum = float(getattr(story.recipe.optimiser, "momentum", 0.0))
    steps = story.planned
    memory = 1 / (1 - momentum)
    if len(story.losses) < _FEW or momentum < 0.98 or memory < 0.2 * steps:
        return None
    return Finding(
        finding="momentum_too_long",
        confidence=0.7,
        evidence={"momentum": momentum, "memory": memory, "steps": steps},
        meaning=f"with momentum {momentum:g} a step goes on for {memory:.0f} steps, and the whole "
        f"training has {steps}",
        remedy="take a momentum of 0.9",
        settings=("optimiser.momentum=0.9",),
    )
