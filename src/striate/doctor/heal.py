"""Training that tries its doctor's remedies, and goes on with the better branch.

Nothing is changed in a run that was begun: where a remedy proves better, another run is forked,
whose recipe says the change, and whose `parent`, the first, has the experiment in its history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from striate import progress, runs, train
from striate.data import Dataset
from striate.doctor.diagnose import SURE, diagnose
from striate.doctor.experiment import SPOILING, Experiment, experiment, with_experiment
from striate.doctor.live import Live
from striate.doctor.story import Finding, write
from striate.doctor.subject import Check
from striate.errors import NotFiniteError
from striate.records import with_settings
from striate.train import Recipe, TrainResult
from striate.train.fork import fork
from striate.train.interrupt import Interrupt
from striate.train.plan import Choice

_MOST: Final = 3  # remedies tried in one training


def heal(
    recipe: Recipe,
    out: Path | str,
    *,
    dataset: Dataset | None = None,
    plan: Choice = "measure",
    steps: int = 60,
    seeds: Sequence[int] = (0, 1, 2),
    overwrite: bool = False,
    failed: Sequence[Check] = (),
) -> TrainResult:
    """Train; on a finding with a remedy that is a setting, try it, and keep what is better.

    Args:
        recipe: the first run's.
        out: its folder; healed ones are beside it, `OUT-healed`, `OUT-healed-healed`.
        dataset: the recipe's data, where it is open already.
        plan: how convolutions are computed.
        steps: of each branch of an experiment.
        seeds: of each experiment.
        overwrite: take the place of a run already there.
        failed: checks before the training that did; no setting is tried before they are mended.

    Raises:
        NotFiniteError: training broke off, and no remedy helped.
        DataError, ContractError, RunError: as for `train`.
    """
    parent: str | None = None
    path, tried = Path(out), set[tuple[str, ...]]()

    def begin(interrupt: Interrupt, watcher: Live) -> TrainResult:
        anew = not tried or not (path / "run.json").exists()
        if not anew:
            return train.resume(path, dataset=dataset, observers=[watcher], interrupt=interrupt)
        return train.train(
            recipe,
            out=path,
            dataset=dataset,
            observers=[watcher],
            overwrite=overwrite and not tried,
            plan=plan,
            interrupt=interrupt,
            parent=parent,
        )

    while True:
        finding, result, broken = _until_found(begin, path, tried, failed)
        if finding is None:
            if result is None:
                raise broken or NotFiniteError("No loss of this training was finite.", 0)
            return result
        tried.add(finding.settings)
        better = _better(path, finding, dataset, steps, seeds)
        if better == path and broken is not None:
            raise broken
        if better != path:
            parent, path = path.name, better
            recipe = with_settings(recipe, list(finding.settings))


def healings(run: runs.Run) -> tuple[str, ...]:
    """Return in sentences what was tried while a run, or what it was forked from, trained."""
    return tuple(
        f"Tried at step {line['step']} for {line['finding'].replace('_', ' ')}: {line['text']}."
        for line in run.history("event")
        if line.get("event") == "healing"
    )


def _until_found(
    begin: Callable[[Interrupt, Live], TrainResult],
    path: Path,
    tried: set[tuple[str, ...]],
    failed: Sequence[Check],
) -> tuple[Finding | None, TrainResult | None, NotFiniteError | None]:
    """Train until the end, or until something is found whose remedy was not tried."""
    interrupt, found = Interrupt(), list[Finding]()

    def curable(each: Finding) -> bool:
        more = len(tried) < _MOST and each.settings not in tried
        return more and bool(each.settings) and each.confidence >= SURE

    def told(each: Finding) -> None:
        if curable(each):
            found.append(each)
            interrupt.asked_at = time.monotonic()

    try:
        result = begin(interrupt, Live(path, told, failed))
    except NotFiniteError as error:
        found += [each for each in diagnose(path) if curable(each)]
        return (found[0] if found else None), None, error
    stopped = result.state == "interrupted" and found
    return (found[0] if stopped else None), result, None


def _better(
    path: Path, finding: Finding, dataset: Dataset | None, steps: int, seeds: Sequence[int]
) -> Path:
    """Try a remedy; return the folder of the run to go on with: the same, or one healed."""
    tried = experiment(path, finding, steps=steps, seeds=seeds, dataset=dataset)
    run = runs.open(path)
    write(path, with_experiment(finding, tried), tried.start)
    _note(run, finding, tried)
    progress.say(f"  {tried.text}")
    if tried.verdict != "better":
        progress.say("  The run goes on as it was.")
        return path
    healed = path.with_name(f"{path.name}-healed")
    progress.say(f"  {healed} goes on with it; {path} stays as it is.")
    anew = not run.checkpoints() or finding.finding in SPOILING
    if not anew:
        fork(run, healed, finding.settings)  # whose history has the note already
    return healed


def _note(run: runs.Run, finding: Finding, tried: Experiment) -> None:
    """Write into a run's history what was tried, and what came of it."""
    with run.lock():
        line = {"kind": "event", "event": "healing", "step": tried.start, "epoch": 0}
        run.append({**line, "finding": finding.finding, "text": tried.text})
