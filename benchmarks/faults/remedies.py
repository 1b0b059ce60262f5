"""Do the doctor's remedies beat doing nothing, and do experiments say what full runs show?

    python benchmarks/faults/remedies.py [--json] [--out FILE] [--shard K/N] [--minutes M]

For every fault of the corpus that preflight lets pass (what it finds is to be mended first) and
whose surest finding has a remedy that is a setting, the experiment is made as `striate doctor RUN
--experiment` makes it: control and remedy from one place, on the same batches, three seeds. Then,
for some drawn at random, the whole training is done again with the remedy, and its best validation
loss compared with the first one's: a claim of "better" holds if it is lower, one of "worse" if it
is higher. Finished experiments are kept in FILE, a JSON object a line (shards write FILE.K), and a
run that was cut goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from benchmarks.faults.corpus import Around
from benchmarks.faults.run import Job, add, jobs, read, trained
from benchmarks.faults.settings import SETTINGS, Make, healthy, thinned

from striate import doctor, runs, train
from striate.errors import NotFiniteError
from striate.inference.metrics import wilson
from striate.records import with_settings
from striate.train.prepare import prepare

_STEPS = 60


def tried(job: Job) -> dict[str, Any]:
    """Train a faulty run, try the surest remedy, and train again with it."""
    setting = SETTINGS[job.setting]
    around = Around(setting, Make(job.kind, setting.shape), lambda: trained(setting, job.kind))
    recipe = job.case.change(healthy(setting, around.make(), job.seed), around)
    dataset = thinned(setting, job.seed)
    if job.case.spoil is not None:
        dataset = job.case.spoil(dataset, np.random.default_rng(job.seed))
    row: dict[str, Any] = {"key": list(job.key), "finding": None}
    with tempfile.TemporaryDirectory() as folder, job.case.code():
        checks = doctor.preflight(recipe, prepare(recipe, dataset))
        if any(each.verdict == "fail" for each in checks):
            return row
        first = _best(recipe, Path(folder) / "first", dataset)
        found = [each for each in doctor.diagnose(Path(folder) / "first") if each.settings]
        found = [each for each in found if each.confidence >= doctor.SURE]
        if not found:
            return row
        again = doctor.experiment(Path(folder) / "first", found[0], steps=_STEPS, dataset=dataset)
        row |= {"finding": found[0].finding, "settings": found[0].settings}
        row |= {"verdict": again.verdict, "text": again.text, "first": first}
        treated = with_settings(recipe, list(found[0].settings))
        row["second"] = _best(treated, Path(folder) / "second", dataset)
    return row


def _best(recipe: train.Recipe, path: Path, dataset: Any) -> float | None:
    """Train and return the best validation loss; None where none was finite."""
    try:
        train.train(recipe, out=path, dataset=dataset, plan="default")
    except NotFiniteError:
        pass
    losses = [line["loss"] for line in runs.open(path).history("validation")]
    finite = [each for each in losses if each is not None and math.isfinite(each)]
    return min(finite, default=None)


def holds(row: dict[str, Any]) -> bool:
    """Tell whether a full training with the remedy shows what the experiment claims."""
    first, second = (math.inf if row[k] is None else row[k] for k in ("first", "second"))
    if row["verdict"] == "no difference":
        if not (math.isfinite(first) and math.isfinite(second)):
            return first == second
        return abs(math.log(max(second, 1e-9) / max(first, 1e-9))) < 0.1
    return second < first if row["verdict"] == "better" else second > first


def figures(rows: list[dict[str, Any]], reruns: int) -> dict[str, Any]:
    """Return both shares with their intervals."""
    made = [row for row in rows if row["finding"]]
    better = sum(row["verdict"] == "better" for row in made)
    drawn = random.Random(0).sample(made, min(reruns, len(made)))
    true = sum(map(holds, drawn))
    by_finding: dict[str, list[int]] = {}
    for row in made:
        line = by_finding.setdefault(row["finding"], [0, 0])
        line[0] += row["verdict"] == "better"
        line[1] += 1
    return {
        "better_rate": better / len(made) if made else None,
        "better": [better, len(made), *(wilson(better, len(made)) if made else ())],
        "claims_hold": [true, len(drawn), *(wilson(true, len(drawn)) if drawn else ())],
        "by_finding": by_finding,
        "no_setting_to_try": sum(not row["finding"] for row in rows),
    }


def main() -> None:
    """Make the experiments that have not been made, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="where finished experiments are kept")
    parser.add_argument("--shard", default="0/1", help="K/N: every Nth case, from the Kth")
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--reruns", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, options.shard.split("/"))
    rows = read(options.out)
    done = {tuple(row["key"]) for row in rows}
    until = time.monotonic() + 60 * options.minutes
    faulty = [job for job in jobs(quick=False) if job.case.names]
    for job in faulty[part::parts]:
        if job.key in done or time.monotonic() > until:
            continue
        rows.append(tried(job))
        add(options.out, part, rows[-1])
        print(" ".join(map(str, job.key)), rows[-1].get("text"), file=sys.stderr)
    found = figures(rows, options.reruns)
    print(json.dumps(found) if options.json else found)


if __name__ == "__main__":
    main()
