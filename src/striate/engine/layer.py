"""One convolution measured: time, error and repeatability of every way to compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.engine import fast
from striate.engine.choice import DEFAULT, WORTH, Candidate, LayerPlan, Limits, choose
from striate.engine.fast import Direction
from striate.engine.kernel import channels_last
from striate.engine.lower import kernel
from striate.engine.node import Node
from striate.engine.race import Run, Times, Traffic, race
from striate.ops.images import floats
from striate.ops.padding import ends, one_sided, uneven
from striate.ops.tape import taped

_CONTROL = "default, again"
_ALONE = 5  # rounds of a layer that nothing else computes
_AGAIN = 3  # times a noisy layer is measured once more, at most
_CROP = 20  # pixels; the error is that of a part of one image


def measure(
    node: Node,
    algorithms: tuple[str, ...],
    batch: int,
    direction: Direction,
    layout: str,
    rounds: int,
    traffic: int,
) -> LayerPlan:
    """Measure a convolution.

    Args:
        node: what to compute; only the shapes of its tensors are read.
        algorithms: beside the default.
        batch: images at a time.
        direction: inference or training.
        layout: of images and weights in training.
        rounds: how often each way is called.
        traffic: bytes that the rest of the network moves between two calls.
    """
    record = node.record
    if not isinstance(record, design.Conv):
        raise TypeError(f"{node.name} is no convolution")
    drawn = _drawn(node)
    prepare = _inference if direction == "inference" else _training
    names = (DEFAULT, *algorithms)
    order = (DEFAULT, *algorithms[:1], _CONTROL, *algorithms[1:]) if algorithms else names
    runs: dict[str, Run] = {
        name: prepare(record, drawn, batch, DEFAULT if name == _CONTROL else name, layout)
        for name in order
    }
    between = Traffic(traffic)
    kept = (DEFAULT, _CONTROL)
    times = race(runs, rounds if algorithms else _ALONE, kept=kept, between=between)
    for _ in range(_AGAIN):  # on a busy machine more rounds settle the ratios
        if not algorithms or _settled(times):
            break
        asked = max(len(each.seconds) for each in times.values())
        near = {name: run for name, run in runs.items() if len(times[name].seconds) == asked}
        more = race(near, rounds, kept=kept, between=between)
        times |= {name: times[name] + more[name] for name in near}
    noise = _noise(times) if algorithms else 0.0
    candidates = {
        name: Candidate(
            ms=times[name].median * 1e3,
            lead=times[name].lead(times[DEFAULT]),
            workspace_bytes=fast.workspace(record, drawn, batch, name),
            relative_rms=error(record, drawn, name),
            deterministic=_repeats(runs[name]),
        )
        for name in names
    }
    chosen, remark = choose(candidates, noise, Limits())
    return LayerPlan(
        name=node.name, chosen=chosen, remark=remark, noise=noise, candidates=candidates
    )


def _settled(times: dict[str, Times]) -> bool:
    """Say whether what seems fastest is surely faster than the default, or surely is not."""
    own = times[DEFAULT]
    best = min(times, key=lambda name: times[name].median)
    if times[best].median * WORTH >= own.median:
        return True
    return times[best].lead(own) >= max(WORTH, 1 + _noise(times))


def _noise(times: dict[str, Times]) -> float:
    """Return by how much the default leads over itself, one way or the other."""
    own, again = times[DEFAULT], times[_CONTROL]
    return max(0.0, own.lead(again) - 1, again.lead(own) - 1)


def error(record: design.Conv, node: Node, algorithm: str) -> float:
    """Return the relative root mean square error of an algorithm, against float64.

    Of one image's corner, without epilogue, since neither changes how sums are rounded.
    """
    channels, *space = node.parts[0].shapes[0]
    least = [max(_reach(each.record, axis) for each in node.parts) for axis in range(len(space))]
    small = [max(min(size, _CROP), reach) for size, reach in zip(space, least, strict=True)]
    part = replace(_cropped(node, (channels, *small)), residual=None, activation=None)
    x = _images((1, channels, *small), 1)
    with torch.inference_mode():
        found = kernel(record, part, 1, algorithm)
        y = found([x], _target(part, 1) if found.into else None).double()
        exact = kernel(record, _wide(part), 1)([x.double()], None)
    return sqrt(float((y - exact).square().mean() / exact.square().mean().clamp(min=1e-300)))


def _cropped(node: Node, shape: Shape) -> Node:
    """Return a node for smaller images."""
    first = None if node.first is None else _cropped(node.first, shape)
    between = shape if first is None else first.shape
    return replace(node, first=first, shapes=(shape,), shape=node.record.output(between))


def _wide(node: Node) -> Node:
    """Return a node in double precision, which torch's own operators compute."""
    first = None if node.first is None else _wide(node.first)
    weight, bias = (None if each is None else each.double() for each in (node.weight, node.bias))
    return replace(node, first=first, weight=weight, bias=bias, native=False)


