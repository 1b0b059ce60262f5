"""How well the memory of training is forecast on paper, against what a step really takes.

For every network and batch a child process builds the net, takes a warm-up step and two more, and
reports its peak (resident memory on a CPU, allocated memory on a GPU) beyond what it held before
the network was built. The ratio is forecast to measured; the claim is at most 8% or 32 MB apart.

    python benchmarks/forecast.py [--json] [--quick] [--device cpu] [--precision float32]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from typing import Any

import torch

from striate import zoo
from striate.design.forecast import forecast
from striate.train import Trial, measure

ROWS = (  # network, batches, optimiser
    ("lenet", (64, 1024), "sgd"),
    ("alexnet", (16, 64), "sgd"),
    ("vgg11", (2, 8), "adamw"),
    ("squeezenet1_0", (4, 16), "sgd"),
    ("googlenet", (4, 16), "sgd"),
    ("nin_cifar", (32, 128), "sgd"),
    ("resnet20", (32, 128), "adam"),
    ("resnet18", (4, 16), "sgd"),
    ("resnet50", (2, 8), "adamw"),
    ("densenet121", (2, 8), "sgd"),
    ("mobilenet_v1", (4, 16), "sgd"),
    ("inception_v3", (2, 6), "sgd"),
)
RELATIVE, ABSOLUTE = 0.08, 32e6


def row(name: str, batch: int, optimiser: str, precision: Any, device: str) -> dict[str, Any]:
    """Forecast and measure one network at one batch."""
    network = zoo.network(name)
    paper = forecast(network, batch=batch, optimiser=optimiser, precision=precision).peak
    found = measure(
        Trial(
            network=network,
            batch=batch,
            optimiser=optimiser,
            precision=precision,
            device=device,
            seconds=0.0,
        )
    )
    if found is None:
        raise SystemExit(f"{name} at batch {batch} does not fit into this machine's memory.")
    miss = paper - found.peak
    return {
        "name": f"{name}_b{batch}",
        "unit": "bytes",
        "ours": paper,
        "peers": {"measured": found.peak},
        "best_peer": "measured",
        "ratio": round(paper / found.peak, 4),
        "interval": [miss, miss],
        "holds": abs(miss) <= max(RELATIVE * found.peak, ABSOLUTE),
    }


def main() -> None:
    """Print a line a row, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="three networks, the smaller batch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    asked = parser.parse_args()
    rows = []
    for name, batches, optimiser in ROWS[:8:3] if asked.quick else ROWS:
        for batch in batches[:1] if asked.quick else batches:
            rows.append(row(name, batch, optimiser, asked.precision, asked.device))
            last = rows[-1]
            print(
                f"{last['name']:22} forecast {last['ours'] / 1e6:8.1f} MB  measured "
                f"{last['peers']['measured'] / 1e6:8.1f} MB  {last['ratio']:.3f}"
                f"{'' if last['holds'] else '  MISSED'}",
                file=sys.stderr,
                flush=True,
            )
    if asked.json:
        conditions = {
            "device": asked.device,
            "precision": asked.precision,
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "bound": "8% or 32 MB",
        }
        claim = "peak memory of a training step is known on paper"
        print(json.dumps({"claim": claim, "conditions": conditions, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
