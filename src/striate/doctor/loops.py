"""Rules on loops of somebody's own: whether their optimiser steps, and when they tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from striate.doctor.story import Finding, Story
from striate.doctor.unregistered import REGISTER

_PROBES: Final = 3  # fewer show no habit
_MOST: Final = 0.5  # of the steps that are looked at
_STILL: Final = 5  # probes in which a layer that had moved does not
_LENGTHS: Final = 30  # steps: gradients of so many batches are never of one length by chance
_EQUAL: Final = 1e-3  # to three digits
_NEARLY: Final = 0.95  # of steps
_OFTEN: Final = 0.75  # of probes that show the very same largest element, most of them


def watched_too_soon(story: Story) -> Finding | None:
    """Steps that are noted before the optimiser takes them."""
    if not story.moves_unseen:
        return None
    return Finding(
        finding="watched_too_soon",
        confidence=0.95,
        evidence={"probes": len(story.probes), "update": 0.0},
        meaning="weights change between the steps that are looked at, and never within one: "
        "watch.step is called before optimiser.step()",
        remedy="call watch.step(loss) after optimiser.step(), and before gradients are cleared; "
        "what it cannot see now is how far a step moves the weights",
    )


def optimiser_made_anew(story: Story) -> Finding | None:
    """An optimiser that never steps, though its weights move: another one steps them."""
    counted = [probe for probe in story.probes if "optimiser_steps" in probe]
    others = [probe for probe in counted if not probe["optimiser_steps"] and any(_moves(probe))]
    if len(counted) < _PROBES or len(others) < _MOST * len(counted) or story.moves_unseen:
        return None
    never = len(others) == len(counted)
    return Finding(
        finding="optimiser_made_anew",
        confidence=0.9 if never else 0.5,  # a second one may take over on purpose
        evidence={"by_another": len(others), "probes": len(counted)},
        meaning=f"weights moved in {len(others)} of {len(counted)} steps that were looked at in "
        "which the optimiser that Watch was given did not step: another one steps them, such as "
        "one made anew in the loop, which forgets momentum and moments each time",
        remedy="make the optimiser once, before the loop, and give Watch that one",
    )


def layers_stop_moving(story: Story) -> Finding | None:
    """Layers that were trained for a while and are left alone from then on."""
    if not story.own_loop or story.recipe.start is not None or len(story.probes) < 2 * _STILL:
        return None
    late = story.probes[-max(_STILL, len(story.probes) // 2) :]
    others = any(any(_moves(probe)) for probe in late[-1:])
    stopped = [
        name
        for name, each in story.probes[0]["weights"].items()
        if each["update"] and all(_still(probe["weights"].get(name, each)) for probe in late)
    ]
    if not stopped or not others:
        return None
    names = [each.removesuffix(".weight") for each in stopped]
    return Finding(
        finding="layers_stop_moving",
        confidence=0.5,  # freezing is legal
        evidence={"layer": names[0], "layers": len(names), "probes": len(late)},
        meaning=f"{', '.join(names[:3])} moved at first, and {'have' if names[1:] else 'has'} not "
        f"in the last {len(late)} steps that were looked at, while others do",
        remedy="if that is not meant, set requires_grad, or the rate of their group, back",
    )


def clearing_known(story: Story) -> bool:
    """Tell whether it is known that gradients are cleared, or not: no curve need be asked."""
    nothing_held = story.own_loop and not any(probe["weights"] for probe in story.probes)
    return nothing_held or any("cleared" in probe for probe in story.probes)


def kept_gradients(story: Story) -> Finding | None:
    """Gradients of a step that are still there when the next one's are added."""
    known = [probe["cleared"] for probe in story.probes if "cleared" in probe]
    kept = known.count(False)
    if kept < 2 or kept < len(known):
        return None
    return Finding(
        finding="gradients_accumulate",
        confidence=0.95,
        evidence={"kept": kept, "of": len(known)},
        meaning=f"at all {kept} steps that were looked at, the gradient was added to that of the "
        "steps before",
        remedy="clear gradients before each backward pass (optimiser.zero_grad())",
    )


def never_any(story: Story) -> Finding:
    """Return the finding of a loop in which no parameter had a gradient at any step."""
    first = story.probes[0].get("step", 1)
    return Finding(
        finding="no_gradient",
        confidence=0.95,
        evidence={"step": first, "probes": len(story.probes)},
        meaning=f"no parameter had a gradient at step {first}, nor at any other that was looked "
        "at: gradients were cleared between backward and step, or there was no backward, or "
        "watch.step is called after zero_grad",
        remedy="in each step call zero_grad(), backward(), optimiser.step() and watch.step(loss), "
        "in this order",
    )


def clip_seen(story: Story) -> float | None:
    """Return the length, or the value, that a loop cuts gradients to, where they show it."""
    norms = story.gradients[np.isfinite(story.gradients)]
    if not story.own_loop or len(norms) < _LENGTHS:
        return None
    cut = [float(probe["cut"]) for probe in story.probes if probe.get("cut")]
    if len(cut) > _OFTEN * len(story.probes) and max(cut) < (1 + _EQUAL) * min(cut):
        return max(cut)
    usual = float(np.median(norms))
    alike = np.abs(norms - usual) < _EQUAL * usual
    return usual if usual > 0 and float(alike.mean()) > _NEARLY else None


def left_out(story: Story) -> tuple[list[str], str]:
    """Return the layers at their random start that a loop of its own leaves out, and what to do."""
    if not story.own_loop or story.recipe.start is not None or not story.probes:
        return [], ""
    hidden = story.probes[0].get("unregistered", ())
    if hidden:
        names = list(dict.fromkeys(each.rpartition(".")[0] or each for each in hidden))
        return names, REGISTER
    still = story.probes[-1].get("rateless", ())
    return [], "give their parameter group a rate above 0" if still else ""


def _moves(probe: Mapping[str, Any]) -> list[float]:
    return [each["update"] or 0.0 for each in probe["weights"].values()]


def _still(each: Mapping[str, float | None]) -> bool:
    """Tell whether weights are left alone: no step moves them, and no gradient's lack is why."""
    return each["update"] == 0 and each["gradient"] != 0
