"""How often doctor and preflight find injected faults, and how often they cry wolf.

    python benchmarks/faults/run.py [--json] [--quick] [--shard K/N] [--out FILE] [--minutes M]

Every run is a training of some seconds, checked before and diagnosed after. Finished runs are kept
in FILE, one JSON object a line, so that a run of this script that was cut goes on where it stopped;
shards write files of their own (FILE.K), and --json without --shard reads all of them.

It says the share of faults about which any check or finding spoke (hit), which it called by a right
name (named), and of healthy runs about which an alarm was given (false alarm), with Wilson's 95%
intervals, for preflight, doctor and both; then the matrix. Doctor is what it says of a run at its
end; alarms that healthy runs had while they trained are counted apart (`live`, and
`live_false_alarm_rate` on top), a device that waits for its data among them. The figures on top are
those of settings that no rule was tuned on; with --quick, which has the digits only, they are the
digits'.

A fault counts if it costs 2 points of test accuracy, or 3 standard deviations, against its healthy
twin, or if the corpus lists it as silent. What is in doubt is left out of the rates, not forgotten:
`harmless` names it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from benchmarks.faults.corpus import FAULTS, HEALTHY, Around, Case
from benchmarks.faults.rates import Row, rates
from benchmarks.faults.settings import KINDS, SETTINGS, Make, Setting, healthy, thinned

from striate import doctor, train
from striate.errors import NotFiniteError, StriateError
from striate.train.prepare import prepare

KEPT = Path(tempfile.gettempdir()) / "striate-faults"


class Job(NamedTuple):
    """One run of the corpus: a case on a network and a setting, with a seed."""

    case: Case
    setting: str
    kind: str
    seed: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells it from the others."""
        return self.case.name, self.setting, self.kind, self.seed

    @property
    def place(self) -> str:
        """A folder's name of its own."""
        return "-".join(map(str, self.key)).replace(" ", "_")


def jobs(quick: bool) -> list[Job]:
    """Return all runs, those of the first seed first, in an order drawn once.

    Networks take turns, so that over three seeds a fault meets all three on each setting; a healthy
    recipe meets all of them with every seed. --quick: 30 faults and 60 healthy runs, on the digits.
    """
    kinds, faults, well = list(KINDS), list[Job](), list[Job]()
    for seed in range(3):
        for place, setting in enumerate(SETTINGS):
            for number, case in enumerate(FAULTS):
                turn = (number + place + seed) % len(case.kinds)
                faults.append(Job(case, setting, case.kinds[turn], seed))
            well += [Job(case, setting, kind, seed) for case in HEALTHY for kind in kinds]
    if quick:
        return faults[:30] + [job for job in well if job.setting == "digits"][:60]
    both = faults + well
    random.Random(0).shuffle(both)  # so that a part of them is a fair sample
    return sorted(both, key=lambda job: job.seed)


def run_one(job: Job, keep: Path | None = None) -> Row:
    """Check, train and diagnose one case."""
    setting, case = SETTINGS[job.setting], job.case
    make = Make(job.kind, setting.shape)
    around = Around(setting, make, lambda: trained(setting, job.kind))
    recipe = case.change(healthy(setting, make(), job.seed), around)
    dataset = thinned(setting, job.seed)
    if case.spoil is not None:
        dataset = case.spoil(dataset, np.random.default_rng(job.seed))
    accuracy, began = 0.0, time.perf_counter()
    said = list[str]()  # while it trains, as `striate train` does
    with tempfile.TemporaryDirectory() as folder, case.code():
        checks = doctor.preflight(recipe, prepare(recipe, dataset))
        checked = time.perf_counter()
        live = doctor.Live(Path(folder) / "run", lambda finding: said.append(finding.finding))
        try:
            result = train.train(
                recipe,
                out=Path(folder) / "run",
                dataset=dataset,
                plan="default",
                observers=(live,),
            )
            accuracy = result.test.accuracy if result.test else 0.0
        except NotFiniteError:
            pass
        findings = doctor.diagnose(Path(folder) / "run")
        ended = time.perf_counter()
        if keep is not None:
            shutil.rmtree(keep / job.place, ignore_errors=True)  # of a run that was cut
            heavy = shutil.ignore_patterns("*.safetensors", "checkpoints", "figures")
            shutil.copytree(Path(folder) / "run", keep / job.place, ignore=heavy)
    return Row(
        case=case.name,
        setting=job.setting,
        network=job.kind,
        seed=job.seed,
        accuracy=accuracy,
        preflight=[each.check for each in checks if each.verdict == "fail"],
        doctor=[each.finding for each in findings if each.confidence >= doctor.SURE],
        notes=[each.finding for each in findings if each.confidence < doctor.SURE],
        preflight_seconds=checked - began,
        seconds=ended - began,
        live=said,
    )


