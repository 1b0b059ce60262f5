"""A run as the doctor reads it: curves, probes and what the run was told, all as plain numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.contract import Contract
from striate.doctor.begun import start_contract
from striate.doctor.lost import counting
from striate.doctor.subject import Check
from striate.records import Record, decode, to_builtins
from striate.runs import OWN_LOOP, Run
from striate.train import Recipe
from striate.train.plan import Plan

BEFORE: Final = -1  # the step of what was found before the first one

Floats = npt.NDArray[np.float64]


class Finding(Record, frozen=True, kw_only=True):
    """One diagnosis.

    Args:
        finding: its name.
        confidence: 0 to 1: how often the rule is right when it speaks, as far as is known.
        evidence: the numbers it rests on, by name.
        meaning: what they say.
        remedy: what to do, in words.
        settings: the same as changes to the recipe, where it is one; what an experiment tries.
        experiment: what one found, if there was one.
    """

    finding: str
    confidence: float
    evidence: dict[str, float | str]
    meaning: str
    remedy: str
    settings: tuple[str, ...] = ()
    experiment: dict[str, Any] | None = None

    def __str__(self) -> str:
        """Say it as somebody reads it: what it means, how sure that is, and what to do."""
        return (
            f"{self.finding.replace('_', ' ')} (confidence {self.confidence:.0%}): {self.meaning}."
            f"\n  To do: {self.remedy}."
        )

    def worded(self) -> Finding:
        """Return it with a layer that has a number for a name, as Sequential's have, called so."""
        name = str(self.evidence.get("layer", ""))
        if not name.split(".")[0].isdecimal():
            return self
        bare = rf"(?<![^ (]){re.escape(name)}(?![^ ,;:)])"
        return self.replace(meaning=re.sub(bare, f"layer {name}", self.meaning, count=1))


