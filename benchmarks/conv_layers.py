"""Our convolutions against torch's, layer by layer: VGG-E, ResNet, GoogLeNet, AlexNet.

For inference our filters are transformed once, as torch's are reordered once for the peer
`prepacked` (what torch.compile with freezing calls); the other peers are torch's convolution as
everybody calls it, in both layouts, and, from 16 images, NNPACK inside torch with oneDNN off. For
training (`--training`) a step is forward, gradient by the image and gradient by the filters, our
filters being transformed in every one of them.

All are run in turn, round after round; a time is the median. The algorithm is chosen as a plan
would, by the first rounds; the ratio (best peer / ours) and its interval (quartiles of the rounds'
ratios) come from the others. Where the best of ours loses, the plan keeps torch's own, and the row
says so. Outputs are compared in the same run.

    python benchmarks/conv_layers.py [--json] [--quick] [--training] [--batch 1 8 32] [--net vgg_e]
        [--rows resnet_64_64_3x3_56px_b8 ...] [--results benchmarks/results/conv_layers.json]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rounds import Document, line, options
from torch import Tensor
from torch.nn import functional

from striate.engine.memory import keep_freed_memory
from striate.ops import ALGORITHMS, Problem, conv2d, winograd

LAYERS = {  # net: channels, features, pixels along a side, kernel
    "vgg_e": [
        *((64, 64, 224, 3), (64, 128, 112, 3), (128, 128, 112, 3), (128, 256, 56, 3)),
        *((256, 256, 56, 3), (256, 512, 28, 3), (512, 512, 28, 3), (512, 512, 14, 3)),
    ],
    "resnet": [(64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3), (512, 512, 7, 3)],
    "cifar": [(64, 64, 32, 3), (128, 128, 16, 3), (256, 256, 8, 3)],
    "googlenet": [
        *((64, 192, 56, 3), (96, 128, 28, 3), (16, 32, 28, 5), (128, 192, 28, 3)),
        *((32, 96, 28, 5), (112, 224, 14, 3), (24, 64, 14, 5), (160, 320, 14, 3), (32, 128, 14, 5)),
    ],
    "alexnet": [(96, 256, 27, 5), (256, 384, 13, 3), (384, 256, 13, 3)],
}
QUICK = (
    "vgg_e_256_256_3x3_56px_b8",
    "vgg_e_512_512_3x3_28px_b8",
    "resnet_64_64_3x3_56px_b8",
    "resnet_128_128_3x3_28px_b8",
    "resnet_256_256_3x3_14px_b8",
)
FIRST = 4
"""Rounds that choose the algorithm."""

Call = Callable[[], Tensor]


def ours(task: Problem) -> list[str]:
    """Return our algorithms that are candidates."""
    return [
        name
        for name in ALGORITHMS
        if name.startswith("winograd") and ALGORITHMS[name].supports(task)
    ]


def inference(task: Problem, x: Tensor, weight: Tensor) -> dict[str, Call]:
    """Return every way to compute a layer, the filters prepared where the peer prepares them."""
    (pad, _), _ = task.padding
    last = x.contiguous(memory_format=torch.channels_last)
    weight_last = weight.contiguous(memory_format=torch.channels_last)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        *(weight, [pad, pad], [1, 1], [1, 1], 1, list(x.shape))
    )
    tail = (None, [pad, pad], [1, 1], [1, 1], 1, "none", [], "")
    calls: dict[str, Call] = {
        "contiguous": lambda: functional.conv2d(x, weight, padding=pad),
        "channels_last": lambda: functional.conv2d(last, weight_last, padding=pad),
        "prepacked": lambda: torch.ops.mkldnn._convolution_pointwise(last, packed, *tail),
    }
    if len(x) >= 16 and torch.backends.nnpack.is_available():

        def nnpack() -> Tensor:
            with torch.backends.mkldnn.flags(enabled=False):
                return functional.conv2d(x, weight, padding=pad)

        calls["nnpack"] = nnpack
    for name in ours(task):
        prepared = winograd.prepare(weight, int(name[-1]), task.padding)
        calls[name] = lambda prepared=prepared: prepared(last)  # type: ignore[misc]
    return calls


def training(task: Problem, x: Tensor, weight: Tensor) -> dict[str, Call]:
    """Return every way to compute a layer and both of its gradients."""
    seen = torch.randn(task.output)

    def step(algorithm: str, layout: torch.memory_format) -> Call:
        image = x.contiguous(memory_format=layout).requires_grad_()
        filters = weight.contiguous(memory_format=layout).requires_grad_()
        gradient = seen.contiguous(memory_format=layout)

        def run() -> Tensor:
            y = conv2d(image, filters, padding=task.padding, algorithm=algorithm)
            found = torch.autograd.grad(y, [image, filters], gradient)
            return torch.cat([y.detach().flatten()[:1000], *(each.flatten() for each in found)])

        return run

    calls = {
        "contiguous": step("direct", torch.contiguous_format),
        "channels_last": step("direct", torch.channels_last),
    }
    return calls | {name: step(name, torch.channels_last) for name in ours(task)}


def seconds(call: Call) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(name: str, task: Problem, make: Callable[..., dict[str, Call]], rounds: int) -> Any:
    """Return one row of the benchmark's document."""
    torch.manual_seed(0)
    x = torch.randn(task.batch, task.channels, *task.size).relu()
    fan_in = task.channels * task.kernel[0] ** 2
    weight = torch.randn(task.features, task.channels, *task.kernel) * (2 / fan_in) ** 0.5
    calls = make(task, x, weight)
    true = calls["channels_last"]()
    errors = {each: float((call() - true).norm() / true.norm()) for each, call in calls.items()}
    times: dict[str, list[float]] = {each: [] for each in calls}
    for _ in range(FIRST + rounds):
        for each, call in calls.items():
            times[each].append(seconds(call))
    mine = [each for each in calls if each in ALGORITHMS]
    chosen = min(mine, key=lambda each: statistics.median(times[each][:FIRST]))
    median = {each: statistics.median(taken[FIRST:]) for each, taken in times.items()}
    best = min((each for each in calls if each not in mine), key=lambda each: median[each])
    pairs = zip(times[best][FIRST:], times[chosen][FIRST:], strict=True)
    low, middle, high = statistics.quantiles((peer / own for peer, own in pairs), n=4)
    wins = middle > 1.05
    return {
        "name": name,
        "unit": "ms",
        "ours": round(1e3 * median[chosen], 3),
        "peers": {each: round(1e3 * median[each], 3) for each in calls if each not in mine},
        "best_peer": best,
        "ratio": round(median[best] / median[chosen], 3),
        "interval": [round(low, 3), round(high, 3)],
        "algorithm": chosen,
        "plan": chosen if wins else "direct",
        "algorithms": {each: round(1e3 * median[each], 3) for each in mine},
        "relative_difference": {each: float(f"{errors[each]:.1e}") for each in mine},
        "agree": all(errors[each] < 4 * ALGORITHMS[each].relative_error(task) for each in mine),
    }


