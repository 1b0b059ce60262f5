"""How often doctor and preflight find injected faults, and how often they cry wolf.

    python benchmarks/faults/run.py [--json] [--quick] [--shard K/N] [--out FILE]

Every run is a training of some seconds on the digits. Finished runs are kept in FILE, one JSON
object a line, so that a run of this script that was cut goes on where it stopped; shards add up.

It says the share of faults that any check or finding spoke about (hit), that it called by a right
name (named), and of healthy runs about which anything was said beyond a note (false alarm), with
Wilson's 95% intervals, for preflight, doctor and both; then the matrix. A fault whose healthy twin
is no better by 2 points of test accuracy, though it is not silent, is left out of the rates.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.faults.corpus import FAULTS, HEALTHY, NETWORKS, Case, dataset_of, healthy

from striate import doctor, train
from striate.errors import NotFiniteError, StriateError
from striate.inference.metrics import wilson
from striate.train.prepare import prepare

SILENT = ("copies on both sides of the split", "batches of one image")
SURE = 0.55  # a finding of less confidence is a note, not an alarm


def cases(quick: bool) -> Iterator[tuple[str, Case, str, int]]:
    """Yield (kind, case, network, seed): with --quick 36 faults and 60 healthy runs."""
    for seed in range(1 if quick else 3):
        for case in FAULTS:
            for network in NETWORKS:
                yield "fault", case, network, seed
    for seed in range(2 if quick else 6):
        for case in HEALTHY:
            for network in NETWORKS:
                yield "healthy", case, network, seed


def run_one(kind: str, case: Case, network: str, seed: int) -> dict[str, Any]:
    """Check, train and diagnose one case."""
    make = NETWORKS[network]
    recipe = case.change(healthy(make(), seed), make)
    dataset = dataset_of(case, seed)
    began = time.perf_counter()
    checks = doctor.preflight(recipe, prepare(recipe, dataset))
    checked = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        accuracy = 0.0
        try:
            result = train.train(recipe, out=Path(folder) / "run", dataset=dataset)
            accuracy = result.test.accuracy if result.test else 0.0
        except NotFiniteError:
            pass
        findings = doctor.diagnose(Path(folder) / "run")
    return {
        "kind": kind,
        "case": case.name,
        "network": network,
        "seed": seed,
        "accuracy": accuracy,
        "preflight": [each.check for each in checks if each.verdict == "fail"],
        "doctor": [each.finding for each in findings if each.confidence >= SURE],
        "preflight_seconds": checked,
    }


def rates(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rates with their intervals, and the matrix."""
    rows = list(rows)
    names = {case.name: set(case.names) for case in FAULTS}
    good = {
        network: max(
            (r["accuracy"] for r in rows if (r["case"], r["network"]) == ("plain", network)),
            default=1.0,
        )
        for network in NETWORKS
    }
    faults = [
        row
        for row in rows
        if row["kind"] == "fault"
        and (row["case"] in SILENT or row["accuracy"] < good[row["network"]] - 0.02)
    ]
    well = [row for row in rows if row["kind"] == "healthy"]
    document: dict[str, Any] = {"faults": len(faults), "healthy": len(well)}
    for way in ("preflight", "doctor", "both"):
        said = [_said(row, way) for row in faults]
        hits = sum(bool(each) for each in said)
        named = sum(
            bool(names[row["case"]] & set(each)) for row, each in zip(faults, said, strict=True)
        )
        alarms = sum(bool(_said(row, way)) for row in well)
        document[way] = {
            "hit_rate": _share(hits, len(faults)),
            "named_rate": _share(named, len(faults)),
            "false_alarm_rate": _share(alarms, len(well)),
        }
    both = document["both"]
    for name in ("hit_rate", "named_rate", "false_alarm_rate"):
        document[name] = both[name]["value"]
    document["matrix"] = _matrix(rows)
    document["preflight_seconds"] = max((r["preflight_seconds"] for r in rows), default=0.0)
    return document


def _said(row: Mapping[str, Any], way: str) -> list[str]:
    if way == "both":
        return [*row["preflight"], *row["doctor"]]
    said: list[str] = row[way]
    return said


def _share(hits: int, count: int) -> dict[str, Any]:
    if not count:
        return {"value": None, "hits": 0, "of": 0, "interval": None}
    return {"value": hits / count, "hits": hits, "of": count, "interval": list(wilson(hits, count))}


def _matrix(rows: list[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        line = table.setdefault(f"{row['kind']}: {row['case']}", {"runs": 0})
        line["runs"] += 1
        for name in _said(row, "both") or ["nothing"]:
            line[name] = line.get(name, 0) + 1
    return table


def main() -> None:
    """Run what has not been run yet, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--shard", default="0/1", help="K/N: every Nth case, from the Kth")
    parser.add_argument("--out", type=Path, help="where finished runs are kept")
    options = parser.parse_args()
    part, parts = map(int, options.shard.split("/"))
    kept = options.out
    rows = [json.loads(line) for line in kept.open()] if kept and kept.exists() else []
    done = {(row["kind"], row["case"], row["network"], row["seed"]) for row in rows}
    wanted = list(cases(options.quick))[part::parts]
    for kind, case, network, seed in wanted:
        if (kind, case.name, network, seed) in done:
            continue
        try:
            rows.append(run_one(kind, case, network, seed))
        except StriateError as error:
            sys.exit(f"{case.name} on {network}, seed {seed}: {error}")
        if kept:
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        row = rows[-1]
        print(
            f"{kind:8} {case.name:34} {network:7} {row['accuracy']:.3f} "
            f"{row['preflight']} {row['doctor']}",
            file=sys.stderr,
        )
    found = rates(rows)
    if options.json:
        print(json.dumps(found))
        return
    for way in ("preflight", "doctor", "both"):
        print(way, {name: each["value"] for name, each in found[way].items()})


if __name__ == "__main__":
    main()