class Story(NamedTuple):
    """What rules look at.

    Args:
        recipe: the run's.
        classes: K.
        losses: training loss of each step taken.
        rates: learning rate of each.
        gradients: norm of each.
        steps_per_epoch: optimiser steps.
        validations: loss and accuracy on the validation part, (validations, 2).
        probes: lines of layers, oldest first.
        failure: the event of a step that was not finite, if there was one.
        data: data.json.
        results: results.json, where there is one.
        images: of the training part.
        orders: what each epoch began with, oldest first.
        contract: the run's.
        start: that of the weights it began with.
        waited: seconds spent waiting for images; before the first epoch has ended, all that have
            passed.
        waiting: share of an epoch that was, in the median; 1 where no epoch says so.
        load: processes that wanted to run, to each core, in the median of epochs; 0 if unknown.
        augmenting: seconds of its workers' processor time spent on augmentation, where the device
            is that processor too: they are work, not waiting. 0 on any other device.
        failed: checks before the training that did, as findings.
        held_out: images of the validation part.
        unevaluated: validations that called the network in training mode alone (a loop of its own).
        whole: whether the steps follow one another without a gap, to the end where there is a test.
    """

    recipe: Recipe
    classes: int
    losses: Floats
    rates: Floats
    gradients: Floats
    steps_per_epoch: int
    validations: Floats
    probes: tuple[Mapping[str, Any], ...]
    failure: Mapping[str, Any] | None
    data: Mapping[str, Any]
    results: Mapping[str, Any] | None
    images: int
    orders: tuple[Mapping[str, Any], ...] = ()
    contract: Contract | None = None
    start: Contract | None = None
    waited: float = math.inf
    waiting: float = 1.0
    load: float = 0.0
    augmenting: float = 0.0
    failed: tuple[Finding, ...] = ()
    held_out: int = 0
    unevaluated: int = 0
    whole: bool = True

    @property
    def own_loop(self) -> bool:
        """Whether somebody's own loop was watched: its images and its loss are not known."""
        return self.recipe.data.path == OWN_LOOP

    @property
    def planned(self) -> int:
        """Optimiser steps of the whole training, as it was meant."""
        return self.steps_per_epoch * self.recipe.epochs

    @property
    def chance(self) -> float:
        """The loss of guessing, ln K."""
        return math.log(max(self.classes, 2))

    @property
    def floor(self) -> float:
        """The least training loss there can be: above 0 where labels are smoothed."""
        share = float(getattr(self.recipe.objective, "label_smoothing", 0.0))
        wrong = share / max(self.classes, 2)
        right = 1 - share + wrong
        if share == 0:
            return 0.0
        return -right * math.log(right) - (self.classes - 1) * wrong * math.log(wrong)

    @property
    def guessing(self) -> float:
        """The accuracy of guessing on the validation part, plus three standard errors."""
        share = 1 / max(self.classes, 1)
        return share + 3 * math.sqrt(share * (1 - share) / max(self.held_out, 1))

    @property
    def luckless(self) -> float:
        """The accuracy of guessing on the validation part, less three standard errors."""
        return 2 / max(self.classes, 1) - self.guessing

    @property
    def moves_unseen(self) -> bool:
        """Whether weights change between the steps that are looked at, and never within one.

        A loop of its own does so that notes its steps before the optimiser takes them.
        """
        if not self.own_loop or len(self.probes) < 2:
            return False
        moves = [each["update"] for probe in self.probes for each in probe["weights"].values()]
        sizes = [[each["size"] for each in probe["weights"].values()] for probe in self.probes]
        return not any(moves) and any(each != sizes[0] for each in sizes)

    def smoothed(self, parts: int = 20) -> Floats:
        """Return the medians of the training loss over so many stretches of like length."""
        pieces = np.array_split(self.losses, min(parts, max(len(self.losses), 1)))
        return np.array([np.median(piece) for piece in pieces if len(piece)])

    def last_probes(self, count: int = 3) -> tuple[Mapping[str, Any], ...]:
        """Return the newest probes."""
        return self.probes[-count:]

    def update_ratio(self) -> float | None:
        """Return the median, over layers and the later half of probes, of update / size."""
        found = [
            each["update"] / each["size"]
            for probe in self.probes[len(self.probes) // 2 :]
            for each in probe["weights"].values()
            if each["size"] and each["update"] is not None
        ]
        if self.moves_unseen:
            return None
        found = [each for each in found if each] or found  # not of what stands still among others
        return float(np.median(found)) if found else None


def read(run: Run) -> Story:
    """Read a run's story: finished, running, interrupted or failed.

    Raises:
        RunError: no run folder, or a document of it is damaged.
    """
    return Teller.of(run).tell(run.history(), run.results())


def of_check(check: Check) -> Finding:
    """Return a check that failed before the training, as a finding."""
    ends = dict(zip(("at_least", "at_most"), check.band or (), strict=False))
    numbers = {"measured": check.measured, **ends}
    return Finding(
        finding=check.check,
        confidence=0.9,
        evidence={name: value for name, value in numbers.items() if value is not None},
        meaning=f"before the training: {check.meaning} (expected {check.expected})",
        remedy=check.fix,
    )


def written(run: Run) -> list[dict[str, Any]]:
    """Return what a run's findings.jsonl holds, in order; a cut last line is left out."""
    path = run.path / "findings.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def write(path: Path, finding: Finding, step: int) -> None:
    """Add a finding to a run's findings.jsonl; that of a check has the step `BEFORE`."""
    with (path / "findings.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **to_builtins(finding)}) + "\n")


class Teller(NamedTuple):
    """Makes stories of a run's lines; all that stays the same while a run goes on.

    Args:
        recipe: the run's.
        contract: the run's.
        data: data.json.
        start: the contract of the weights it began with.
        device: cpu or cuda:N.
        failed: checks before it that did.
    """

    recipe: Recipe
    contract: Contract
    data: Mapping[str, Any]
    start: Contract | None
    device: str = "cpu"
    failed: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, run: Run) -> Teller:
        """Return the teller of a run.

        Raises:
            RunError: a document of it is damaged.
        """
        recipe = decode(Recipe, run.recipe_document())
        device = decode(Plan, run.plan()).device
        failed = tuple(
            decode(Finding, {key: value for key, value in line.items() if key != "step"})
            for line in written(run)
            if line["step"] == BEFORE
        )
        start = start_contract(recipe)
        return cls(recipe, run.contract(), run.data_document(), start, device, failed)

    def tell(
        self, history: Sequence[Mapping[str, Any]], results: Mapping[str, Any] | None
    ) -> Story:
        """Return the story of these lines of a history, from its fork on where it was forked."""
        forks = [k for k, line in enumerate(history) if line.get("event") == "forked"]
        history = counting(history[forks[-1] :] if forks else history)
        steps = [line for line in history if line.get("kind") == "step"]
        checks = [line for line in history if line.get("kind") == "validation"]
        failures = [line for line in history if line.get("event") == "not finite"]
        images, held = (
            len(self.data.get(part, {}).get("ids", ())) for part in ("train", "validation")
        )

        times = [line["time"] for line in steps if "time" in line]
        passed = times[-1] - times[0] if times else 0.0
        waits = [line["waited"] for line in history if "waited" in line]

        def column(name: str) -> Floats:
            values = [line.get(name) for line in steps]
            return np.array([np.nan if each is None else each for each in values], np.float64)

        return Story(
            recipe=self.recipe,
            classes=len(self.contract.classes),
            losses=column("loss"),
            rates=column("rate"),
            gradients=column("gradient_norm"),
            steps_per_epoch=self.data.get("steps") or max(1, -(-images // self.recipe.batch)),
            validations=np.array(
                [[line.get("loss"), line["accuracy"]] for line in checks], np.float64
            ).reshape(-1, 2),
            probes=tuple(
                line
                for line in history
                if line.get("probe") == "layers" and line.keys() >= {"weights", "values", "norms"}
            ),
            failure=failures[-1] if failures else None,
            data=self.data,
            results=results,
            images=images,
            orders=tuple(line for line in history if line.get("probe") == "order"),
            contract=self.contract,
            start=self.start,
            waited=sum(waits) if waits else passed,
            waiting=_of_paces(history, "waiting", 1.0),
            load=_of_paces(history, "load", 0.0),
            augmenting=self._augmenting(history),
            failed=self.failed,
            held_out=checks[-1].get("images", held) if checks else held,
            unevaluated=sum(line.get("mode") == "training" for line in checks),
            whole=_follow(steps, 1 if not forks else None)
            and (results is None or any(line.get("event") == "finished" for line in history)),
        )

    def _augmenting(self, history: Sequence[Mapping[str, Any]]) -> float:
        """Return Story.augmenting; infinite before the first epoch has been counted."""
        if self.device != "cpu":
            return 0.0
        counted = [line.get("augmenting", 0.0) for line in history if "waited" in line]
        return sum(counted) if counted else math.inf


def _of_paces(history: Sequence[Mapping[str, Any]], name: str, unknown: float) -> float:
    """Return the median over epochs of a figure of how the loader kept up."""
    found = [line[name] for line in history if line.get("kind") == "pace" and name in line]
    return float(np.median(found)) if found else unknown


def _follow(steps: Sequence[Mapping[str, Any]], first: int | None) -> bool:
    """Tell whether steps are numbered without a gap, from `first` on where it is known."""
    numbers = [line["step"] for line in steps]
    begin = first or (numbers[0] if numbers else 1)
    return numbers == list(range(begin, begin + len(numbers)))
