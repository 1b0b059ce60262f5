"""Which finding is why another was made: causes first, and no remedy tried against a symptom.

A rate that throws weights about kills rectifiers and cuts gradients off within a few steps; so
what the first probe does not show yet, and a later one does, is no cause of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from striate.doctor.curves import first_move
from striate.doctor.layers import DEAD, dead_at_first, vanished_at_first
from striate.doctor.story import Finding, Story

SYMPTOMS: Final = {  # which have a cause, where one was found
    "dead_rectifiers",
    "exploding",
    "exploding_gradients",
    "not_finite",
    "one_answer",
    "overfitting",
    "plateau",
    "rate_too_high",
    "rate_too_low",
    "saturation",
    "still_improving",
    "underfitting",
}
APART: Final = {  # what a loss that will not fall is no symptom of; all else is a cause
    "chosen_on_test",
    "class_order",
    "classes_swapped",
    "data_starved",
    "never_answered",
    "test_differs",
    "validation_leak",
}
_LOOKS: Final = {  # cause -> what it looks like, surer though that may be
    "features_alike": {"dead_rectifiers"},
    "loss_rises": {"labels_look_shuffled"},
    "gradients_accumulate": {"loss_rises"},
    "starts_again": {"loss_rises"},
    "impossible_loss": {"labels_look_shuffled", "not_finite"},
    "norms_lag": {"labels_look_shuffled", "one_answer", "validation_differs"},
    "norms_stand_still": {"labels_look_shuffled", "one_answer", "validation_differs"},
    "softmax_twice": {"never_answered"},
    "trained_in_evaluation_mode": {"norms_lag", "norms_stand_still", "validation_differs"},
    "warm_up_too_long": {"labels_look_shuffled"},
    "too_much_dropout": {"dead_rectifiers", "never_answered"},
}
_RATE: Final = ("not_finite", "exploding", "rate_too_high")  # of which one is why weights were lost
_SAID_SO = 0.95  # the recipe itself
_CERTAIN = 0.7  # of a cause, before what may be its symptoms is left alone
_THROWN = 0.1  # of the weights' size at the first step
_LEAPT = 3.0  # times the first loss, or that of guessing
_RIGHT_AWAY = 20  # steps


def by_cause(found: Sequence[Finding], story: Story) -> tuple[Finding, ...]:
    """Return findings in the order in which to see to them: causes, then what they explain.

    What a cause explains has no settings to try, and says what to see to first. Among either the
    surest comes first.
    """
    rate = next((each for name in _RATE for each in found if _blamed(each, name)), None)
    later = _brought_about(story) if rate is not None else set[str]()
    dead = [each for each in found if each.finding == "dead_rectifiers"]
    looks = {name for each in found for name in _LOOKS.get(each.finding, ()) if _cause(each)}
    causes = sorted(
        (each for each in found if _cause(each) and each.finding not in later | looks),
        key=lambda each: -each.confidence,
    )
    if dead:
        causes = [each for each in causes if not _cut_off(each, dead[0])]
    first, explained = list[Finding](), list[Finding]()
    for each in found:
        cause = _cause_of(each, causes, rate, later)
        if cause is None and dead and _cut_off(each, dead[0]):
            cause = dead[0]
        if cause is None:
            first.append(each)
            continue
        after = f"see to {cause.finding.replace('_', ' ')} first; then "
        explained.append(each.replace(settings=(), remedy=after + each.remedy))
    return (*_surest(first), *_surest(explained))


def thrown_at_once(story: Story) -> bool:
    """Tell whether the first steps moved weights, or raised the loss, as no training does."""
    losses = story.losses[:_RIGHT_AWAY]
    losses = losses[np.isfinite(losses)]
    leapt = len(losses) > 1 and float(losses.max()) > _LEAPT * max(float(losses[0]), story.chance)
    return leapt or first_move(story) > _THROWN


def _brought_about(story: Story) -> set[str]:
    """Return what a rate that is too high has done, by name: what was not there at first."""
    later = set[str]()
    if dead_at_first(story) <= DEAD:
        later |= {"dead_rectifiers", "saturation"}
    if not vanished_at_first(story):
        later.add("vanishing_gradients")
    if thrown_at_once(story) and not _pulled(story):
        later.add("too_much_decay")
    return later


def _pulled(story: Story) -> bool:
    """Tell whether it is decay itself that moves the weights so far: by rate times decay a step."""
    rates = story.rates[np.isfinite(story.rates)]
    pull = float(rates.max(initial=0.0)) * story.recipe.optimiser.decay
    return pull > _THROWN / 2 and pull > 0.5 * (story.update_ratio() or 0.0)


def _cause_of(
    each: Finding, causes: Sequence[Finding], rate: Finding | None, later: set[str]
) -> Finding | None:
    """Return the surest cause of a finding other than itself; None where it has none."""
    for cause in causes:
        if each.finding in _LOOKS.get(cause.finding, ()) or _cut_off(each, cause):
            return cause
    if each.finding in SYMPTOMS:
        surest = next((cause for cause in causes if cause.finding != each.finding), None)
        if surest is not None and not _cause(each):
            return surest
    return rate if each.finding in later and each is not rate else None


def _cut_off(each: Finding, cause: Finding) -> bool:
    """Tell whether gradients that vanish altogether are those that something lets none through."""
    none = each.finding == "vanishing_gradients" and each.evidence["ratio"] == 0
    return none and cause.finding in ("dead_rectifiers", "no_gradient")


def _blamed(each: Finding, name: str) -> bool:
    return each.finding == name and bool(each.settings) and each.confidence >= _CERTAIN


def _cause(found: Finding) -> bool:
    """Tell whether a finding may be why others were made, and no setting that it names helps.

    What was saturated or dead from the start is a cause, and so are a step that broke off out of
    the blue and classes that the recipe leaves out.
    """
    symptom = found.finding in SYMPTOMS
    if found.finding in ("dead_rectifiers", "not_finite", "saturation"):
        symptom = bool(found.settings)
    left_out = found.finding == "never_answered" and found.confidence >= _SAID_SO
    apart = found.finding in APART and not left_out
    return not symptom and not apart and found.confidence >= _CERTAIN


def _surest(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda each: -each.confidence)