def tasks() -> dict[str, Problem]:
    """Return every row's problem by its name."""
    found = {}
    for net, layers in LAYERS.items():
        for channels, features, side, kernel in layers:
            for batch in (1, 8, 32):
                pad = kernel // 2
                label = f"{net}_{channels}_{features}_{kernel}x{kernel}_{side}px_b{batch}"
                found[label] = Problem(
                    batch=batch,
                    channels=channels,
                    features=features,
                    size=(side, side),
                    kernel=(kernel, kernel),
                    padding=((pad, pad), (pad, pad)),
                )
    return found


def wanted(arguments: argparse.Namespace) -> list[str]:
    """Return the names of the rows that are asked for."""
    if arguments.rows:
        return list(arguments.rows)
    names = QUICK if arguments.quick else tuple(tasks())
    ends = tuple(f"_b{batch}" for batch in arguments.batch or (1, 8, 32))
    starts = tuple(f"{net}_" for net in arguments.net or LAYERS)
    return [name for name in names if name.endswith(ends) and name.startswith(starts)]


def main() -> None:
    """Measure every row and print the document."""
    parser = options(__doc__, tuple(tasks()))
    parser.add_argument("--training", action="store_true", help="forward and both gradients")
    parser.add_argument("--batch", type=int, nargs="+", help="images (default 1 8 32)")
    parser.add_argument("--net", nargs="+", choices=LAYERS, help="only these networks' layers")
    arguments = parser.parse_args()
    claim = "Fewer multiplications: Winograd's convolution beats torch's direct one."
    what = "training" if arguments.training else "inference"
    document = Document(claim, arguments, what=what)
    make = training if arguments.training else inference
    rounds = 7 if arguments.quick else arguments.rounds
    keep_freed_memory()
    with torch.enable_grad() if arguments.training else torch.inference_mode():
        for name in wanted(arguments):
            if document.has(name):
                continue
            row = measure(name, tasks()[name], make, rounds)
            document.add(row)
            if not arguments.json:
                print(f"{row['algorithm']:13} {line(row)}", flush=True)
    if arguments.json:
        print(document.text())


if __name__ == "__main__":
    main()