def _inference(record: design.Conv, node: Node, batch: int, algorithm: str, layout: str) -> Run:
    found = kernel(record, node, batch, algorithm)
    values = [_images((batch, *node.shapes[0]), 0)]
    if node.residual is not None:
        values.append(_images((batch, *node.shape), 2))
    out = _target(node, batch) if found.into else None

    def run() -> Tensor:
        with torch.inference_mode():
            return found(values, out)

    return taped(run)  # as it runs in a network


def _training(record: design.Conv, node: Node, batch: int, algorithm: str, layout: str) -> Run:
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    two = len(record.kernel) == 2

    def placed(x: Tensor) -> Tensor:
        return x.contiguous(memory_format=memory) if two else x

    x = placed(_images((batch, *node.shapes[0]), 0)).requires_grad_()
    weight = placed(_known(node.weight)).requires_grad_()
    grad = placed(_images((batch, *node.shape), 2))

    def run() -> Any:
        if algorithm == DEFAULT or not two:
            y = _convolve(record, x, weight, None)
        else:
            y = fast.convolve(record, x, weight, algorithm)
        return torch.autograd.grad(y, (x, weight), grad)[1]

    return run


def _drawn(node: Node) -> Node:
    """Return a node with weights and biases drawn at random, in its own shapes."""
    source = _generator(3)
    first = None if node.first is None else _drawn(node.first)
    weight = bias = None
    if node.weight is not None:
        spread = sqrt(2 / max(1, node.weight.shape[1:].numel()))
        weight = _normal(node.weight.shape, source) * spread
    if node.bias is not None:
        bias = _normal(node.bias.shape, source) * 0.1
    return replace(node, first=first, weight=weight, bias=bias)


def _images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return what a rectifier leaves of normal numbers, channels last."""
    x = _normal(shape, _generator(seed)).relu_()
    return channels_last(x) if len(shape) == 4 else x


def _generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def _normal(shape: Sequence[int], source: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=source, dtype=torch.float32, device="cpu")


def _target(node: Node, batch: int) -> Tensor:
    channels, *space = node.shape
    return floats(batch, *space, channels).permute(0, -1, *range(1, len(space) + 1))


def _convolve(
    record: design.Layer, x: Tensor, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    if not isinstance(record, design.Conv):
        raise TypeError(f"{record.name} is no convolution")
    axes = len(record.kernel)
    functions: tuple[Callable[..., Tensor], ...] = (
        functional.conv1d,
        functional.conv2d,
        functional.conv3d,
    )
    if uneven(record.padding):
        x, padding = functional.pad(x, ends(record.padding)), (0,) * axes
    else:
        padding = one_sided(record.padding)
    settings = (record.stride, padding, record.dilation, record.groups)
    return functions[axes - 1](x, weight, bias, *settings)


def _reach(record: design.Layer, axis: int) -> int:
    """Return the least size that a filter or a window fits into along an axis."""
    if isinstance(record, design.AvgPool):
        return record.kernel[axis]
    if not isinstance(record, design.Conv):
        return 1
    extent = record.dilation[axis] * (record.kernel[axis] - 1) + 1
    return extent - min(sum(record.padding[axis]), extent - 1)


def _repeats(run: Run) -> bool:
    first, second = run(), run()
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return False
    return torch.equal(first.clone(), second)


def _known(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise TypeError("expected a weight")
    return tensor
