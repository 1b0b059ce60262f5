"""A diagnosis tested: control and remedy from the same place, on the same batches, over seeds.

Nothing is written into the run. Both arms restore the same checkpoint (or the initialisation), see
the same images in the same order with the same randomness, and differ by the remedy's settings
alone; what is compared is the loss on the validation part after so many steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from striate import inference, progress, runs, wording
from striate.data import Dataset
from striate.doctor.story import Finding, written
from striate.errors import NotFiniteError, UsageError
from striate.records import Record, decode, to_builtins, with_settings
from striate.train import Recipe
from striate.train.plan import Plan, obeying
from striate.train.prepare import Prepared, prepare_again
from striate.train.processes import processes
from striate.train.training import Training

SPOILING: Final = {  # findings after which the weights are not worth keeping
    "dead_rectifiers",
    "exploding",
    "not_finite",
    "rate_too_high",
    "saturation",
    "too_much_decay",
    "wrong_normalisation",
}

_FAR: Final = math.log(10.0)  # of two losses: one is far worse, and no more is to be said
_PAUSE: Final = 20.0  # times the usual step, above which somebody slept or a validation ran
_LONGEST: Final = 10  # times the steps asked for, where damage takes longer to show


class Arm(Record, frozen=True, kw_only=True):
    """One branch: the validation loss of each seed, their mean and spread; None is not finite."""

    settings: tuple[str, ...]
    losses: tuple[float | None, ...]
    mean: float | None
    spread: float | None


class Experiment(Record, frozen=True, kw_only=True):
    """What an experiment found.

    Args:
        start: the step it was forked at; 0 is the initialisation.
        steps: taken by each branch.
        seeds: of order, augmentation and dropout.
        control: the run's own recipe.
        remedy: the same with the finding's settings.
        verdict: whether the remedy is better, by two standard errors of the ratios of losses.
        text: the same in words.
    """

    start: int
    steps: int
    seeds: tuple[int, ...]
    control: Arm
    remedy: Arm
    verdict: Literal["better", "worse", "no difference"]
    text: str


def experiment(
    run: runs.Run | Path | str,
    finding: Finding,
    *,
    steps: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    dataset: Dataset | None = None,
) -> Experiment:
    """Try a finding's remedy against the run as it is.

    A finished run is forked at its start, since its rate has fallen to nothing at its end, and so
    is one whose weights are spoilt by what was found; any other at its newest checkpoint. From the
    start, branches last as long as it took until the finding was made: fewer steps would not show
    it. Schedules are compared over trainings of that length, since a rate that has not fallen yet
    tells nothing of how it will.

    Args:
        run: the run folder; only read.
        finding: one with settings.
        steps: of each branch; no more than the run has left. From the start up to ten times as
            many.
        seeds: one pair of branches each.
        dataset: the run's data, where it is open already.

    Raises:
        UsageError: the finding has no remedy that is a setting.
        RunError, CheckpointError: the run's data or checkpoint is not what it was.
    """
    if not finding.settings:
        raise UsageError(f"{finding.finding} has no remedy that an experiment could try.")
    opened = runs.open_trained(run)
    own, plan = decode(Recipe, opened.recipe_document()), decode(Plan, opened.plan())
    treated = with_settings(own, list(finding.settings))
    found = opened.checkpoints() if opened.state != "finished" else []
    spoilt = finding.finding in SPOILING
    fork = found[-1] if found and not spoilt else None
    if fork is None:
        steps = max(steps, min(_found_at(opened, finding), _LONGEST * steps))
    progress.say(_plan(opened, finding, steps, len(seeds), fork[0] if fork else 0))
    with processes(plan.device if own.device == "auto" else own.device) as together, obeying(plan):
        prepared = prepare_again(own, opened, dataset)

        def branch(recipe: Recipe, seed: int) -> float:
            training = Training(recipe.replace(seed=seed), prepared, together)
            if fork is not None:
                training.restore(opened, fork[1])
            elif any(each.startswith("schedule") for each in finding.settings):
                whole = min(max(round(steps / training.steps_per_epoch), 1), recipe.epochs)
                training.course = training.course._replace(epochs=whole)
            return _advance(training, prepared, steps)

        pairs = [(branch(own, seed), branch(treated, seed)) for seed in seeds]
    control = _arm((), [pair[0] for pair in pairs])
    remedy = _arm(finding.settings, [pair[1] for pair in pairs])
    verdict = _verdict(pairs)
    return Experiment(
        start=fork[0] if fork else 0,
        steps=steps,
        seeds=tuple(seeds),
        control=control,
        remedy=remedy,
        verdict=verdict,
        text=f"control {_spell(control)}, {', '.join(finding.settings)}: {_spell(remedy)} "
        f"({verdict})" + (_next(opened) if verdict == "no difference" else ""),
    )


def with_experiment(finding: Finding, found: Experiment) -> Finding:
    """Return a finding that says what its experiment found."""
    return finding.replace(experiment=to_builtins(found))


def _plan(run: runs.Run, finding: Finding, steps: int, seeds: int, start: int) -> str:
    """Say how much is going to be computed, and about how long that takes, by the history."""
    times = np.array([line["time"] for line in run.history("step") if "time" in line])
    between = np.diff(times)
    took = ""
    if len(between):
        usual = max(float(np.median(between)), 1e-3)
        each = float(between.clip(0, _PAUSE * usual).mean())
        took = f", about {wording.duration(2 * seeds * steps * each)} at the run's pace"
    place = f"from step {start:,}" if start else "from the start"
    return (
        f"Trying {', '.join(finding.settings)}: with and without it on {seeds} seeds, "
        f"{2 * seeds} branches of up to {steps:,} steps {place}{took}."
    )


def _next(run: runs.Run) -> str:
    """Say what to look at where no setting helps."""
    name, mistakes = wording.quoted(run.path), run.figures / "mistakes.png"
    looks = [f"its mistakes ({mistakes})"] if mistakes.is_file() else []
    looks.append(f"labels that it doubts (striate check --run {name})")
    return f"; look at {', '.join(looks)} and images as it saw them (striate augment {name})"


def _found_at(run: runs.Run, finding: Finding) -> int:
    """Return the step at which a finding was first made, or else the run's last one."""
    for told in written(run):
        if told["finding"] == finding.finding:
            return int(told["step"])
    return int(max((line["step"] for line in run.history("step")), default=0))