def trained(setting: Setting, kind: str) -> Path:
    """Return a healthy run of a network, trained once and kept, for others to begin with."""
    path = KEPT / f"{setting.name}-{kind}"
    if not path.exists():
        made = Make(kind, setting.shape)()
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            train.train(
                healthy(setting, made, 1000),
                out=run,
                dataset=thinned(setting, 1000),
                plan="default",
            )
            KEPT.mkdir(exist_ok=True)
            if not path.exists():
                run.rename(path)
    return path


def asked_again(row: Row, keep: Path) -> Row:
    """Return a row with what the doctor says today of what the run wrote."""
    place = keep / "-".join(map(str, row.key)).replace(" ", "_")
    if not place.is_dir():
        return row
    findings = doctor.diagnose(place)
    return row._replace(
        doctor=[each.finding for each in findings if each.confidence >= doctor.SURE],
        notes=[each.finding for each in findings if each.confidence < doctor.SURE],
    )


def read(kept: Path | None) -> list[dict[str, Any]]:
    """Return what is done already, of all shards."""
    files = sorted(kept.parent.glob(f"{kept.name}.[0-9]*")) if kept else []
    lines = (line for file in files for line in file.read_bytes().splitlines(keepends=True))
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def add(kept: Path | None, part: int, row: dict[str, Any]) -> None:
    """Add what is done to a shard's file."""
    if kept:
        with Path(f"{kept}.{part}").open("a") as file:
            file.write(json.dumps(row) + "\n")


def main() -> None:
    """Run what has not been run yet, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="30 faults, 60 healthy runs: digits")
    parser.add_argument("--shard", default="0/1", help="K/N: every Nth case, from the Kth")
    parser.add_argument("--out", type=Path, help="where finished runs are kept")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no run after so many")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--held-out", action="store_true", help="settings no rule was tuned on")
    parser.add_argument("--keep", type=Path, help="keep what runs wrote but weights; asked again")
    parser.add_argument("--setting", choices=list(SETTINGS), help="one data set only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, options.shard.split("/"))
    rows = [Row(**row) for row in read(options.out)]
    if options.keep:
        rows = [asked_again(row, options.keep) for row in rows]
    still = {job.key for job in jobs(quick=False)}
    rows = [row for row in rows if row.key in still]  # the corpus may have been mended
    done, until = {row.key for row in rows}, time.monotonic() + 60 * options.minutes
    for job in jobs(options.quick)[part::parts]:
        unasked = options.only not in job.case.name or options.setting not in (None, job.setting)
        unasked |= options.held_out and SETTINGS[job.setting].tuned_on
        if job.key in done or unasked or time.monotonic() > until:
            continue
        try:
            row = run_one(job, options.keep)
        except StriateError as error:
            sys.exit(f"{job.case.name} on {job.setting} ({job.kind}), seed {job.seed}: {error}")
        rows.append(row)
        add(options.out, part, row._asdict())
        said = " ".join([*row.preflight, "|", *row.doctor])
        place = f"{row.case:36.36} {row.setting[:7]:7} {row.network:6} {row.seed}"
        print(f"{place} {row.accuracy:.3f} {row.seconds:4.1f} s  {said}", file=sys.stderr)
    found = rates(rows)
    if options.json:
        print(json.dumps(found))
        return
    for way, each in found["configurations"].items():
        print(way, {name: figure["value"] for name, figure in each.items()})
    live = found["live"]
    print("live", {"false_alarm_rate": found["live_false_alarm_rate"]}, live["which"])
    for place, said in live["runs"].items():
        print(f"  {place}: {', '.join(said)}")
    if live["not_noted"]:
        print(f"  {live['not_noted']} healthy runs were made before live alarms were noted")


if __name__ == "__main__":
    main()
