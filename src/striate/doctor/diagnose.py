"""The doctor: every rule asked of a run, the surest findings first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from striate import draw, runs
from striate.doctor import curves, fed, layers, motion
from striate.doctor.story import Finding, Story, read

Rule = Callable[[Story], Finding | None]

RULES: tuple[Rule, ...] = (
    curves.not_finite,
    curves.exploding,
    curves.rate_too_high,
    curves.rate_too_low,
    curves.rate_falls_too_soon,
    curves.momentum_too_long,
    curves.plateau,
    curves.overfitting,
    curves.underfitting,
    curves.softmax_twice,
    layers.dead_rectifiers,
    layers.saturation,
    layers.gradients_by_depth,
    layers.small_batches,
    motion.weights_stand_still,
    motion.no_gradient,
    motion.not_trained,
    motion.gradients_accumulate,
    motion.starts_again,
    motion.clipped,
    motion.too_much_decay,
    motion.too_much_dropout,
    motion.frozen_norm_moves,
    fed.starved,
    fed.validation_leak,
    fed.chosen_on_test,
    fed.labels_look_shuffled,
    fed.not_shuffled,
    fed.class_order,
    fed.one_answer,
    fed.test_differs,
    fed.wrong_normalisation,
)


def diagnose(run: runs.Run | Path | str) -> tuple[Finding, ...]:
    """Return what seems wrong with a run, the surest first; nothing where nothing does.

    Args:
        run: a run folder: finished, running, interrupted or failed.

    Raises:
        RunError: no run folder, or a document of it is damaged.
    """
    story = read(run if isinstance(run, runs.Run) else runs.open(run))
    return diagnose_story(story)


def diagnose_story(story: Story) -> tuple[Finding, ...]:
    """Return what seems wrong with a story, the surest first."""
    found = [finding for rule in RULES if (finding := rule(story)) is not None]
    return tuple(sorted(found, key=lambda each: -each.confidence))


def plot(run: runs.Run, findings: Sequence[Finding]) -> Path:
    """Draw the curves that findings rest on, titled by the first of them, and return the file."""
    title = findings[0].finding.replace("_", " ") if findings else "nothing found"
    path = run.figures / "doctor.svg"
    path.parent.mkdir(exist_ok=True)
    draw.learning_curve(run.history(), f"{run.path.name}: {title}").save(path)
    return path
