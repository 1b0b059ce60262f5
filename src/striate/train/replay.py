"""Replay: execute recorded steps again and compare them with the record, bit for bit.

The history holds each step's loss and gradient norm, and every checkpoint's digest of each tensor.
The run folder is only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate import runs, wording
from striate.data import Dataset
from striate.errors import UsageError
from striate.records import Record, decode
from striate.runs import Run
from striate.train import checkpoint
from striate.train.plan import Plan, follow, make_plan, obeying
from striate.train.prepare import prepare_again
from striate.train.processes import processes
from striate.train.recipe import Recipe
from striate.train.step import Taken
from striate.train.training import Training
from striate.train.validation import Validation, from_history


class ReplayResult(Record, frozen=True, kw_only=True):
    """What a replay found.

    Args:
        run: path of the run folder.
        first: first step compared, from 1.
        last: last step compared.
        start: steps done at the checkpoint the replay started from; 0 is the initialisation.
        identical: nothing differed.
        step: the first step whose loss, rate or gradient norm differs, or None.
        tensor: the first tensor that differs at the first checkpoint that does, or None.
        difference: both in words; None when identical.
        steps: how many steps were compared.
        tensors: how many tensors were compared.
        notes: what was not compared, and what about this machine is not as the plan says.
    """

    run: str
    first: int
    last: int
    start: int
    identical: bool
    step: int | None = None
    tensor: str | None = None
    difference: str | None = None
    steps: int = 0
    tensors: int = 0
    notes: tuple[str, ...] = ()


def replay(
    path: Path | str, first: int, last: int, *, dataset: Dataset | None = None
) -> ReplayResult:
    """Execute steps `first` to `last` again, both included and counted from 1.

    Starts from the nearest checkpoint before them, or from the initialisation.

    Args:
        path: the run folder.
        first: first step to compare.
        last: last step to compare.
        dataset: the run's data, where it is open already.

    Raises:
        UsageError: the run has not recorded each of those steps.
        RunError: no run folder, or its data has changed.
        CheckpointError: the checkpoint to start from is damaged.
    """
    run = runs.open_trained(path)
    recipe, plan = decode(Recipe, run.recipe_document()), decode(Plan, run.plan())
    record = _Record(run)
    record.check_range(first, last)
    with (
        processes(plan.device if recipe.device == "auto" else recipe.device) as together,
        obeying(plan),
    ):
        prepared = together.first_then_all(lambda: prepare_again(recipe, run, dataset))
        training = Training(recipe, prepared, together)
        follow(training.net, plan)
        before = [(step, folder) for step, folder in run.checkpoints() if step < first]
        if before:
            training.restore(run, before[-1][1])
        start = training.done
        while training.done < last:
            training.validations = record.validations_until(training.done)
            for parts in training.batches():
                taken = training.take_step(parts)
                record.compare(training, taken, counts=training.done >= first)
                if training.done == last:
                    break
        return ReplayResult(
            run=str(run.path),
            first=first,
            last=last,
            start=start,
            identical=not record.differences,
            step=record.step,
            tensor=record.tensor,
            difference=" ".join(record.differences) or None,
            steps=record.steps_compared,
            tensors=record.tensors_compared,
            notes=(*record.not_compared(), *plan.differences(make_plan(recipe, together))),
        )


class _Record:
    """What the history says, and what was found against it."""

    def __init__(self, run: Run) -> None:
        self.steps = {line["step"]: line for line in run.history("step")}
        self.digests: dict[int, Mapping[str, str]] = {
            line["step"]: line["tensors"]
            for line in run.history("event")
            if line.get("event") == "checkpoint"
        }
        self.validations = from_history(run.history("validation"))
        self.step: int | None = None
        self.tensor: str | None = None
        self.differences: list[str] = []
        self.steps_compared = self.tensors_compared = 0

    def check_range(self, first: int, last: int) -> None:
        if not self.steps:
            raise UsageError("The run has recorded no step yet: go on with it by --resume first.")
        if not 1 <= first <= last <= max(self.steps):
            raise UsageError(
                f"Expected steps A..B with 1 <= A <= B <= {max(self.steps)}, "
                f"received {first}..{last}."
            )
        gaps = [step for step in range(first, last + 1) if step not in self.steps]
        if gaps:
            raise UsageError(
                f"The history lacks {wording.count(len(gaps), 'step')} of {first}..{last}, step "
                f"{gaps[0]} first: there is nothing to compare with."
            )

    def not_compared(self) -> tuple[str, ...]:
        if self.tensors_compared:
            return ()
        return ("No checkpoint lies within these steps: losses were compared, weights were not",)

    def validations_until(self, step: int) -> list[Validation]:
        return [one for one in self.validations if one.step <= step]

    def compare(self, training: Training, taken: Taken, counts: bool) -> None:
        number = training.done
        if counts and number in self.steps:
            self.steps_compared += 1
            self._compare_step(number, taken, self.steps[number])
        if number in self.digests and self.tensor is None:
            self._compare_tensors(number, training, self.digests[number])

    def _compare_step(self, number: int, taken: Taken, line: Mapping[str, Any]) -> None:
        for name, value in taken._asdict().items():
            if self.step is None and line[name] != value:
                self.step = number
                self.differences.append(
                    f"Step {number}: {name.replace('_', ' ')} was {line[name]!r}, is {value!r}."
                )

    def _compare_tensors(self, number: int, training: Training, then: Mapping[str, str]) -> None:
        now = {name: checkpoint.tensor_digest(value) for name, value in training.tensors().items()}
        self.tensors_compared += len(then)
        self.tensor = checkpoint.first_difference(then, now)
        if self.tensor is not None:
            self.differences.append(f"The tensor {self.tensor} differs after step {number}.")
