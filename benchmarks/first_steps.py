"""How long every first step takes: install, import, help, a label, a step of training, a page.

Each is a fresh process, and what is written down is the median of rounds; the rows take turns, so
that a slow minute meets all of them. `python -c "import torch"` stands beside them, since nothing
that computes can be sooner. Steps that compile kernels have two rows: with an empty cache folder,
as on the first day, and with what the first one left there.

python benchmarks/first_steps.py [--json] [--rounds 9] [--results FILE]
python benchmarks/first_steps.py --install       # also builds the wheel and installs it, once

`--install` takes a new virtual environment, the versions of constraints.txt, and what pip has in
its cache or finds; seconds therefore are those of unpacking where everything has been fetched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MEGABYTE = 1_000_000
CLAIMS = {  # seconds
    "import striate": 0.15,
    "striate --help": 0.25,
    "striate design vgg16": 0.4,
    "striate design resnet152": 0.6,
}
TORCHS = ("torch", "functorch", "torchgen", "sympy", "networkx", "mpmath", "jinja2", "fsspec")
TORCHS += ("filelock", "markupsafe", "typing_extensions", "setuptools", "_distutils_hack", "isympy")


def seconds(*arguments: str, cache: Path | None = None) -> float:
    """Return the wall-clock seconds of one process of this interpreter."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], capture_output=True, check=True, env=_environment(cache)
    )
    return time.perf_counter() - began


def _environment(cache: Path | None) -> dict[str, str]:
    place = {"XDG_CACHE_HOME": str(cache)} if cache else {}
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), **place}


@contextmanager
def started(*arguments: str, cache: Path) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """Run the command; give the process, and when it was started."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "striate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(cache),
    )
    try:
        yield process, began
    finally:
        process.terminate()
        process.communicate()


def step(cache: Path) -> float:
    """Return the seconds until a training on the digits has written its first step down."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        with started("train", "digits", "--out", str(run), cache=cache) as (process, began):
            while process.poll() is None:
                history = run / "history.jsonl"
                if history.exists() and '"kind":"step"' in history.read_text().replace(" ", ""):
                    return time.perf_counter() - began
                time.sleep(0.005)
    raise SystemExit("The training ended without a step.")


def page(runs: Path, cache: Path) -> float:
    """Return the seconds until the page is answered."""
    with started("view", str(runs), "--port", "0", "--json", cache=cache) as (process, began):
        said = ""
        while not said.rstrip().endswith("}"):
            said += process.stdout.readline()  # type: ignore[union-attr]
        with urllib.request.urlopen(json.loads(said)["url"], timeout=60) as answer:
            answer.read()
        return time.perf_counter() - began


def steps(folder: Path) -> dict[str, Callable[[], float]]:
    """Return what is measured, by name, once there are a run and an image."""
    from PIL import Image

    run, image, warm = folder / "runs" / "digits-001", folder / "one.png", folder / "cache"
    subprocess.run(
        [sys.executable, "-m", "striate", "train", "digits", "--set", "epochs=1"]
        + ["--out", str(run)],
        check=True,
        capture_output=True,
        env=_environment(warm),
    )
    Image.linear_gradient("L").resize((8, 8)).save(image)
    predict = ("-m", "striate", "predict", str(run), str(image))

    def cold(work: Callable[[Path], float]) -> float:
        with tempfile.TemporaryDirectory() as empty:
            return work(Path(empty))

    return {
        "interpreter": lambda: seconds("-c", "pass"),
        "import striate": lambda: seconds("-c", "import striate"),
        "striate --help": lambda: seconds("-m", "striate", "--help"),
        "striate design vgg16": lambda: seconds("-m", "striate", "design", "vgg16"),
        "striate design resnet152": lambda: seconds("-m", "striate", "design", "resnet152"),
        "import torch": lambda: seconds("-c", "import torch"),
        "first prediction, first day": lambda: cold(lambda empty: seconds(*predict, cache=empty)),
        "first prediction": lambda: seconds(*predict, cache=warm),
        "first training step, first day": lambda: cold(step),
        "first training step": lambda: step(warm),
        "first page": lambda: page(folder / "runs", warm),
    }


