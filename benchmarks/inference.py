"""Whole networks, fused and planned, against everything else that runs them on a CPU.

Peers: PyTorch eager in both layouts, torch.compile with freezing (needs a C++ compiler), ONNX
Runtime, OpenVINO, and from 16 images NNPACK inside torch with oneDNN off; those that are not
installed are left out, and said. All have the same weights, the same threads and float32, a process
of their own with their library's usual settings, and their turns one after the other, some calls a
round; the ratio is that to the best peer of the row: of the medians, with the quartiles of the
ratios of the rounds. Every answer is compared with eager's in the same run.

    python benchmarks/inference.py [--json] [--quick] [--rows resnet18_b8 ...] [--plan default]
        [--results benchmarks/results/inference_2cores_202611.json]
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rounds import Apart, Document, Run, compared, interleaved, line, options
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
ONNX = "net.onnx"
QUICK = ("resnet18_b8", "squeezenet1_0_b8")


def awake(net: Net) -> Net:
    """Give batch-norms running statistics, as if trained, so that folding them is no empty act."""
    source = torch.Generator().manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1, generator=source)
            part.running_var.uniform_(0.8, 1.25, generator=source)
    return net.eval()


def given(kind: str, batch: int) -> tuple[Net, Tensor]:
    """Return the net and the images of a row, the same in every process."""
    torch.manual_seed(0)
    net = awake(build(zoo.network(kind)))
    return net, torch.randn(batch, *net.network.input_shape)


def call(name: str, kind: str, batch: int, folder: Path, plan: str) -> Run:
    """Return a contestant's call of the row's net with its images."""
    with torch.inference_mode():
        run = contestant(name, *given(kind, batch), folder, plan)
    return torch.inference_mode()(run)


def contestant(name: str, net: Net, images: Tensor, folder: Path, plan: str) -> Run:
    """Return the call of a contestant that is installed."""
    if name == "ours":
        fast = accelerate(net, images, plan=plan)
        return lambda: fast(images)
    if name == "eager":
        return lambda: net(images)
    if name == "nnpack":
        return lambda: nnpack_peer(net, images)
    if name == "onnxruntime":
        return onnxruntime_peer(images, folder)
    if name == "openvino":
        return openvino_peer(images, folder)
    net = net.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    return compile_peer(net, images) if name == "compile_freezing" else lambda: net(images)


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
    return lambda: compiled(images)


def onnxruntime_peer(images: Tensor, folder: Path) -> Run:
    """Return ONNX Runtime's session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        str(folder / ONNX), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: images.numpy()}
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def openvino_peer(images: Tensor, folder: Path) -> Run:
    """Return OpenVINO's compiled model."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Core().compile_model(folder / ONNX, "CPU", settings)
    request, pixels = model.create_infer_request(), images.numpy()
    return lambda: torch.from_numpy(request.infer([pixels], share_inputs=True)[0].copy())


def measure(name: str, plan: str, quick: bool, rounds: int) -> dict[str, Any]:
    """Return one row of the benchmark's document."""
    kind, batch = ROWS[name]
    names = ["ours", "eager", "eager_channels_last", "onnxruntime", "openvino"]
    names += ["nnpack"] if batch >= 16 and torch.backends.nnpack.is_available() else []
    names += [] if quick else ["compile_freezing"]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        chosen = prepare(kind, batch, Path(folder), plan)
        runs: dict[str, Apart] = {}
        for each in names:
            try:
                runs[each] = Apart(call, each, kind, batch, Path(folder), plan)
            except RuntimeError as error:
                if each in ("ours", "eager"):
                    raise
                print(f"# without {each}: {str(error)[:200]}", flush=True)
                continue
            processes.callback(runs[each].close)
        expected = runs["eager"].answer
        far = {
            each: float((run.answer - expected).abs().max() / expected.abs().max())
            for each, run in runs.items()
        }
        times = interleaved({each: run.turn for each, run in runs.items()}, rounds)
    return {
        "name": name,
        **compared(times),
        "largest_difference": far,
        "agree": far["ours"] < 1e-4,
        "algorithms": chosen,
    }


def prepare(kind: str, batch: int, folder: Path, plan: str) -> dict[str, str]:
    """Write the ONNX file; measure our plan, which the cache keeps, and return it."""
    net, images = given(kind, batch)
    torch.onnx.export(net, (images,), folder / ONNX, dynamo=True, verbose=False, optimize=True)
    with torch.inference_mode():
        return dict(sorted(accelerate(net, images, plan=plan).algorithms.items()))


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