def _advance(training: Training, prepared: Prepared, steps: int) -> float:
    """Take so many steps and return the validation loss; infinity where it is not finite."""
    last = training.done + steps
    try:
        while training.done < last and training.epoch < training.recipe.epochs:
            for parts in training.batches():
                training.take_step(parts)
                if training.done >= last:
                    break
    except NotFiniteError:
        return math.inf
    outcome = inference.measure(
        training.net,
        training.validation_loader.epoch(0),
        device=training.together.device,
        meaning=prepared.contract.output,
        what="comparing",
    )
    return outcome.loss if math.isfinite(outcome.loss) else math.inf


def _arm(settings: tuple[str, ...], losses: list[float]) -> Arm:
    finite = all(map(math.isfinite, losses))
    return Arm(
        settings=settings,
        losses=tuple(each if math.isfinite(each) else None for each in losses),
        mean=float(np.mean(losses)) if finite else None,
        spread=float(np.std(losses, ddof=1)) if finite and len(losses) > 1 else None,
    )


def _verdict(
    pairs: Sequence[tuple[float, float]],
) -> Literal["better", "worse", "no difference"]:
    broken = [not math.isfinite(control) for control, _ in pairs]
    harmed = [not math.isfinite(remedy) for _, remedy in pairs]
    if sum(broken) != sum(harmed):
        return "better" if sum(broken) > sum(harmed) else "worse"
    finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
    gains = np.array([math.log(max(c, 1e-12) / max(r, 1e-12)) for c, r in finite])
    gains = gains.clip(-_FAR, _FAR)  # how far a loss has blown up is chance
    if not len(gains):
        return "no difference"
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    if abs(float(gains.mean())) <= 2 * error:
        return "no difference"
    return "better" if gains.mean() > 0 else "worse"


def _spell(arm: Arm) -> str:
    if arm.mean is None:
        return "not finite"
    return f"{arm.mean:.3f}" + (f" +- {arm.spread:.3f}" if arm.spread is not None else "")
