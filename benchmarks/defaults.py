"""What `striate train DATA` reaches by its defaults: test accuracy over seeds, and seconds.

    python benchmarks/defaults.py [digits] [mnist] [fashion_mnist] [natural=FOLDER] [--json]
                                  [--seeds 3] [--out FOLDER] [--budget 600] [--quick]

Every row is the test figure that the command prints, of the weights chosen on the validation part,
over seeds 0, 1, ... For the natural-image folder (train/<class>/, test/<class>/) the hand-written
`natural_baseline.py` runs in turn with ours, with the same images, the same threads and `--budget`
seconds. `--quick` trains the digits once.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

BASELINE = Path(__file__).parent / "natural_baseline.py"


def ours(data: str, seed: int, out: Path) -> tuple[float, float]:
    """Run the command as a user would; return test accuracy and seconds of training."""
    target = out / f"{Path(data).name}-{seed}"
    command = [sys.executable, "-m", "striate", "train", data, "--seed", str(seed)]
    document = _json([*command, "--out", str(target), "--json"])
    return document["test"]["accuracy"], document["seconds"]


def baseline(folder: str, seed: int, budget: float) -> tuple[float, float]:
    """Run the hand-written script; return test accuracy and seconds."""
    command = [sys.executable, str(BASELINE), folder, "--seed", str(seed)]
    document = _json([*command, "--seconds", str(budget)])
    return document["accuracy"], document["seconds"]


def row(data: str, seeds: int, out: Path, budget: float) -> dict[str, Any]:
    """Measure one data set over seeds; the baseline runs in turn where there is one."""
    name, _, folder = data.rpartition("=")
    mine, peer = [], []
    for seed in range(seeds):
        mine.append(ours(folder, seed, out))
        if name:
            peer.append(baseline(folder, seed, budget))
        print(f"{data} seed {seed}: ours {mine[-1]}, baseline {peer[-1:]}", file=sys.stderr)
    accuracies = [accuracy for accuracy, _ in mine]
    mean = statistics.mean(accuracies)
    peers = {"natural_baseline": statistics.mean(a for a, _ in peer)} if peer else {}
    return {
        "name": name or folder,
        "unit": "test accuracy",
        "ours": mean,
        "peers": peers,
        "best_peer": next(iter(peers), None),
        "ratio": mean / peers["natural_baseline"] if peers else None,
        "interval": [min(accuracies), max(accuracies)],
        "seeds": accuracies,
        "seconds": [seconds for _, seconds in mine],
        "peer_seeds": [accuracy for accuracy, _ in peer],
        "peer_seconds": [seconds for _, seconds in peer],
    }


def report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the document: claim, conditions, rows."""
    return {
        "claim": "test accuracy of `striate train DATA` by its defaults",
        "conditions": {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "chosen_on": "the validation part",
        },
        "rows": list(rows),
    }


def _json(command: list[str]) -> Any:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=600.0, help="the baseline's seconds")
    parser.add_argument(
        "--out", type=Path, help="where the runs go; a temporary folder unless given"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        chosen, seeds = (["digits"], 1) if options.quick else (options.data, options.seeds)
        document = report([row(each, seeds, out, options.budget) for each in chosen])
    if options.json:
        print(json.dumps(document, indent=2))
        return
    for each in document["rows"]:
        low, high = each["interval"]
        peers = "".join(f", {name} {100 * value:.2f}%" for name, value in each["peers"].items())
        seconds = max(each["seconds"])
        print(
            f"{each['name']}: {100 * each['ours']:.2f}% ({100 * low:.2f} to {100 * high:.2f}), "
            f"at most {seconds:.0f} s{peers}"
        )


if __name__ == "__main__":
    main()
