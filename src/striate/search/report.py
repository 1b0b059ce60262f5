"""What a search found, as one record: text, JSON and pictures are views of it."""

from __future__ import annotations

import math
from typing import Any, Final

from striate import wording
from striate.records import Record
from striate.search.course import Ended, Extension, Limit, beyond
from striate.search.importance import Importance, importance
from striate.search.leaders import TEST, compare
from striate.search.slot import Entry
from striate.search.space import Numbers, Parameter, Space, Value

GUESSED: Final = (
    "no run did better than guessing, so these settings tell nothing; striate check may"
)


class Best(Record, frozen=True, kw_only=True):
    """The settings that won, or one that did as well.

    Args:
        settings: by key.
        mean: score over the further seeds; of the one full run where there were none.
        interval: of the mean, 95% for all leaders together; None where noise was not measured.
        scores: of the further seeds.
        tied: whether it cannot be told from the best.
    """

    settings: dict[str, Any]
    mean: float
    interval: tuple[float, float] | None
    scores: tuple[float, ...]
    tied: bool


class EdgeNote(Record, frozen=True, kw_only=True):
    """The best lies at the edge of a range all the same."""

    key: str
    side: str
    value: float
    range: tuple[float, float]
    text: str


class SearchResult(Record, frozen=True, kw_only=True):
    """How a search ended.

    Args:
        study: its folder.
        data, network: what was trained.
        figure: what the score is.
        state: finished or interrupted; either goes on with --resume.
        best: None where it ended before a full run.
        leaders: all that were run with further seeds, the best mean first.
        group: so many of them cannot be told apart from the best.
        verdict: the same in words.
        test: by which they were compared.
        noise: standard deviation over seeds, pooled.
        extensions: ranges that were extended.
        edges: where the best lies at the edge of a range all the same.
        importance: of each parameter, over the short runs.
        space, searched: as asked, and as it was in the end.
        runs: counts by state.
        seconds: of all runs.
        recipe: file that `striate train --recipe` takes.
        figures: pictures by name.
        trials: every run.
    """

    study: str
    data: str = ""
    network: str = ""
    figure: str = "score"
    state: str = "finished"
    best: Best | None = None
    leaders: tuple[Best, ...] = ()
    group: int = 0
    verdict: str = ""
    test: str = TEST
    noise: float | None = None
    extensions: tuple[Extension, ...] = ()
    edges: tuple[EdgeNote, ...] = ()
    importance: tuple[Importance, ...] = ()
    space: tuple[Parameter, ...] = ()
    searched: tuple[Parameter, ...] = ()
    runs: dict[str, int] = {}
    seconds: float = 0.0
    recipe: str | None = None
    figures: dict[str, str] = {}
    trials: tuple[dict[str, Any], ...] = ()


def summed_up(
    study: str,
    asked: Space,
    searched: Space,
    entries: list[Entry],
    ended: Ended | None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    allowed: Limit = lambda key, value: True,
) -> SearchResult:
    """Sum up a search, finished or not.

    Args:
        study: its folder.
        asked: what was to be searched.
        searched: what was in the end.
        entries: all runs.
        ended: the course's end, where it came to one.
        bounds: that no score can pass, nor an interval.
        allowed: which values make sense; an edge with none beyond it is no edge.
    """
    leaders, noise = _leaders(ended, bounds)
    group = [each for each in leaders if each.tied]
    best = leaders[0] if leaders else _unrepeated(ended)
    counts = {state: 0 for state in ("done", "stopped", "failed", "running", "void")}
    for each in entries:
        counts[each.state] += 1
    return SearchResult(
        study=study,
        state="interrupted" if ended is None else "finished",
        best=best,
        leaders=tuple(leaders),
        group=len(group),
        verdict=GUESSED if best and _guessed(entries) else _verdict(best, group, leaders),
        noise=noise,
        extensions=() if ended is None else ended.extensions,
        edges=() if ended is None else _edges(ended, best, allowed),
        importance=importance(searched, _comparable(entries)),
        space=asked.parameters,
        searched=searched.parameters,
        runs=counts,
        seconds=sum(each.outcome.seconds for each in entries if each.outcome is not None),
        trials=tuple(map(_trial, entries)),
    )