# --------------------------------------------------------------------------------------- install


def install(folder: Path) -> dict[str, Any]:
    """Build the wheel and install it where nothing is; return seconds and megabytes."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True
    )
    (wheel,) = folder.glob("striate-*.whl")
    venv.create(folder / "bare", with_pip=True)
    inside = folder / "bare" / ("Scripts" if os.name == "nt" else "bin")
    python = inside / "python"
    before = _packages(python)
    began = time.perf_counter()
    subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        + ["-c", str(ROOT / "constraints.txt"), str(wheel)],
        check=True,
    )
    taken = time.perf_counter() - began
    added = _packages(python) - before
    torch = sum(size for name, size in added.items() if name in TORCHS)
    rest = {name: size for name, size in added.most_common() if name not in TORCHS}
    return {
        "seconds": round(taken, 1),
        "wheel_megabytes": round(wheel.stat().st_size / MEGABYTE, 2),
        "torch_megabytes": round(torch / MEGABYTE, 1),
        "rest_megabytes": round(sum(rest.values()) / MEGABYTE, 1),
        "packages": {name: round(size / MEGABYTE, 1) for name, size in rest.items()},
    }


def _packages(python: Path) -> Counter[str]:
    """Return the bytes of each distribution's folders in an environment, by what is imported."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = Path(subprocess.check_output([str(python), "-c", code], text=True).strip())
    sizes: Counter[str] = Counter()
    for path in place.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            top = path.relative_to(place).parts[0]
            name = top.split("-")[0].split(".")[0].lower()
            sizes[name] += path.stat().st_size
    return sizes


# -------------------------------------------------------------------------------------- document


def main() -> int:
    """Measure; leave with 1 where a median exceeds its claim."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--results", type=Path, help="write the document there too")
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    with tempfile.TemporaryDirectory(prefix="first-") as name:
        work = steps(Path(name))
        taken: dict[str, list[float]] = {row: [] for row in work}
        for _ in range(rounds):
            for row, measure in work.items():
                taken[row].append(measure())
        installed = install(Path(name)) if given.install else None
    document: dict[str, Any] = {
        "claim": "nobody waits for what they did not ask for",
        "conditions": {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "rounds": rounds,
        },
        "rows": [
            {
                "row": row,
                "seconds": round(statistics.median(times), 3),
                "claim": CLAIMS.get(row),
                "quartiles": [round(each, 3) for each in _quartiles(times)],
            }
            for row, times in taken.items()
        ],
    }
    if installed:
        document["install"] = installed
    text = json.dumps(document, indent=1)
    if given.results:
        given.results.write_text(text + "\n", encoding="utf-8")
    print(text if given.json else _table(document))
    return int(any(each["claim"] and each["seconds"] > each["claim"] for each in document["rows"]))


def _quartiles(times: list[float]) -> tuple[float, float]:
    if len(times) < 2:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, n=4)
    return low, high


def _table(document: dict[str, Any]) -> str:
    lines = []
    for each in document["rows"]:
        claim = f"   (claim {each['claim']} s)" if each["claim"] else ""
        lines.append(f"{each['row']:32} {each['seconds']:7.3f} s{claim}")
    if installed := document.get("install"):
        lines.append(f"{'install':32} {installed['seconds']:7.1f} s")
        lines.append(f"{'torch and what it needs':32} {installed['torch_megabytes']:7.1f} MB")
        lines.append(f"{'striate and the rest':32} {installed['rest_megabytes']:7.1f} MB")
        for name, size in list(installed["packages"].items())[:8]:
            lines.append(f"    {name:28} {size:7.1f} MB")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
