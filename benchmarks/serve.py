"""Serving a ResNet-18 at 224: ours, LitServe, and a plain FastAPI server with eager PyTorch.

All have the same weights, the same preparation (ours: decoding is not what is compared), batches of
at most eight with the same deadline, the same cores and the same environment; requests are forms
with one JPEG each. The load generator runs on the same cores. The servers take turns, several
rounds of some seconds each, and the ratio is of images a second, to the best peer. The processor
time of an image, over all processes of a server, is given too: other work hardly changes that.

    python benchmarks/serve.py [--json] [--quick] [--rounds 4] [--seconds 4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from serve_peers import BATCH, DEADLINE, cores

PEERS = Path(__file__).with_name("serve_peers.py")
CLIENTS = {"resnet18_224_c32": 32, "resnet18_224_c8": 8, "resnet18_224_c1": 1}
SERVERS = ("ours", "litserve", "fastapi_eager")
BOUNDARY = "striate-benchmark"


# -- what is served --------------------------------------------------------------------------------


def make_bundle(folder: Path) -> None:
    """Write an export bundle of a ResNet-18 with random weights."""
    import torch
    from published import published

    from striate import export, zoo
    from striate.layers import build

    torch.manual_seed(0)
    net = build(zoo.network("resnet18"), seed=0)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.8, 1.25)
    weights = published(net, folder / "weights")
    export.export(weights, to="safetensors", out=folder / "bundle")


def make_images(folder: Path, count: int = 16) -> None:
    """Write JPEGs of 375x500, about as detailed as photographs."""
    from PIL import Image

    source = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(source.integers(0, 256, (24, 32, 3), np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + source.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:02d}.jpg", quality=85)


# -- the load --------------------------------------------------------------------------------------


async def _client(
    port: int, bodies: list[bytes], until: float, taken: list[float], codes: dict[int, int]
) -> None:
    """Ask over one connection, one request after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    place = id(taken) % len(bodies)
    try:
        while time.monotonic() < until:
            place = (place + 7) % len(bodies)
            began = time.monotonic()
            writer.write(bodies[place])
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            lines = head.lower().split(b"\r\n")
            length = next(int(each[15:]) for each in lines if each.startswith(b"content-length:"))
            await reader.readexactly(length)
            codes[status] = codes.get(status, 0) + 1
            if status == 200:
                taken.append(time.monotonic() - began)
            else:
                await asyncio.sleep(0.05)
    finally:
        writer.close()


def load(port: int, folder: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Ask from so many clients at once, for so long."""
    bodies = []
    for path in sorted(folder.glob("*.jpg")):
        content = path.read_bytes()
        form = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()  # fmt: skip
        head = (
            "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        )
        bodies.append(head.encode() + form)

    async def all_of_them() -> tuple[list[float], dict[int, int], float]:
        taken: list[float] = []
        codes: dict[int, int] = {}
        began = time.monotonic()
        await asyncio.gather(
            *(_client(port, bodies, began + seconds, taken, codes) for _ in range(clients))
        )
        return taken, codes, time.monotonic() - began

    taken, codes, lasted = asyncio.run(all_of_them())
    return {"taken": taken, "codes": codes, "seconds": lasted}


# -- the comparison --------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def start(name: str, bundle: Path, errors: Any) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server in a process group of its own."""
    port = free_port()
    command = [sys.executable, str(PEERS), name, "--bundle", str(bundle)]
    if name == "ours":
        command = [sys.executable, "-m", "striate", "serve", str(bundle), "--quiet"]
        command += ["--batch", str(BATCH), "--deadline", str(1000 * DEADLINE), "--max-wait", "60"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        start_new_session=True,
        stdout=errors,
        stderr=errors,
        env={**os.environ, "GOMP_SPINCOUNT": "10000"},
    )
    return process, port


def until_ready(name: str, process: subprocess.Popen[bytes], port: int) -> float:
    """Wait for a server's first answer; return the seconds."""
    began = time.monotonic()
    path = "ready" if name == "ours" else "health"
    while time.monotonic() - began < 300:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=2):
                return time.monotonic() - began
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{name} did not become ready")