def _leaders(ended: Ended | None, bounds: tuple[float, float]) -> tuple[list[Best], float | None]:
    """Return the leaders by their means over further seeds."""
    rows = [
        (values, [each.score for each in again if each.score is not None and each.state == "done"])
        for values, again in (() if ended is None else ended.leaders)
    ]
    rows = [(values, scores) for values, scores in rows if scores]
    if not rows:
        return [], None
    compared, noise = compare([scores for _, scores in rows])
    found = [
        Best(
            settings=values,
            mean=each.mean,
            interval=None
            if each.interval is None
            else (max(each.interval[0], bounds[0]), min(each.interval[1], bounds[1])),
            scores=each.scores,
            tied=each.tied,
        )
        for (values, _), each in zip(rows, compared, strict=True)
    ]
    return sorted(found, key=lambda each: -each.mean), noise


def _unrepeated(ended: Ended | None) -> Best | None:
    top = ended.full[0] if ended is not None and ended.full else None
    if top is None or top.score is None:
        return None
    return Best(settings=top.values, mean=top.score, interval=None, scores=(), tied=True)


def _guessed(entries: list[Entry]) -> bool:
    """Tell whether no run did better than guessing."""
    ends = [each.outcome for each in entries if each.outcome is not None]
    return all(each.blind for each in ends if each.score is not None)


def _verdict(best: Best | None, group: list[Best], leaders: list[Best]) -> str:
    if best is None:
        return ""
    if best.interval is None:
        return "seed noise was not measured, so nothing is known of how the leaders compare"
    if len(leaders) == 1:
        return "one leader only, so there is nothing to compare it with"
    if len(group) == 1:
        others = "the other leader" if len(leaders) == 2 else f"the other {len(leaders) - 1}"
        return f"better than {others} beyond what seeds explain"
    return f"no significant difference between these {len(group)}: any of them may be the best"


def _edges(ended: Ended, best: Best | None, allowed: Limit) -> tuple[EdgeNote, ...]:
    """Say where the best lies at an edge, and what follows."""
    found = []
    for edge in ended.space.edges(best.settings) if best is not None else ():
        parameter = ended.space[edge.key]
        if not isinstance(parameter, Numbers):
            continue
        if beyond(ended.space.with_(parameter.replace(fixed=False)), edge, allowed) is None:
            continue  # nothing beyond makes sense
        tried = any((each.key, each.side) == edge[:2] for each in ended.extensions)
        text = (
            f"the best {edge.key}, {edge.value:.3g}, lies at the {edge.side} edge of "
            f"{parameter.spelled()}"
            + (", extended already" if tried else "")
            + ": a better one may lie beyond"
        )
        if parameter.fixed:
            text += ", where the range is told to end"
        found.append(
            EdgeNote(
                key=edge.key,
                side=edge.side,
                value=float(edge.value),
                range=(parameter.low, parameter.high),
                text=text,
            )
        )
    return tuple(found)


def _comparable(entries: list[Entry]) -> list[tuple[dict[str, Value], float]]:
    """Return the short runs, which are drawn at random and equally long, with a score each.

    One that was stopped before it had any is the worst of all.
    """
    first = [
        each
        for each in entries
        if each.slot.stage in ("coarse", "grid") and each.state in ("done", "stopped")
    ]
    scores = [each.score for each in first if each.score is not None]
    worst = min(scores, default=0.0) - 1.0
    return [(each.values, worst if each.score is None else each.score) for each in first]


def _trial(entry: Entry) -> dict[str, Any]:
    outcome = entry.outcome
    return {
        "number": entry.number,
        "stage": entry.slot.stage,
        "state": entry.state,
        "epochs": entry.slot.epochs,
        "seed": entry.slot.seed,
        "settings": entry.values,
        "score": entry.score,
        "seconds": 0.0 if outcome is None else round(outcome.seconds, 3),
        "reason": entry.note if outcome is None else outcome.reason,
        **({} if outcome is None else outcome.details),
    }


def counted(runs: dict[str, int]) -> str:
    """Spell counts of runs: 31 runs (4 stopped early, 1 failed)."""
    total = sum(runs[state] for state in ("done", "stopped", "failed"))
    more = [
        f"{runs[state]} {word}"
        for state, word in (
            ("stopped", "stopped early"),
            ("failed", "failed"),
            ("void", "cut short, to be made again"),
            ("running", "still running"),
        )
        if runs[state]
    ]
    return wording.count(total, "run") + (f" ({', '.join(more)})" if more else "")
