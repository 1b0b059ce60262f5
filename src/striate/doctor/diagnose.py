"""The doctor: every rule asked of a run, the surest findings first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from striate import runs
from striate.doctor import curves, fed, layers, motion, swaps
from striate.doctor.lost import counting
from striate.doctor.pictures import picture
from striate.doctor.story import Finding, Story, read

Rule = Callable[[Story], Finding | None]

EARLY: tuple[Rule, ...] = (  # true as soon as they speak
    curves.not_finite,
    curves.exploding,
    curves.momentum_too_long,
    curves.softmax_twice,
    layers.dead_rectifiers,
    layers.saturation,
    layers.gradients_by_depth,
    layers.small_batches,
    motion.weights_stand_still,
    motion.no_gradient,
    motion.features_alike,
    motion.not_trained,
    motion.gradients_accumulate,
    motion.starts_again,
    motion.frozen_norm_moves,
    motion.norms_stand_still,
    fed.starved,
    fed.validation_leak,
    fed.chosen_on_test,
    fed.not_shuffled,
    fed.wrong_normalisation,
    swaps.loaded_in_part,
)
LATE: tuple[Rule, ...] = (  # a warm-up or a slow start looks like them
    curves.rate_too_high,
    curves.rate_too_low,
    curves.rate_falls_too_soon,
    curves.plateau,
    curves.overfitting,
    curves.underfitting,
    motion.clipped,
    motion.too_much_decay,
    motion.too_much_dropout,
    fed.labels_look_shuffled,
    fed.class_order,
    swaps.classes_swapped,
    swaps.labels_disagree,
    fed.one_answer,
    fed.test_differs,
)
RULES: tuple[Rule, ...] = (*EARLY, *LATE)
SYMPTOMS: Final = {  # which have a cause, where one was found
    "dead_rectifiers",
    "exploding",
    "exploding_gradients",
    "not_finite",
    "overfitting",
    "plateau",
    "rate_too_high",
    "rate_too_low",
    "saturation",
    "underfitting",
}
APART: Final = {  # what a loss that will not fall is no symptom of; all else is a cause
    "chosen_on_test",
    "class_order",
    "classes_swapped",
    "data_starved",
    "one_answer",
    "test_differs",
    "validation_leak",
}
SURE: Final = 0.55  # a finding of less confidence is worth a look, not an alarm
_CERTAIN = 0.7  # of a cause, before what may be its symptoms is left alone
_LATE = 0.4  # of all steps


def diagnose(run: runs.Run | Path | str) -> tuple[Finding, ...]:
    """Return what seems wrong with a run, the surest first; nothing where nothing does.

    Args:
        run: a run folder: finished, running, interrupted or failed.

    Raises:
        RunError: no run folder, or a document of it is damaged.
    """
    story = read(run if isinstance(run, runs.Run) else runs.open(run))
    return diagnose_story(story)


def diagnose_story(story: Story, *, live: bool = False) -> tuple[Finding, ...]:
    """Return what seems wrong with a story, the surest first.

    Args:
        story: of a run.
        live: it is not at its end, so rules that a slow start would deceive wait for a while.
    """
    steps = story.steps_per_epoch * story.recipe.epochs
    waiting = live and len(story.losses) < _LATE * steps
    rules = EARLY if waiting else RULES
    found = [finding for rule in rules if (finding := rule(story)) is not None]
    found += story.failed
    return tuple(sorted(_causes_first(found), key=lambda each: -each.confidence))


def _causes_first(found: Sequence[Finding]) -> list[Finding]:
    """Leave what is a symptom of something else without settings to try."""
    causes = [each.finding for each in found if _cause(each)]
    if not causes:
        return list(found)
    after = f"see to {causes[0].replace('_', ' ')} first; then "
    return [
        each.replace(settings=(), remedy=after + each.remedy) if each.finding in SYMPTOMS else each
        for each in found
    ]


def _cause(found: Finding) -> bool:
    """Tell whether a finding may be why others were made, and no setting that they name helps."""
    symptom = found.finding in SYMPTOMS and bool(found.settings)
    return not symptom and found.finding not in APART and found.confidence >= _CERTAIN


def plot(run: runs.Run, findings: Sequence[Finding]) -> Path:
    """Draw what findings rest on, titled by the first of them, and return the file."""
    path = run.figures / "doctor.svg"
    path.parent.mkdir(exist_ok=True)
    picture(run.path.name, read(run), counting(run.history()), findings).save(path)
    return path