def ask(port: int, folder: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Put load on a server from a process of its own."""
    command = [sys.executable, __file__, "--load", str(port), "--images", str(folder)]
    command += ["--clients", str(clients), "--seconds", str(seconds)]
    return json.loads(subprocess.check_output(command))


def warm_up(port: int, folder: Path) -> None:
    """Ask until there are answers: workers may still be starting."""
    for _ in range(20):
        if len(ask(port, folder, 8, 2.0)["taken"]) > 8:
            return


def processor_seconds(group: int) -> float:
    """Return the processor time that a process group has taken so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def row(name: str, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one row of the document."""
    rates = {
        server: [len(each["taken"]) / each["seconds"] for each in rounds]
        for server, rounds in results.items()
    }
    medians = {server: statistics.median(each) for server, each in rates.items()}
    best = max((each for each in medians if each != "ours"), key=medians.__getitem__)
    ratios = [mine / theirs for mine, theirs in zip(rates["ours"], rates[best], strict=True)]
    latency = {
        server: dict(
            zip(
                ("p50", "p95", "p99"),
                (
                    round(1000 * float(each), 1)
                    for each in np.percentile([t for r in rounds for t in r["taken"]], (50, 95, 99))
                ),
                strict=True,
            )
        )
        for server, rounds in results.items()
    }
    codes = {
        server: {c: sum(r["codes"].get(c, 0) for r in rounds) for c in {*rounds[0]["codes"]}}
        for server, rounds in results.items()
    }
    return {
        "name": name,
        "unit": "images/s",
        "ours": round(medians["ours"], 2),
        "peers": {each: round(value, 2) for each, value in medians.items() if each != "ours"},
        "best_peer": best,
        "ratio": round(medians["ours"] / medians[best], 3),
        "interval": [round(min(ratios), 3), round(max(ratios), 3)],
        "latency_ms": latency,
        "processor_ms": {
            server: round(
                1000
                * sum(r["processor"] for r in rounds)
                / max(sum(len(r["taken"]) for r in rounds), 1),
                2,
            )
            for server, rounds in results.items()
        },
        "codes": codes,
    }


def compare(rounds: int, seconds: float, names: list[str]) -> list[dict[str, Any]]:
    """Measure every row."""
    with tempfile.TemporaryDirectory() as place, open(Path(place) / "log", "wb") as errors:
        folder = Path(place)
        make_bundle(folder)
        make_images(folder)
        running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        try:
            for name in SERVERS:  # one by one: ours may have to measure its plans first
                running[name] = start(name, folder / "bundle", errors)
                taken = until_ready(name, *running[name])
                print(f"# {name} is ready after {taken:.1f} s", file=sys.stderr)
            for _, port in running.values():
                warm_up(port, folder)
            found = []
            for each in names:
                results: dict[str, list[dict[str, Any]]] = {name: [] for name in SERVERS}
                for number in range(rounds):
                    order = SERVERS if number % 2 else SERVERS[::-1]
                    for name in order:
                        process, port = running[name]
                        before = processor_seconds(process.pid)
                        asked = ask(port, folder, CLIENTS[each], seconds)
                        if not asked["taken"]:
                            raise RuntimeError(f"{name} answered nobody: {asked['codes']}")
                        asked["processor"] = processor_seconds(process.pid) - before
                        results[name].append(asked)
                found.append(row(each, results))
                print(f"# {json.dumps(found[-1])}", file=sys.stderr)
            return found
        except RuntimeError:
            print((folder / "log").read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            for kind in (signal.SIGTERM, signal.SIGKILL):
                for process, _ in running.values():
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, kind)
                time.sleep(2)


def main() -> None:
    """Measure, or play one of the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute: one row")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0)
    for hidden in ("--load", "--clients"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        print(json.dumps(load(given.load, given.images, given.clients, given.seconds)))
        return
    rounds, names = (2, [*CLIENTS][:1]) if given.quick else (given.rounds, [*CLIENTS])
    rows = compare(rounds, given.seconds, names)
    if not given.json:
        for each in rows:
            print(
                f"{each['name']}: {each['ours']} images/s, {each['ratio']} of {each['best_peer']}"
            )
        return
    import torch

    document = {
        "claim": "A network is served faster than by LitServe or FastAPI with PyTorch.",
        "conditions": {
            "cores": cores(),
            "cpu": platform.processor() or platform.machine(),
            "torch": str(torch.__version__),
            "batch": BATCH,
            "deadline_ms": 1000 * DEADLINE,
            "rounds": rounds,
            "seconds": given.seconds,
            "load": "on the same cores, so many clients (c) in a closed loop",
        },
        "rows": rows,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
