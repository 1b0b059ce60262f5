"""A run to be made, and a run that was: what the course of a search is decided by."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from striate.records import Record, digest
from striate.search.space import Space, Value

State = Literal["running", "done", "stopped", "failed", "void"]


class Slot(NamedTuple):
    """A run that the course of a search wants.

    Args:
        stage: what it is part of.
        key: what no two runs share: its place among the draws, or what it is a run of.
        epochs: how long it is.
        seed: of its chance.
        values: its settings; None has them drawn when it begins.
        space: what they are drawn from.
    """

    stage: str
    key: str
    epochs: int
    seed: int
    values: dict[str, Value] | None = None
    space: Space | None = None


class Outcome(Record, frozen=True, kw_only=True):
    """How a run ended.

    Args:
        state: `done`; `stopped` early, as hopeless; `failed` with an error.
        score: greater is better; None where there was no finite one.
        tie: decides among equal scores, and among blind ones.
        blind: the score is no better than guessing, so that it tells nothing.
        curve: the best score so far after each epoch.
        reason: why it was stopped or failed.
        seconds: it took.
        details: what else is known, such as loss and accuracy.
    """

    state: Literal["done", "stopped", "failed"] = "done"
    score: float | None = None
    tie: float = 0.0
    blind: bool = False
    curve: tuple[float, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    details: dict[str, Any] = {}


class Entry(NamedTuple):
    """A run in the ledger.

    Args:
        number: in order of beginning.
        slot: what was wanted, with the settings drawn.
        state: `running`; how it ended; or `void`, if it was cut short and its slot is free again.
        outcome: None while it runs, or where it is void.
        note: why it is void.
        owner: the process that made it.
        beat: changes as long as it is alive.
        run: what it is a run of, see `run_key`.
    """

    number: int
    slot: Slot
    state: State
    outcome: Outcome | None
    note: str
    owner: str
    beat: str
    run: str

    @property
    def keys(self) -> set[str]:
        """What it answers to: its place among the draws, and what it is a run of."""
        return {self.slot.key, self.run}

    @property
    def values(self) -> dict[str, Value]:
        """Its settings."""
        return self.slot.values or {}

    @property
    def score(self) -> float | None:
        """Its score, where it has a finite one."""
        return None if self.outcome is None else self.outcome.score

    @property
    def merit(self) -> tuple[bool, bool, float, float]:
        """Something that is greater the better; a run that was stopped is below all others."""
        end = self.outcome
        if end is None or end.score is None:
            return (False, False, float("-inf"), 0.0)
        order = (end.tie, end.score) if end.blind else (end.score, end.tie)
        return (self.state == "done", not end.blind, *order)


def run_key(values: dict[str, Value], epochs: int, seed: int) -> str:
    """Return what two runs share if they are the same run."""
    return digest({"values": values, "epochs": epochs, "seed": seed})[:16]


def ranked(entries: list[Entry]) -> list[Entry]:
    """Return the entries that have a score, the best first, the earlier of equals first."""
    scored = [each for each in entries if each.score is not None]
    return sorted(scored, key=lambda each: each.merit, reverse=True)
