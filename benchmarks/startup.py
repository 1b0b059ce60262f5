"""How soon the command answers: seconds of whole processes, and those of a bare interpreter.

python benchmarks/startup.py [--json] [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time

ROWS = (  # arguments, the seconds claimed
    ("--help", 0.25),
    ("design vgg16", 0.4),
    ("design resnet152", 0.6),
)


def seconds(*arguments: str) -> float:
    """Return the wall-clock seconds of one process of this interpreter."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> int:
    """Measure; leave with 1 where a median exceeds its claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    taken: dict[str, list[float]] = {row: [] for row, _ in ROWS}
    bare = []
    for _ in range(given.rounds):
        bare.append(seconds("-c", "pass"))
        for row, times in taken.items():
            times.append(seconds("-m", "striate", *row.split()))
    rows = [
        {"row": row, "seconds": round(statistics.median(taken[row]), 3), "claim": claim}
        for row, claim in ROWS
    ]
    document = {
        "machine": platform.machine(),
        "rounds": given.rounds,
        "interpreter": round(statistics.median(bare), 3),
        "rows": rows,
    }
    if given.json:
        print(json.dumps(document, indent=2))
    else:
        for each in rows:
            print(f"striate {each['row']:18} {each['seconds']:.3f} s   (claim {each['claim']} s)")
    return int(any(float(str(each["seconds"])) > float(str(each["claim"])) for each in rows))


if __name__ == "__main__":
    sys.exit(main())
