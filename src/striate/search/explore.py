"""A search carried out: the course replayed over the ledger, and its runs made in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from striate import progress
from striate.errors import NotFiniteError, TrainingError
from striate.search.course import Budget, Ended, Limit, Stage, course
from striate.search.ledger import Ledger, patiently
from striate.search.sampler import draw
from striate.search.slot import Entry, Outcome, Slot, run_key
from striate.search.space import Space, Value
from striate.search.watch import Interrupted, Stop, Watch

# Values, epochs, seed, and what to tell of each step and epoch -> how it ended.
Objective = Callable[[Mapping[str, Value], int, int, Watch], Outcome]

_HOPELESS = 5  # first runs that fail with an error, after which nothing else is tried
_POLL = 0.5  # seconds


class Explored(NamedTuple):
    """What a search found.

    Args:
        ended: the course's end; None where the user asked for an earlier one.
        entries: all runs.
        space: as it was when it ended.
    """

    ended: Ended | None
    entries: list[Entry]
    space: Space


def explore(
    objective: Objective,
    space: Space,
    budget: Budget,
    ledger: Ledger,
    *,
    allowed: Limit = lambda key, value: True,
    asked: Callable[[], bool] = lambda: False,
    what: str = "score",
) -> Explored:
    """Search, alone or with other processes that hold the same ledger.

    Args:
        objective: makes one run; greater scores are better.
        space: to begin with.
        budget: how much, and how.
        ledger: what was done so far; nothing in it is done again.
        allowed: whether a value of a key makes sense, whatever the others.
        asked: whether the user wants an end.
        what: the score is called.

    Raises:
        TrainingError: no run gave a finite score.
    """
    maker = _Maker(objective, budget, ledger, asked, what)
    steps = course(space, budget, allowed)
    stage = next(steps)
    said = ("", "")
    while True:
        known = _look(ledger)
        wanted = known.left(stage, budget.seconds)
        if not wanted:
            _check_hope(known.entries, whole=True)
            try:
                stage = steps.send(known.of(stage))
            except StopIteration as end:
                return Explored(end.value, known.entries, end.value.space)
            continue
        if said != (stage.name, stage.why) and any(map(known.free, wanted)):
            said = (stage.name, stage.why)
            progress.say(_heading(stage))
        if asked():
            return Explored(None, known.entries, stage.space)
        try:
            free = [slot for slot in wanted if known.free(slot)]
            if free:
                number = len(stage.slots) - len(wanted) + wanted.index(free[0]) + 1
                maker.take(stage, free[0], number, known.entries)
            else:  # others make what is left
                for left in patiently(ledger.free_the_dead):
                    progress.say(left)
                time.sleep(_POLL)
        except Interrupted:
            return Explored(None, patiently(ledger.entries), stage.space)


class _Known(NamedTuple):
    """The ledger by the keys that runs answer to."""

    entries: list[Entry]
    ended: dict[str, Entry]
    running: set[str]
    spent: float

    def free(self, slot: Slot) -> bool:
        """Say whether nobody has made or makes a slot's run."""
        return slot.key not in self.ended and slot.key not in self.running

    def of(self, stage: Stage) -> list[Entry]:
        """Return a stage's runs, in the order it wanted them."""
        return [self.ended[slot.key] for slot in stage.slots if slot.key in self.ended]

    def left(self, stage: Stage, seconds: float | None) -> list[Slot]:
        """Return the slots that are not finished, without those there is no time for."""
        left = [slot for slot in stage.slots if slot.key not in self.ended]
        if seconds is None or self.spent <= stage.share * seconds:
            return left
        first = [] if self.of(stage) else left[:1]  # without one, the next stage knows nothing
        return [slot for slot in left if slot in first or slot.key in self.running]


def _look(ledger: Ledger) -> _Known:
    entries = patiently(ledger.entries)
    ended: dict[str, Entry] = {}
    for each in reversed(entries):
        if each.outcome is not None:
            ended.update(dict.fromkeys(each.keys, each))
    running = {key for each in entries if each.state == "running" for key in each.keys}
    spent = sum(each.outcome.seconds for each in entries if each.outcome is not None)
    return _Known(entries, ended, running, spent)


