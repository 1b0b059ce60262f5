"""The doctor: every rule asked of a run, causes first, then the surest findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from striate import runs
from striate.doctor import curves, fed, layers, loops, modes, motion, planned, sense, swaps
from striate.doctor.causes import by_cause
from striate.doctor.lost import counting, mixed
from striate.doctor.pictures import picture
from striate.doctor.story import Finding, Story, read, written

Rule = Callable[[Story], Finding | None]

EARLY: tuple[Rule, ...] = (  # true as soon as they speak
    curves.not_finite,
    curves.exploding,
    planned.momentum_too_long,
    layers.dead_rectifiers,
    layers.saturation,
    layers.gradients_by_depth,
    layers.rectified_outputs,
    layers.small_batches,
    motion.weights_stand_still,
    motion.no_gradient,
    motion.features_alike,
    motion.not_trained,
    motion.gradients_accumulate,
    motion.starts_again,
    motion.frozen_norm_moves,
    motion.norms_stand_still,
    loops.watched_too_soon,
    loops.optimiser_made_anew,
    loops.layers_stop_moving,
    modes.trained_in_evaluation_mode,
    modes.validated_in_training_mode,
    fed.starved,
    fed.validation_leak,
    fed.chosen_on_test,
    fed.not_shuffled,
    fed.wrong_normalisation,
    swaps.loaded_in_part,
    sense.impossible_loss,
    sense.loss_rises,
    sense.few_steps,
    sense.smoothed_away,
)
LATE: tuple[Rule, ...] = (  # a warm-up or a slow start looks like them
    curves.rate_too_high,
    curves.rate_too_low,
    planned.rate_falls_too_soon,
    planned.warm_up_too_long,
    curves.plateau,
    curves.overfitting,
    curves.underfitting,
    motion.clipped_short,
    motion.norms_lag,
    motion.too_much_decay,
    motion.too_much_dropout,
    fed.labels_look_shuffled,
    fed.class_order,
    swaps.classes_swapped,
    swaps.labels_disagree,
    fed.one_answer,
    fed.never_answered,
    fed.test_differs,
    sense.softmax_twice,
    sense.validation_differs,
    sense.still_improving,
    swaps.labels_partly_wrong,
    swaps.training_harder,
    swaps.classes_mixed_up,
)
RULES: tuple[Rule, ...] = (*EARLY, *LATE)
SURE: Final = 0.55  # a finding of less confidence is worth a look, not an alarm
_LATE = 0.4  # of all steps
PASSING: Final = frozenset(rule.__name__ for rule in LATE)  # may be gone at the next validation


def diagnose(run: runs.Run | Path | str) -> tuple[Finding, ...]:
    """Return what seems wrong with a run; nothing where nothing does.

    Causes come before what they explain; among either the surest is first. What was tried against a
    finding while the run was trained (`heal`) stands beside it.

    Args:
        run: a run folder: finished, running, interrupted or failed.

    Raises:
        RunError: no run folder, or a document of it is damaged.
    """
    opened = run if isinstance(run, runs.Run) else runs.open(run)
    if mixed(opened.history()):
        return ()  # of probes and losses that belong to two runs
    tried = {each.get("finding"): each.get("experiment") for each in written(opened)}
    return tuple(
        each.replace(experiment=tried.get(each.finding)) for each in diagnose_story(read(opened))
    )


def diagnose_story(story: Story, *, live: bool = False) -> tuple[Finding, ...]:
    """Return what seems wrong with a story: causes, then what they explain.

    Args:
        story: of a run.
        live: it is not at its end, so rules that a slow start would deceive wait for a while.
    """
    steps = story.planned
    waiting = live and len(story.losses) < _LATE * steps
    rules = EARLY if waiting else RULES
    found = [finding for rule in rules if (finding := rule(story)) is not None]
    if any(each.confidence >= SURE for each in found):
        found = [each for each in found if each.finding != "still_improving"]  # by no more of it
    elif not live and (last := sense.nothing_learnt(story)) is not None:
        found.append(last)
    found += story.failed
    return by_cause([each.worded() for each in found], story)


def plot(run: runs.Run, findings: Sequence[Finding]) -> Path:
    """Draw what findings rest on, titled by the first of them, and return the file."""
    path = run.figures / "doctor.svg"
    path.parent.mkdir(exist_ok=True)
    picture(run.path.name, read(run), counting(run.history()), findings).save(path)
    return path
