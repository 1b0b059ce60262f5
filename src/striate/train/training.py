"""A training in progress: all that the loop holds, and how it is saved and taken up again."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from striate import inference, progress
from striate.data import Batch, onto
from striate.errors import NotFiniteError
from striate.layers import Net, build
from striate.ops import load_per_core
from striate.records import to_builtins
from striate.runs import Run
from striate.train import checkpoint
from striate.train.adversarial import Robustness, collapsed, measure_robustness
from striate.train.average import Average
from striate.train.feeding import advice, grouped, last_batch, loaders, proposal
from striate.train.interrupt import Interrupt
from striate.train.optimiser import Stepper
from striate.train.prepare import Prepared
from striate.train.probes import Probes, beginning
from striate.train.processes import Processes
from striate.train.recipe import Recipe
from striate.train.schedule import Course
from striate.train.start import begin
from striate.train.step import Step, Taken, place
from striate.train.validation import Validation, best


class Observer(Protocol):
    """Something that watches a training and changes nothing in it."""

    def see(self, line: Mapping[str, Any], net: Net) -> None:
        """Look at a history line just written, and at the net as it is then.

        After a line of kind "step" the gradients of that step are still there. To read only is the
        observer's promise; nothing enforces it, but `replay` finds a breach.
        """


class Due(enum.IntEnum):
    """What is due between two steps; of what several processes find, the greatest is."""

    NOTHING = 0
    SAVE = 1
    STOP = 2


class Training:
    """Nets, optimiser, data and position of a run being trained.

    Args:
        recipe: the run's.
        prepared: its data.
        together: the processes that share each batch.
        run: the run folder; None trains without one, as replay does.
        interrupt: whether an end was asked for.
        observers: told of every line, in this process only.

    Attributes:
        done: steps done.
        validations: all so far.
        seconds: of training before this process took it up.
    """

    def __init__(
        self,
        recipe: Recipe,
        prepared: Prepared,
        together: Processes,
        *,
        run: Run | None = None,
        interrupt: Interrupt | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        recipe = recipe.replace(objective=recipe.objective.fitted(prepared.split.train.labels))
        self.recipe, self.together, self.run = recipe, together, run
        self.interrupt, self.observers = interrupt or Interrupt(), observers
        self.done, self.seconds = 0, 0.0
        self.validations: list[Validation] = []
        self.meaning = prepared.contract.output
        self.labels = prepared.split.train.labels
        self.loaders, self.validation_loader = loaders(recipe, prepared, together)
        self.steps_per_epoch = -(-self.loaders[recipe.size_at(0)].batches // recipe.accumulate)
        self.course = Course(
            recipe.schedule, self.steps_per_epoch, recipe.epochs, recipe.warmup_epochs
        )
        net = begin(build(recipe.network, seed=recipe.seed), recipe.start, prepared.whitening)
        self.net = place(net, recipe, together.device)
        self.average = Average(recipe.ema, self.net) if recipe.ema else None
        self.stepper = Stepper(
            recipe.optimiser, recipe.network, self.net, recipe.decay_on_norms_and_biases
        )
        self.step = Step(recipe, self.net, self.stepper, together, prepared.contract.forward)
        self.probes = Probes(
            self.net, self.stepper.parameters, on=run is not None and not recipe.compile
        )
        self.robustness: list[Robustness] = []
        self._began = self._saved = time.monotonic()
        self._paced: tuple[float, int] | None = None  # when a step was last counted from, and which
        self._losses: list[float] = []
        self._said_pace = False

    # -- where it stands

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.done // self.steps_per_epoch

    @property
    def epochs_begun(self) -> int:
        """How many epochs the steps done lie in."""
        return -(-self.done // self.steps_per_epoch)

    @property
    def at_epoch_end(self) -> bool:
        """Whether the last step ended an epoch."""
        return self.done % self.steps_per_epoch == 0

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all resumes."""
        return self.seconds + time.monotonic() - self._began

    def stops_early(self) -> bool:
        """Tell whether the recipe's early stop ends the training here."""
        rule = self.recipe.early_stop
        return rule is not None and rule.says_stop(self.validations, self.recipe.choose_by)

    def due(self) -> Due:
        """Return what is due now, the same in all processes."""
        own = Due.STOP if self.interrupt.asked else Due.NOTHING
        if self.together.first and own is Due.NOTHING:
            every = self.recipe.checkpoint_steps
            late = time.monotonic() - self._saved > 60 * self.recipe.checkpoint_minutes
            own = Due.SAVE if late or (every and self.done % every == 0) else Due.NOTHING
        return Due(self.together.most(own))

    # -- what the loop does

    def batches(self) -> Iterator[list[Batch]]:
        """Yield the epoch's remaining steps, each as its micro-batches."""
        if not self.done and self.run is not None and self.together.first:
            for say in (last_batch, proposal):
                if text := say(self.recipe, self.loaders[self.recipe.size_at(0)]):
                    progress.say(text)
        start = self.done % self.steps_per_epoch
        loader = self.loaders[self.recipe.size_at(self.epoch)]
        parts = loader.epoch(self.epoch, start * self.recipe.accumulate)
        parts = onto(parts, self.together.device, loader.tally)
        return progress.track(
            grouped(parts, self.recipe.accumulate),
            f"epoch {self.epoch + 1} of {self.recipe.epochs}",
            "images",
            len(loader.samples) - start * self.recipe.batch,
            lambda group: sum(part.total for part in group),
        )

    def take_step(self, parts: Sequence[Batch]) -> Taken:
        """Take the next step, and write it down."""
        epoch = self.epoch + 1
        if self.at_epoch_end:
            self._note({"epoch": epoch, **beginning(self.labels, parts[0].indices)})
        number, factor = self.done + 1, self.course.factor(self.done, self.validations)
        try:
            with self.probes.over(number):
                taken = self.step(parts, number, factor)
        except NotFiniteError as error:
            layer = self.probes.blame(parts[0].images.to(self.together.device))
            self.note_event("not finite", at=number, layer=layer, text=str(error))
            raise
        self.done += 1
        if self.average is not None:
            self.average.update(self.done)
        self._losses.append(taken.loss)
        if self._paced is None:  # the first step compiles and plans: it says nothing of the others
            self._paced = time.monotonic(), self.done
        self._note({"kind": "step", "epoch": epoch, **taken._asdict()})
        if seen := self.probes.seen():
            self._note({"kind": "probe", "probe": "layers", "epoch": epoch, **seen})
        return taken

    def validate(self) -> None:
        """Measure the net (or its average) on the validation part; keep its weights if best.

        Raises:
            NotFiniteError: weights or outputs are not finite; nothing is chosen or kept.
        """
        self._check_finite(self.tensors())
        outcome = inference.measure(
            self.net_to_keep,
            self.validation_loader.epoch(0),
            device=self.together.device,
            meaning=self.meaning,
            what="validating",
            total=-(-len(self.validation_loader.samples) // self.together.world),
        )
        if not np.isfinite(outcome.outputs).all() or not math.isfinite(outcome.loss):
            raise self._not_finite("the outputs on the validation part are")
        self._note_pace()
        robust = self._measure_robustness()
        validation = Validation(
            epoch=self.epoch,
            step=self.done,
            loss=outcome.loss,
            accuracy=outcome.accuracy,
            robust=robust,
        )
        self.validations.append(validation)
        chosen = best(self.validations, self.recipe.choose_by) is validation
        if chosen and self.run is not None:
            run, weights = self.run, self.net_to_keep.state_dict()
            self.together.decide(lambda: checkpoint.save_weights(run, weights))
        figures = {"loss": validation.loss, "accuracy": validation.accuracy, "best": chosen}
        figures |= {} if robust is None else {"robust": robust}
        self._note({"kind": "validation", "epoch": self.epoch, **figures})
        self._say_epoch(validation, chosen)

    def _note_pace(self) -> None:
        """Write down how the loader kept up; say it once, where the waiting is worth a word."""
        loader = self.loaders[self.recipe.size_at(self.epoch - 1)]
        pace = loader.tally.take()
        text = advice(pace, loader)
        told = {**to_builtins(pace), "load": load_per_core(), "text": text or ""}
        self._note({"kind": "pace", "epoch": self.epoch, **told})
        if text and not self._said_pace:
            self._said_pace = True
            self.note_event("note", text=text)
            if self.together.first:
                progress.say(f"Note: {text}")

    def _measure_robustness(self) -> float | None:
        """Attack some of the validation part, where the objective wants it; say a collapse."""
        found = measure_robustness(self.step, self.net_to_keep, self.validation_loader)
        if found is None:
            return None
        self.robustness.append(found)
        self._note({"kind": "probe", "probe": "robustness", "epoch": self.epoch, **found._asdict()})
        if collapsed(self.robustness):
            self.note_event("catastrophic overfitting", **found._asdict())
            before = self.robustness[:-1]
            if self.together.first and not (before and collapsed(before)):
                progress.say(
                    f"Catastrophic overfitting: one step is survived by "
                    f"{100 * found.one_step:.0f}%, ten steps by {100 * found.more_steps:.0f}%. "
                    "The weights of the best epoch are kept; try more steps "
                    "(--set objective.steps=7), a shorter one, or a random start."
                )
        return found.more_steps

    @property
    def net_to_keep(self) -> Net:
        """The net that is validated and kept: the average, where there is one."""
        return self.net if self.average is None else self.average.net

    # -- saving and going on

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that changes in training, by name."""
        named = {f"net/{name}": value for name, value in self.net.state_dict().items()}
        for name, value in self.stepper.state().items():
            named[f"optimiser/{name}"] = value
        if self.average is not None:
            for name, value in self.average.net.state_dict().items():
                named[f"average/{name}"] = value
        return named

    def save(self) -> None:
        """Write a checkpoint, in the first process.

        Raises:
            NotFiniteError: the last update made a tensor infinite, so no checkpoint would be good.
        """
        if self.run is not None:
            run, tensors = self.run, self.tensors()
            self._check_finite(tensors)
            saved = self.together.decide(lambda: checkpoint.save(run, self._state(), tensors))
            self.note_event("checkpoint", tensors=saved.tensors)
        self._saved = time.monotonic()

    def restore(self, run: Run, path: Path) -> None:
        """Go to where a checkpoint of a run was written.

        Raises:
            CheckpointError: it is damaged, or does not fit the recipe.
        """
        state, tensors = checkpoint.load(run, path)
        checkpoint.fit_together(path, self.tensors(), tensors)
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                value.copy_(tensors[f"net/{name}"])
            if self.average is not None:
                for name, value in self.average.net.state_dict().items():
                    value.copy_(tensors[f"average/{name}"])
            self.stepper.restore(
                {
                    name.removeprefix("optimiser/"): value
                    for name, value in tensors.items()
                    if name.startswith("optimiser/")
                }
            )
        self.step.loss_scale = state.loss_scale
        self.done, self.seconds = state.step, state.seconds
        self.validations = list(state.validations)
        ended = self.done - self.done % self.steps_per_epoch  # the epoch before
        self._losses = [  # of the epoch that goes on, so that its mean is of all of it
            line["loss"]
            for line in run.history("step")
            if ended < line["step"] <= self.done and line.get("loss") is not None
        ]
        self.robustness = [
            Robustness(*(line[name] for name in Robustness._fields))
            for line in run.history("probe")
            if line["step"] <= self.done and line.get("probe") == "robustness"
        ]

    def note_event(self, event: str, **more: Any) -> None:
        """Write an event into the history."""
        self._note({"kind": "event", "event": event, "epoch": self.epochs_begun, **more})

    # --

    def _state(self) -> checkpoint.State:
        return checkpoint.State(
            step=self.done,
            seconds=self.elapsed,
            validations=tuple(self.validations),
            loss_scale=self.step.loss_scale,
        )

    def _check_finite(self, tensors: Mapping[str, Tensor]) -> None:
        for name, value in tensors.items():
            if not value.isfinite().all():
                raise self._not_finite(f"{name.removeprefix('net/')} is")

    def _not_finite(self, what: str) -> NotFiniteError:
        return NotFiniteError(
            f"After step {self.done} (epoch {self.epochs_begun}): {what} not finite.", self.done
        )

    def _note(self, entry: Mapping[str, Any]) -> None:
        line = {"step": self.done, **entry}
        if self.run is not None and self.together.first:
            self.run.append(line)
        for observer in self.observers:
            observer.see(line, self.net)

    def _say_epoch(self, validation: Validation, chosen: bool) -> None:
        losses, self._losses = self._losses, []
        now = time.monotonic()
        began, counted = self._paced or (now, self.done)
        self._paced = now, self.done
        if not self.together.first:
            return
        left = (self.recipe.epochs - validation.epoch) * self.steps_per_epoch
        seconds = left * (now - began) / max(self.done - counted, 1)
        kind = str(type(self.recipe.objective).__struct_config__.tag)
        unit = "" if "entropy" in kind else f" ({kind.replace('_', ' ')})"
        columns = [
            f"epoch {validation.epoch}/{self.recipe.epochs}",
            f"training loss {sum(losses) / max(len(losses), 1):.4f}{unit}",
            f"validation loss {validation.loss:.4f}",
            f"accuracy {100 * validation.accuracy:.2f}%",
        ]
        if validation.robust is not None:
            columns.append(f"under attack {100 * validation.robust:.2f}%")
        by_loss = self.recipe.choose_by == "loss" and validation.robust is None
        columns.append(("best loss" if by_loss else "best") if chosen else "    ")
        if seconds:
            columns.append(f"{_spell(seconds)} left")
        progress.say("  ".join(columns))


def _spell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