class _Maker(NamedTuple):
    """What makes runs, whichever stage wants them; its fields are the arguments of `explore`."""

    objective: Objective
    budget: Budget
    ledger: Ledger
    asked: Callable[[], bool]
    what: str

    def take(self, stage: Stage, slot: Slot, number: int, entries: Sequence[Entry]) -> None:
        """Make a run, the stage's so many-th, unless somebody else is quicker."""
        if slot.values is None:
            slot = slot._replace(values=self._drawn(slot, entries))
        entry = patiently(lambda: self.ledger.claim(slot, stage.space))
        if entry is None:
            return
        outcome = self._run(entry, entries)
        patiently(lambda: self.ledger.finish(entry.number, outcome))
        progress.say(line(entry, outcome, number, len(stage.slots), self.what))
        _check_hope(patiently(self.ledger.entries))

    def _drawn(self, slot: Slot, entries: Sequence[Entry]) -> dict[str, Value]:
        """Draw a slot's settings, others than those of any run as long, where there are others."""
        space = slot.space
        if space is None:
            raise RuntimeError("a slot without settings has a space to draw from")
        taken = {each.run for each in entries if each.state != "void"}
        key = slot.key
        for attempt in range(20):
            values = draw(space, self.budget.sampler, self.budget.seed, key, entries)
            if run_key(values, slot.epochs, slot.seed) not in taken:
                break
            key = f"{slot.key}, again {attempt}"
        return values

    def _run(self, entry: Entry, entries: Sequence[Entry]) -> Outcome:
        """Make one run, and say how it ended.

        Raises:
            Interrupted: the user wants an end; the run's slot is free again.
        """
        slot = entry.slot
        rivals = [
            each.outcome.curve
            for each in entries
            if each.outcome is not None and each.slot.epochs == slot.epochs and each.state == "done"
        ]
        others = rivals if slot.stage != "seeds" else ()
        watch = Watch(others, lambda: self.ledger.beat(entry.number), self.asked)
        began = time.monotonic()
        state: Literal["stopped", "failed"] = "stopped"
        try:
            outcome = self.objective(entry.values, slot.epochs, slot.seed, watch)
            return outcome.replace(
                curve=outcome.curve or tuple(watch.curve), seconds=time.monotonic() - began
            )
        except Stop as stop:
            reason = str(stop)
        except NotFiniteError as error:
            reason = str(error).rstrip(".")
        except (Interrupted, KeyboardInterrupt):
            self.ledger.void(entry.number, "interrupted")
            raise Interrupted from None
        except Exception as error:  # whatever it is, it is written down and the search goes on
            state, reason = "failed", f"{type(error).__name__}: {error}"
        return Outcome(
            state=state,
            score=watch.curve[-1] if watch.curve and state == "stopped" else None,
            curve=tuple(watch.curve),
            reason=" ".join(reason.split()),
            seconds=time.monotonic() - began,
        )


def _check_hope(entries: Sequence[Entry], whole: bool = False) -> None:
    """Refuse to go on where nothing works.

    Raises:
        TrainingError: the first runs all failed, or a stage ended without a finite score.
    """
    ended = [each for each in entries if each.outcome is not None]
    failed = [each for each in ended if each.state == "failed"]
    if failed and len(failed) == len(ended) and (whole or len(failed) >= _HOPELESS):
        first = failed[0].outcome
        reason = first.reason.rstrip(".") if first is not None else ""
        what = "The only run" if len(failed) == 1 else f"All {len(failed)} runs"
        raise TrainingError(f"{what} failed; the first with: {reason}.")
    if whole and ended and all(each.score is None for each in ended):
        reasons = {each.outcome.reason for each in ended if each.outcome is not None}
        raise TrainingError(
            f"None of {len(ended)} runs gave a finite score ({min(reasons)}): search lower rates, "
            "for example --space rate=1e-6..1e-3."
        )


# -- as the lectures print it ----------------------------------------------------------------------


def _heading(stage: Stage) -> str:
    epochs = stage.slots[0].epochs
    lines = [f"\n{stage.name}, {epochs} epoch{'s' if epochs > 1 else ''}"]
    return "\n".join([*lines, *([stage.why] if stage.why else [])])


def line(entry: Entry, outcome: Outcome, number: int, of: int, what: str) -> str:
    """Spell a run as the lectures do: `val acc: 0.412000, lr: 1.405206e-04, ..., (1 / 100)`."""
    score = "nothing" if outcome.score is None else f"{outcome.score:.6f}"
    values = ", ".join(f"{short(key)}: {value_text(value)}" for key, value in entry.values.items())
    said = {"done": "", "stopped": "  stopped: ", "failed": "  failed: "}[outcome.state]
    why = outcome.reason if len(outcome.reason) < 100 else outcome.reason[:97] + "..."
    return f"{what}: {score}, {values}, ({number} / {of}){said}{why}"


def value_text(value: Value) -> str:
    """Spell a value: 1.405206e-04, 64, adamw."""
    return f"{value:.6e}" if isinstance(value, float) else str(value)


def short(key: str) -> str:
    """Return what is left of a key in a table: optimiser.rate is the rate."""
    return key.rpartition(".")[2]
