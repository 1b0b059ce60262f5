"""From finished runs of the corpus to rates with their intervals, and the matrix."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.faults.corpus import FAULTS
from benchmarks.faults.settings import SETTINGS

from striate.inference.metrics import wilson


class Row(NamedTuple):
    """What was said of one run.

    Args:
        case, setting, network, seed: which run.
        accuracy: on the test part; 0 where training broke off.
        preflight: checks that failed.
        doctor: findings that are alarms.
        notes: findings of less confidence.
        preflight_seconds, seconds: of the checks, and of all.
        live: alarms that were said while it trained, whether found at its end or not; None of a run
            that was made before they were noted.
    """

    case: str
    setting: str
    network: str
    seed: int
    accuracy: float
    preflight: list[str]
    doctor: list[str]
    notes: list[str]
    preflight_seconds: float
    seconds: float
    live: list[str] | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells it from the others."""
        return self.case, self.setting, self.network, self.seed

    @property
    def place(self) -> str:
        """The same in words."""
        return f"{self.case} ({self.setting}, {self.network}, seed {self.seed})"

    def said(self, way: str) -> list[str]:
        """Return what was said in a configuration: preflight, doctor or both."""
        if way == "both":
            return [*self.preflight, *self.doctor]
        return self.preflight if way == "preflight" else self.doctor


_FAULTS = {case.name: case for case in FAULTS}
WAYS = ("preflight", "doctor", "both")


def rates(rows: list[Row]) -> dict[str, Any]:
    """Return the rates over settings no rule was tuned on, over the others, and the matrix."""
    quoted = [row for row in rows if not SETTINGS[row.setting].tuned_on]
    tuned = [row for row in rows if SETTINGS[row.setting].tuned_on]
    shown = quoted or tuned
    counted, harmless = _counted(shown, rows)
    document: dict[str, Any] = {"settings": sorted({row.setting for row in shown})}
    document["configurations"] = _by_way(shown, counted)
    for name, figure in document["configurations"].get("both", {}).items():
        document[name] = figure["value"]
    document["live"] = _live(shown)
    document["live_false_alarm_rate"] = document["live"]["false_alarm_rate"]["value"]
    document["faults"], document["healthy"] = len(counted), len(_well(shown))
    document["harmless"] = sorted({f"{r.case} ({r.setting}, {r.network})" for r in harmless})
    document["preflight_seconds"] = max((row.preflight_seconds for row in rows), default=0.0)
    document["by_fault"] = _by_fault(counted)
    document["by_setting"] = {
        name: _by_way(own, _counted(own, rows)[0])
        for name in SETTINGS
        if (own := [row for row in rows if row.setting == name])
    }
    document["matrix"] = _matrix(shown)
    return document


def _well(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.case not in _FAULTS]


def _counted(rows: Iterable[Row], every: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Part faults into those that count and those that cost too little."""
    twins: dict[tuple[str, str], list[float]] = {}
    for row in every:
        if row.case == "plain":
            twins.setdefault((row.setting, row.network), []).append(row.accuracy)
    counted, harmless = [], []
    for row in rows:
        if row.case not in _FAULTS:
            continue
        good = twins.get((row.setting, row.network), [1.0])
        spread = statistics.stdev(good) if len(good) > 2 else 1.0
        cost = statistics.mean(good) - row.accuracy
        costly = cost >= 0.02 or cost >= 3 * max(spread, 0.003)
        (counted if costly or _FAULTS[row.case].silent else harmless).append(row)
    return counted, harmless


def _by_way(rows: Iterable[Row], counted: list[Row]) -> dict[str, Any]:
    well = _well(rows)
    found: dict[str, Any] = {}
    for way in WAYS:
        hits = sum(bool(row.said(way)) for row in counted)
        named = sum(bool({*_FAULTS[row.case].names} & {*row.said(way)}) for row in counted)
        alarms = sum(bool(row.said(way)) for row in well)
        found[way] = {
            "hit_rate": _share(hits, len(counted)),
            "named_rate": _share(named, len(counted)),
            "false_alarm_rate": _share(alarms, len(well)),
        }
    return found


def _live(rows: list[Row]) -> dict[str, Any]:
    """Return how many healthy runs had an alarm while they trained, which, and in which runs.

    It is no part of the other rates, which are of what the doctor says at the end.
    """
    asked = [row for row in _well(rows) if row.live is not None]
    alarmed = {row.place: row.live for row in asked if row.live}
    names = [name for said in alarmed.values() for name in said]
    return {
        "false_alarm_rate": _share(len(alarmed), len(asked)),
        "which": {name: names.count(name) for name in sorted(set(names))},
        "runs": alarmed,
        "not_noted": len(_well(rows)) - len(asked),
    }


def _share(hits: int, count: int) -> dict[str, Any]:
    if not count:
        return {"value": None, "hits": 0, "of": 0, "interval": None}
    return {"value": hits / count, "hits": hits, "of": count, "interval": list(wilson(hits, count))}


def _by_fault(counted: list[Row]) -> dict[str, dict[str, Any]]:
    """Return for each fault how often it was hit and named, and what else it was called."""
    found = {}
    for name, case in _FAULTS.items():
        own = [row for row in counted if row.case == name]
        if not own:
            continue
        figures: dict[str, Any] = {"runs": len(own), "silent": case.silent}
        for way in WAYS:
            figures[way] = {
                "hit": sum(bool(row.said(way)) for row in own),
                "named": sum(bool({*case.names} & {*row.said(way)}) for row in own),
            }
        unnamed = [row for row in own if not {*case.names} & {*row.said("both")}]
        figures["called_instead"] = sorted({each for row in unnamed for each in row.said("both")})
        found[name] = figures
    return found


def _matrix(rows: list[Row]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        kind = "fault" if row.case in _FAULTS else "healthy"
        line = table.setdefault(f"{kind}: {row.case}", {"runs": 0})
        line["runs"] += 1
        for name in row.said("both") or ["nothing"]:
            line[name] = line.get(name, 0) + 1
    return table
