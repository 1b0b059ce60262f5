"""The doctor: every rule asked of a run, the surest findings first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from striate import draw, runs
from striate.doctor import curves, layers
from striate.doctor.story import Finding, Story, read

Rule = Callable[[Story], Finding | None]

RULES: tuple[Rule, ...] = (
    curves.not_finite,
    curves.exploding,
    curves.rate_too_high,
    curves.rate_too_low,
    curves.plateau,
    curves.overfitting,
    curves.underfitting,
    layers.dead_rectifiers,
    layers.saturation,
    layers.gradients_by_depth,
    layers.frozen_norm_moves,
    layers.small_batches,
    layers.starved,
    layers.validation_leak,
    layers.labels_look_shuffled,
    layers.class_order,
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
