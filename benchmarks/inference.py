"""Whole networks, fused and planned, against everything else that runs them on a CPU.

Peers: PyTorch eager in both layouts, torch.compile with freezing (needs a C++ compiler), ONNX
Runtime, OpenVINO; those that are not installed are left out, and said. All have the same weights,
the same threads and float32; calls are interleaved, one of each a round, and the ratio is that to
the best peer of the row: of the medians, with the quartiles of the ratios of the rounds. Every
answer is compared with eager's in the same run.

The allocator of the process keeps freed memory (see `engine.memory`), for PyTorch's own rows too:
they are faster here than in a process of their own.

    python benchmarks/inference.py [--json] [--quick] [--only resnet18_b8] [--plan default]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from striate import zoo
from striate.engine import accelerate
from striate.layers import Net, build
from striate.ops import machine

ROWS = {
    f"{name}_b{batch}": (name, batch)
    for name, batches in {
        "vgg16": (1, 4),
        "resnet18": (1, 8),
        "resnet50": (1, 8),
        "googlenet": (1, 8),
        "alexnet": (1, 8),
        "densenet121": (1, 8),
        "squeezenet1_0": (1, 8),
        "mobilenet_v1": (1, 8),
    }.items()
    for batch in batches
}
QUICK = ("resnet18_b8", "squeezenet1_0_b8")
Run = Callable[[], Any]


def awake(net: Net) -> Net:
    """Give batch-norms running statistics, as if trained, so that folding them is no empty act."""
    source = torch.Generator().manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1, generator=source)
            part.running_var.uniform_(0.8, 1.25, generator=source)
    return net.eval()


def peers(net: Net, images: Tensor, folder: Path, quick: bool) -> dict[str, Run]:
    """Return a call of each peer that is installed."""
    import copy

    last = images.contiguous(memory_format=torch.channels_last)
    net_last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    found: dict[str, Run] = {
        "eager": lambda: net(images),
        "eager_channels_last": lambda: net_last(last),
    }
    makers: dict[str, Callable[[], Run]] = {
        "onnxruntime": lambda: onnxruntime_peer(net, images, folder),
        "openvino": lambda: openvino_peer(net, images, folder),
    }
    if not quick:
        makers["compile_freezing"] = lambda: compile_peer(net_last, last)
    for name, make in makers.items():
        try:
            found[name] = make()
        except Exception as error:  # a peer that does not work here is no reason to stop
            print(f"# without {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
    return found


def compile_peer(net: Net, images: Tensor) -> Run:
    """Return torch.compile's net with its weights frozen."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    compiled = torch.compile(net)
    compiled(images)
    return lambda: compiled(images)


def exported(net: Net, images: Tensor, folder: Path) -> Path:
    """Return the network as an ONNX file, written once."""
    path = folder / "net.onnx"
    if not path.exists():
        torch.onnx.export(net, (images,), path, dynamo=True, verbose=False, optimize=True)
    return path


def onnxruntime_peer(net: Net, images: Tensor, folder: Path) -> Run:
    """Return ONNX Runtime's session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        str(exported(net, images, folder)), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: images.numpy()}
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def openvino_peer(net: Net, images: Tensor, folder: Path) -> Run:
    """Return OpenVINO's compiled model."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Core().compile_model(exported(net, images, folder), "CPU", settings)
    request, pixels = model.create_infer_request(), images.numpy()
    return lambda: torch.from_numpy(request.infer([pixels], share_inputs=True)[0].copy())


def measure(name: str, plan: str, quick: bool, rounds: int) -> dict[str, Any]:
    """Return one row of the benchmark's document."""
    kind, batch = ROWS[name]
    torch.manual_seed(0)
    net = awake(build(zoo.network(kind)))
    images = torch.randn(batch, *net.network.input_shape)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        fast = ours(net, images, plan)
        runs: dict[str, Run] = {"ours": lambda: fast(images)}
        runs |= peers(net, images, Path(folder), quick)
        expected = runs["eager"]()
        far = {
            each: float((run() - expected).abs().max() / expected.abs().max())
            for each, run in runs.items()
        }
        times = interleaved(runs, rounds)
    medians = {each: statistics.median(taken) * 1e3 for each, taken in times.items()}
    best = min((each for each in medians if each != "ours"), key=medians.__getitem__)
    ratios = [theirs / mine for theirs, mine in zip(times[best], times["ours"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "name": name,
        "unit": "ms",
        "ours": round(medians["ours"], 2),
        "peers": {each: round(value, 2) for each, value in medians.items() if each != "ours"},
        "best_peer": best,
        "ratio": round(medians[best] / medians["ours"], 3),
        "interval": [round(low, 3), round(high, 3)],
        "rounds": rounds,
        "largest_difference": far,
        "algorithms": dict(sorted(fast.algorithms.items())),
    }


def ours(net: Net, images: Tensor, plan: str) -> Any:
    """Return the accelerated net."""
    return accelerate(net, images, plan=plan)


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call, one of each a round, after two to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            time.sleep(0.01)  # threads that spin for work after the last call have gone to sleep
            began = time.perf_counter()
            run()
            if number > 1:
                times[name].append(time.perf_counter() - began)
    return times


def main() -> None:
    """Measure every row and print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute: two rows, no compile")
    parser.add_argument("--only", nargs="*", choices=tuple(ROWS), help="these rows")
    parser.add_argument("--plan", choices=("measure", "default"), default="measure")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    here = machine()
    names = arguments.only or (QUICK if arguments.quick else ROWS)
    document: dict[str, Any] = {
        "claim": "A network on a CPU is faster, fused and planned, than by any other way.",
        "conditions": {
            "machine": here.cpu,
            "vector": here.vector,
            "threads": here.threads,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "dtype": "float32",
        },
        "rows": [],
    }
    for name in names:
        row = measure(name, arguments.plan, arguments.quick, arguments.rounds)
        document["rows"].append(row)
        if not arguments.json:
            print(line(row), flush=True)
    if arguments.json:
        print(json.dumps(document, indent=2))


def line(row: dict[str, Any]) -> str:
    """Return a row for readers."""
    low, high = row["interval"]
    theirs = ", ".join(f"{name} {value:.1f}" for name, value in row["peers"].items())
    return (
        f"{row['name']:18} ours {row['ours']:8.1f} ms  ratio {row['ratio']:.2f} "
        f"({low:.2f} to {high:.2f}) to {row['best_peer']}  [{theirs}]  "
        f"difference {row['largest_difference']['ours']:.0e}"
    )


if __name__ == "__main__":
    main()
