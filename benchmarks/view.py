"""How soon the page answers: its start, its first paint, and the answers of a ResNet-18's layers.

The server is `striate view` as a user starts it, on a folder with a ResNet-18 for 224x224 images
and a run on the digits. Rows:

- start: from the start of the process to the first answer, to the list of runs, and to the first
  grid of answers, which needs torch; beside them a bare `import torch` of the same round;
- paint: Chromium's first contentful paint, in a new context each time, and until the runs show;
- grid: a layer's answers to an image that was not asked about before, over HTTP; beside it the
  forward pass to that layer alone, in the server's number of threads, of the same round. The
  processor time of a grid, over all threads of the server, is given too: other work on the machine
  hardly changes that, and seconds cannot be fewer than a core's share of it.

    python benchmarks/view.py [--json] [--rounds 7] [--chromium /usr/bin/chromium]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PAINT, GRID = 1.0, 0.3  # seconds claimed
LAYERS = ("conv1", "layer1.1.relu1", "layer2.1.relu1", "layer3.1.relu1", "layer4.1.relu1", "fc")


def make_runs(folder: Path) -> None:
    """Write a bundle of a ResNet-18 with random weights, and a run on the digits."""
    from published import published

    from striate import data, export, recipes, train, zoo
    from striate.layers import build

    net = build(zoo.network("resnet18"), seed=0)
    weights = published(net, folder / "weights")
    export.export(weights, to="safetensors", out=folder / "resnet18")
    recipe = recipes.make("auto", data.open("digits"), settings=("epochs=2",))
    train.train(recipe, out=folder / "digits-001")


def picture(number: int) -> bytes:
    """Return a JPEG of 375x500, about as detailed as a photograph."""
    source = np.random.default_rng(number)
    coarse = Image.fromarray(source.integers(0, 256, (24, 32, 3), np.uint8))
    file = io.BytesIO()
    coarse.resize((500, 375), Image.Resampling.BICUBIC).save(file, "jpeg", quality=90)
    return file.getvalue()


def ask(url: str, body: bytes | None = None) -> Any:
    """Return what is answered, decoded where it is JSON."""
    with urllib.request.urlopen(url, body, timeout=120) as answer:
        content = answer.read()
        kind = answer.headers.get_content_type()
    return json.loads(content) if kind == "application/json" else content


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, float, int]]:
    """Run `striate view`; give its address, when the process was started, and its number."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "striate", "view", str(folder), "--port", "0", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    said = ""
    try:
        while not said.rstrip().endswith("}"):
            said += process.stdout.readline()  # type: ignore[union-attr]
        yield json.loads(said)["url"].rstrip("/"), began, process.pid
    finally:
        process.terminate()
        process.wait()


def start(folder: Path, layer: str) -> dict[str, float]:
    """Return the seconds from a fresh start to what is asked first."""
    taken = {}
    with serving(folder) as (url, began, _):
        ask(f"{url}/")
        taken["first answer"] = time.perf_counter() - began
        ask(f"{url}/api/runs")
        taken["list of runs"] = time.perf_counter() - began
        image = ask(f"{url}/api/pictures", picture(0))["image"]
        ask(f"{url}/api/runs/resnet18/activations?layer={layer}&image={image}")
        taken["first grid"] = time.perf_counter() - began
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    taken["import torch"] = time.perf_counter() - began
    return taken


def paint(browser: Any, url: str) -> dict[str, float]:
    """Return the seconds to the first contentful paint, and until the runs are there."""
    context = browser.new_context()
    tab = context.new_page()
    began = time.perf_counter()
    tab.goto(url)
    tab.locator(".runs li").first.wait_for()
    whole = time.perf_counter() - began
    first = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    return {"first paint": first / 1000, "runs": whole}


def forward(net: Any, layer: str) -> float:
    """Return the seconds of a forward pass up to a layer."""
    import torch

    from striate.explain.walk import walk

    began = time.perf_counter()
    with torch.no_grad():
        walk(net, torch.rand(1, 3, 224, 224), (layer,))
    return time.perf_counter() - began


def processor(process: int) -> float:
    """Return the seconds of processor time that a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def grids(url: str, process: int, rounds: int) -> dict[str, list[tuple[float, float, float]]]:
    """Return for each layer the seconds of its grid, its processor time, the forward pass alone."""
    from striate import zoo
    from striate.layers import build

    net = build(zoo.network("resnet18"), seed=0).eval()
    found: dict[str, list[tuple[float, float, float]]] = {layer: [] for layer in LAYERS}
    for turn in range(rounds + 1):  # the first is not counted
        for number, layer in enumerate(LAYERS):
            image = ask(f"{url}/api/pictures", picture(100 * turn + number))["image"]
            worked, began = processor(process), time.perf_counter()
            ask(f"{url}/api/runs/resnet18/activations?layer={layer}&image={image}")
            taken, worked = time.perf_counter() - began, processor(process) - worked
            if turn:
                found[layer].append((taken, worked, forward(net, layer)))
    return found


def measure(rounds: int, chromium: str | None) -> list[dict[str, Any]]:
    """Return a row for everything that is measured: median, quartiles, claim."""
    found: list[dict[str, Any]] = []

    def row(name: str, seconds: list[float], claim: float | None = None, **more: Any) -> None:
        low, middle, high = (float(np.quantile(seconds, share)) for share in (0.25, 0.5, 0.75))
        found.append({"row": name, "seconds": round(middle, 3), "claim": claim, **more,
                      "quartiles": [round(low, 3), round(high, 3)]})  # fmt: skip

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_runs(folder)
        starts = [start(folder, LAYERS[0]) for _ in range(rounds)]
        for name in starts[0]:
            row(f"start: {name}", [each[name] for each in starts])
        with serving(folder) as (url, _, process):
            if chromium is not None:
                from playwright.sync_api import sync_playwright

                with sync_playwright() as driver:
                    browser = driver.chromium.launch(
                        executable_path=chromium, args=["--no-sandbox"]
                    )
                    paints = [paint(browser, url) for _ in range(rounds)]
                    browser.close()
                row("paint: first", [each["first paint"] for each in paints], PAINT)
                row("paint: runs", [each["runs"] for each in paints])
            asked = grids(url, process, rounds)
    for layer, times in asked.items():
        page, worked, alone = zip(*times, strict=True)
        share = statistics.median(ours / bare for ours, _, bare in times)
        row(f"grid: {layer}", list(page), GRID, processor=round(statistics.median(worked), 3),
            forward=round(statistics.median(alone), 3), ratio=round(share, 2))  # fmt: skip
    return found


def main() -> int:
    """Measure; leave with 1 where a median exceeds its claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    rows = measure(given.rounds, given.chromium)
    if given.json:
        conditions = {"machine": platform.machine(), "cores": os.cpu_count(),
                      "load": round(os.getloadavg()[0], 1), "rounds": given.rounds}  # fmt: skip
        print(json.dumps({"claim": "the page is quick", "conditions": conditions, "rows": rows}))
    else:
        for each in rows:
            claim = f"   (claim {each['claim']} s)" if each["claim"] else ""
            more = ("processor", "forward", "ratio")
            beside = "".join(f"   {name} {each[name]}" for name in more if name in each)
            print(f"{each['row']:24} {each['seconds']:.3f} s{claim}{beside}")
    return int(any(each["claim"] and each["seconds"] > each["claim"] for each in rows))


if __name__ == "__main__":
    sys.exit(main())
