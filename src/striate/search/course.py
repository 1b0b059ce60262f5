"""The course of a search, from coarse to fine, as one function that reads in the order it happens.

`course` yields stages and is sent what their runs gave. It knows nothing of processes, files or
time: sent the same runs it takes the same decisions, so any process may replay it over the ledger,
today or after a kill, and stands where the others stand. Whatever the number of processes, the same
search makes the same runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Final, Literal, NamedTuple

from striate.records import Record, expect
from striate.search.sampler import Sampler, grid
from striate.search.slot import Entry, Slot, ranked, run_key
from striate.search.space import Edge, Numbers, Space, Value

ETA: Final = 3  # a run is followed by one so many times as long, for one in so many
EXTENSIONS: Final = 6  # of one range each, at most
_REACH: Final = (0.5, 0.25, 0.1)  # of a range, that is added at its end: as much as makes sense
_UNLIMITED: Final = 1000  # settings, where only the seconds are limited
_FEW: Final = 4  # runs, below which an edge means nothing
_KEPT: Final = 4  # one in so many trials is kept for fine draws, whatever extensions take

Limit = Callable[[str, Value], bool]


class Budget(Record, frozen=True, kw_only=True):
    """How much is searched, and how.

    Args:
        trials: settings drawn in all; None leaves it to `seconds`.
        seconds: of runs, over all processes; None sets no limit.
        epochs: of a full run.
        sampler: where settings come from.
        grid: so many values a range instead, in all combinations.
        seeds: further seeds that each leader is run with.
        leaders: how many of the best are; None goes by the number of settings.
        extend: whether a range is extended when the best lies at its edge.
        seed: of the draws and of the runs.
    """

    trials: int | None = 24
    seconds: float | None = None
    epochs: int
    sampler: Sampler = "random"
    grid: int | None = None
    seeds: int = 3
    leaders: int | None = None
    extend: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        some = self.trials is not None or self.seconds is not None
        expect(some, "a budget in trials or seconds", trials=None, seconds=None)
        for name in ("trials", "seconds", "grid", "leaders"):
            value = getattr(self, name)
            expect(value is None or value > 0, f"{name} above 0", **{name: value})
        expect(self.epochs >= 1, "epochs of at least 1", epochs=self.epochs)
        expect(self.seeds >= 0, "seeds of at least 0", seeds=self.seeds)
        expect(self.seed >= 0, "a seed of at least 0", seed=self.seed)


class Stage(NamedTuple):
    """Runs that may be made at the same time.

    Args:
        name: what it is.
        slots: its runs, the most wanted first.
        share: of the seconds, after which no further one of them is begun.
        space: all that is searched, now.
        why: said when it begins.
    """

    name: str
    slots: list[Slot]
    share: float
    space: Space
    why: str = ""


class Extension(Record, frozen=True, kw_only=True):
    """A range that was extended since the best lay at its end."""

    key: str
    side: Literal["low", "high"]
    best: float
    before: tuple[float, float]
    after: tuple[float, float]


class Ended(NamedTuple):
    """Where a course came to.

    Args:
        space: with all ranges as they are in the end.
        extensions: in order.
        full: the full runs, the best first; without a finite one, what there is.
        leaders: settings that were run with further seeds, with the runs of these.
    """

    space: Space
    extensions: tuple[Extension, ...]
    full: list[Entry]
    leaders: list[tuple[dict[str, Value], list[Entry]]]


def course(space: Space, budget: Budget, allowed: Limit) -> Generator[Stage, list[Entry], Ended]:
    """Go from coarse to fine.

    Short runs of settings drawn from the whole space, ranges extended while the best lies at an
    edge, longer runs of the best third and of as many settings drawn about them, full runs of the
    best third of these, and the leaders once more with other seeds.

    Args:
        space: to begin with.
        budget: how much.
        allowed: whether a value of a key makes sense, whatever the others.

    Source: CS231n's lectures, "coarse -> fine cross-validation in stages"; Jamieson and Talwalkar,
    "Non-stochastic best arm identification", AISTATS 2016 (successive halving).
    """
    short, longer, full = (max(1, round(budget.epochs / ETA**k)) for k in (2, 1, 0))
    total = budget.trials or _UNLIMITED
    firsts = grid(space, budget.grid) if budget.grid is not None else None
    count = math.ceil(total / 2) if total >= 2 * _FEW else total
    drawn = _draws("coarse", 0, count, short, budget, space)
    if firsts is not None:
        drawn = [
            slot._replace(values=values)
            for slot, values in zip(
                _draws("grid", 0, len(firsts), short, budget, space), firsts, strict=True
            )
        ]
    found = yield Stage(f"{drawn[0].stage} search", drawn, 0.3, space)
    extended: list[Extension] = []
    spread = _Spread(budget, allowed, total, [])
    space, found = yield from spread.outwards(space, found, short, 0.4, extended)
    best = ranked(found)[: max(1, math.ceil(len(found) / ETA))]
    wanted = [_again("longer", each.values, longer, budget.seed) for each in best]
    coarse_only = firsts is not None or len(found) < _FEW or not best
    kept = 0 if coarse_only or total < 2 * _FEW else total // _KEPT
    more = 0 if coarse_only else max(total - len(found), kept)
    if budget.trials is None:
        more = min(more, len(found))
    beyond_budget = max(0, len(found) + more - total)
    half = more - more // 2
    wanted += _draws("fine", 0, half, longer, budget, _about(space, ranked(found)))
    why = _adjusted(wanted)
    if beyond_budget:
        why += f"\n{_over(len(found) - len(drawn), more, budget.trials, beyond_budget)}"
    found = yield Stage("fine search", wanted, 0.55, space, why)
    drawn_so_far = len(found) - len(best)
    space, found = yield from spread.outwards(space, found, longer, 0.6, extended)
    more = max(min(more, kept) // 2, more // 2 - (len(found) - len(best) - drawn_so_far))
    finer = _draws("finer", 0, more, longer, budget, _about(space, ranked(found)))
    found += yield Stage("finer search", finer, 0.7, space, _adjusted(finer))
    best = ranked(found)[: min(max(2, math.ceil(len(found) / ETA)), 12)]
    wanted = [_again("full", each.values, full, budget.seed) for each in best]
    found = yield Stage("full runs", wanted, 0.85, space)
    runs = ranked(found)
    most = budget.leaders or min(max(2, round(len(best) / 2)), 7)
    leading = [each.values for each in runs if each.state == "done"][:most]
    wanted = [
        _again("seeds", values, full, budget.seed + 1 + index)
        for index in range(budget.seeds)
        for values in leading
    ]
    again: list[Entry] = []
    if wanted:
        again = yield Stage("the leaders with other seeds", wanted, 1.0, space)
    leaders = [(values, [e for e in again if e.values == values]) for values in leading]
    return Ended(space, tuple(extended), runs, leaders)


class _Spread(NamedTuple):
    """Extends ranges while the best lies at an edge."""

    budget: Budget
    allowed: Limit
    total: int
    tried: list[dict[str, Value]]

    def outwards(
        self,
        space: Space,
        found: list[Entry],
        epochs: int,
        share: float,
        extended: list[Extension],
    ) -> Generator[Stage, list[Entry], tuple[Space, list[Entry]]]:
        """Return the space and the runs, with what extensions added to both."""
        while self.budget.extend and len(extended) < EXTENSIONS:
            self.tried.extend(each.values for each in found)  # also what blew up
            runs = [each for each in ranked(found) if each.state == "done"]
            if len(runs) < min(_FEW, self.total) or len(runs) < 2:
                break
            now = [
                moved
                for edge in space.edges(runs[0].values, self.tried)
                if (moved := beyond(space, edge, self.allowed)) is not None
            ][: EXTENSIONS - len(extended)]
            if not now:
                break
            about = _about(space, runs)
            zones = []
            for before, zone in now:
                after = before.joined(zone)
                space = space.with_(after)
                zones.append((about, zone))
                extended.append(_noted(before, after, zone, runs[0].values[before.key]))
            each = max(3, math.ceil(min(self.total, 48) / 8))
            wanted = [
                slot
                for number, (about_, zone) in enumerate(zones, start=10 * len(extended))
                for slot in _strata(number, each, epochs, self.budget, about_, zone)
            ]
            why = "; ".join(spelled(one) for one in extended[-len(now) :])
            found = found + (yield Stage("extended", wanted, share, space, why))
        return space, found


def _over(extended: int, fine: int, trials: int | None, over: int) -> str:
    """Say that extensions took more than the trials leave."""
    return (
        f"{extended} draws beyond the ranges and {fine} fine ones: {over} settings more than the "
        f"{trials} trials asked for"
    )


def spelled(extension: Extension) -> str:
    """Say what was extended, and why."""
    (low, high), (lower, higher) = extension.before, extension.after
    return (
        f"The best {extension.key}, {extension.best:.3g}, is at the {extension.side} edge of "
        f"{low:.3g}..{high:.3g}: extended to {lower:.3g}..{higher:.3g}"
    )


def beyond(space: Space, edge: Edge, allowed: Limit) -> tuple[Numbers, Numbers] | None:
    """Return a range and what lies beyond its end, as far as that makes sense."""
    parameter = space[edge.key]
    if not isinstance(parameter, Numbers) or parameter.fixed:
        return None
    for share in _REACH:
        try:
            zone = parameter.beyond(edge.side, share)
        except (ValueError, OverflowError):
            continue
        end = zone.low if edge.side == "low" else zone.high
        if zone.low < zone.high and allowed(edge.key, int(end) if parameter.whole else end):
            return parameter, zone
    return None


def _noted(before: Numbers, after: Numbers, zone: Numbers, best: Value) -> Extension:
    return Extension(
        key=before.key,
        side="low" if zone.high == before.low else "high",
        best=float(best),
        before=(before.low, before.high),
        after=(after.low, after.high),
    )


def _draws(
    stage: str, round_: int, count: int, epochs: int, budget: Budget, space: Space
) -> list[Slot]:
    return [
        Slot(stage, f"{stage} {round_} {index}", epochs, budget.seed, None, space)
        for index in range(count)
    ]


def _strata(
    round_: int, count: int, epochs: int, budget: Budget, about: Space, zone: Numbers
) -> list[Slot]:
    """Return draws that cover what was added to a range evenly, its far end too."""
    return [
        slot._replace(space=about.with_(zone.narrowed(index / count, (index + 1) / count)))
        for index, slot in enumerate(_draws("extended", round_, count, epochs, budget, about))
    ]


def _again(stage: str, values: dict[str, Value], epochs: int, seed: int) -> Slot:
    return Slot(stage, run_key(values, epochs, seed), epochs, seed, values)


def _about(space: Space, runs: Sequence[Entry]) -> Space:
    """Return the part of a space that the best third of some runs, best first, span.

    All of the third: the span of two or three is small by chance where a setting does not matter.
    """
    best = runs[: max(3, math.ceil(len(runs) / ETA))]
    return space.about([each.values for each in best]) if best else space


def _adjusted(wanted: Sequence[Slot]) -> str:
    """Say what a fine search draws from."""
    drawn = next((slot.space for slot in wanted if slot.space is not None), None)
    if drawn is None:
        return ""
    return "adjust range: " + ", ".join(f"{each.key} {each.spelled()}" for each in drawn.parameters)
