"""Whole networks, fused and planned, against everything else that runs them on a CPU.

Peers: PyTorch eager in both layouts, torch.compile with freezing (needs a C++ compiler), ONNX
Runtime, OpenVINO, and from 16 images NNPACK inside torch with oneDNN off; those that are not
installed are left out, and said. All have the same weights, the same threads and float32; calls are
interleaved, one of each a round, and the ratio is that to the best peer of the row: of the medians,
with the quartiles of the ratios of the rounds. Every answer is compared with eager's in the same
run.

The allocator of the process keeps freed memory (see `engine.memory`), for PyTorch's own rows too:
they are faster here than in a process of their own.

    python benchmarks/inference.py [--json] [--quick] [--rows resnet18_b8 ...] [--plan default]
        [--results benchmarks/results/inference_2cores_202611.json]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rounds import Document, Run, compared, interleaved, line, options
from torch import Tensor, nn

from striate import zoo
from striate.engine import accelerate
from striate.layers import Net, build

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
} | {"resnet18_b16": ("resnet18", 16)}  # of 16 images and more, NNPACK is one of the peers
QUICK = ("resnet18_b8", "squeezenet1_0_b8")


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
    if len(images) >= 16 and torch.backends.nnpack.is_available():
        found["nnpack"] = lambda: nnpack_peer(net, images)
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


def nnpack_peer(net: Net, images: Tensor) -> Tensor:
    """Run the net with oneDNN off, where torch turns to NNPACK."""
    with torch.backends.mkldnn.flags(enabled=False):
        y: Tensor = net(images)
    return y


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
    return {
        "name": name,
        **compared(times),
        "largest_difference": far,
        "agree": far["ours"] < 1e-4,
        "algorithms": dict(sorted(fast.algorithms.items())),
    }


def ours(net: Net, images: Tensor, plan: str) -> Any:
    """Return the accelerated net."""
    return accelerate(net, images, plan=plan)


def main() -> None:
    """Measure every row and print the document."""
    parser = options(__doc__, tuple(ROWS))
    parser.add_argument("--plan", choices=("measure", "default"), default="measure")
    arguments = parser.parse_args()
    document = Document(
        "A network on a CPU is faster, fused and planned, than by any other way.",
        arguments,
        plan=arguments.plan,
        peers={name: version(name) for name in ("onnxruntime", "openvino")},
    )
    for name in arguments.rows or (QUICK if arguments.quick else ROWS):
        if document.has(name):
            continue
        document.add(measure(name, arguments.plan, arguments.quick, arguments.rounds))
        if not arguments.json:
            print(line(document.content["rows"][-1]), flush=True)
    if arguments.json:
        print(document.text())


def version(name: str) -> str | None:
    """Return a peer's version, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
