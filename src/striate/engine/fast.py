"""The one place where the engine talks to the convolutions of `striate.ops`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from torch import Tensor

from striate import design
from striate.design import Network, Shape
from striate.engine.activation import in_place, limits
from striate.engine.choice import DEFAULT
from striate.engine.kernel import Kernel, Plain, channels_last
from striate.engine.node import Node
from striate.errors import UsageError
from striate.ops import (
    ALGORITHMS,
    Problem,
    conv2d,
    im2col,
    outer,
    packed,
    separable,
    windows,
    winograd,
)
from striate.ops.images import NO_LIMITS, floats
from striate.records import nearest

Direction = Literal["inference", "training"]

_LARGE = 7  # taps; for smaller filters spectra lost everywhere by far, see docs/log.md
_LEAST_CHANNELS = 8  # fewer, as in the first layer, leave the products too small to gain by


def algorithms(record: design.Layer, node: Node, direction: Direction) -> tuple[str, ...]:
    """Return the names of what may compute a node instead of torch's own."""
    if not isinstance(record, design.Conv) or len(record.kernel) != 2 or not node.native:
        return ()
    if node.first is not None:
        *before, last = node.parts
        if not _can("packed", problem(record, last, 1)):
            return ()
        if not _pair(node):
            return ("packed",)
        return _PAIRS if _can("depthwise", problem(before[0].record, before[0], 1)) else ()
    task = problem(record, node, 1)
    found = tuple(name for name, worth in _CANDIDATES.items() if worth(task) and _can(name, task))
    if direction == "training" and im2col.plain(task):
        more = ("im2col", "outer") if _can("outer", task) and outer.fits(task) else ("im2col",)
        found = (*found, *more)
    return found


def able(network: Network, name: str, direction: Direction) -> tuple[str, ...]:
    """Return the names of what can compute a network's convolution, fast or not."""
    record = next(each for each in network.layers if each.name == name)
    if not isinstance(record, design.Conv) or len(record.kernel) != 2:
        return ()
    task = _problem(record, network.shapes()[record.inputs[0]], 1)
    found = tuple(name for name, each in ALGORITHMS.items() if each.supports(task))
    pair = record.groups > 1 or record.kernel == (1, 1)
    both = _PAIRS if pair and direction == "inference" else ()
    return (*found, *(name for name in both if name not in found))


def check(network: Network, chosen: Mapping[str, str], direction: Direction) -> None:
    """Refuse a plan that a network cannot follow.

    Args:
        network: on paper.
        chosen: algorithms by the layers' names; `default` for torch's own.
        direction: inference or training.

    Raises:
        UsageError: no such convolution, or one that the algorithm cannot compute.
    """
    layers = [each.name for each in network.layers if isinstance(each, design.Conv)]
    for name, algorithm in chosen.items():
        if name not in layers:
            near = " or ".join(nearest(str(name), layers))
            raise UsageError(
                f"The plan has a convolution {name!r}, which {network.name} lacks: "
                + (f"did you mean {near}?" if near else "it is of another network.")
            )
        possible = able(network, name, direction)
        if algorithm not in (DEFAULT, *possible):
            near = " or ".join(nearest(str(algorithm), possible)) or ", ".join(possible)
            raise UsageError(
                f"The plan computes {name} by {algorithm!r}, which cannot compute such a layer; "
                f"did you mean {near or DEFAULT}?"
            )


def obeys(node: Node, algorithm: str) -> bool:
    """Say whether a node is computed as a plan says, worth it or not."""
    if node.first is not None:
        return algorithm in algorithms(node.record, node, "inference")
    if not isinstance(node.record, design.Conv) or len(node.record.kernel) != 2:
        return False
    if not node.native or algorithm not in ALGORITHMS:
        return False
    if algorithm == "depthwise" and node.residual is not None:  # it adds nothing to its result
        return False
    return _can(algorithm, problem(node.record, node, 1))


def kernel(record: design.Conv, node: Node, batch: int, algorithm: str) -> Kernel | None:
    """Return a fast convolution by its name; None for torch's own."""
    if not obeys(node, algorithm):
        return None
    if _pair(node) and algorithm != "separable":  # one after the other
        return None
    return _KERNELS.get(algorithm, partial(Spectral, name=algorithm))(record, node)


def pools(node: Node, algorithm: str) -> bool:
    """Say whether what computes a node can take the largest of every 2 x 2 pixels at its end."""
    record = node.record
    if not isinstance(record, design.Conv) or not algorithm.startswith("winograd"):
        return False
    return obeys(node, algorithm) and min(record.kernel) > 1


def _pair(node: Node) -> bool:
    """Say whether filters of single channels come before 1x1 filters."""
    return node.first is not None and isinstance(node.first.record, design.Conv)


def _can(name: str, task: Problem) -> bool:
    return ALGORITHMS[name].supports(task)


def _any(task: Problem) -> bool:
    return True


def _wide(task: Problem) -> bool:
    """Say whether the products are large enough for fewer of them to gain anything."""
    return min(task.channels, task.features) >= _LEAST_CHANNELS


def workspace(record: design.Layer, node: Node, batch: int, algorithm: str) -> int:
    """Return the bytes beside input, weights and output that an algorithm works in."""
    if node.first is not None:
        *before, last = node.parts
        each = zip(node.parts, apart(node, algorithm), strict=True)
        value = sum(4 * batch * math.prod(part.shape) for part in before)
        if algorithm == "separable":
            value = 0
        elif algorithm == "packed" and not _pair(node):
            value = packed.means_bytes(problem(record, last, batch))
        return value + sum(workspace(part.record, part, batch, name) for part, name in each)
    if algorithm not in ALGORITHMS or not isinstance(record, design.Conv):
        return 0
    return ALGORITHMS[algorithm].workspace_bytes(problem(record, node, batch))


def convolve(record: design.Conv, x: Tensor, weight: Tensor, algorithm: str) -> Tensor:
    """Return a convolution without bias, with its derivatives."""
    down, across = record.padding
    return conv2d(
        x,
        weight,
        None,
        (record.stride[0], record.stride[1]),
        (down, across),
        (record.dilation[0], record.dilation[1]),
        record.groups,
        algorithm,
    )


def apart(node: Node, algorithm: str) -> tuple[str, ...]:
    """Return what computes each part of a node where nothing computes all, by name."""
    *before, _ = node.parts
    if not _pair(node):
        return (*[DEFAULT] * len(before), algorithm)
    first = DEFAULT if algorithm == DEFAULT else "depthwise"
    return first, DEFAULT if algorithm in (DEFAULT, "depthwise") else "packed"


def problem(record: design.Layer, node: Node, batch: int) -> Problem:
    """Return a node's convolution as `striate.ops` describes it."""
    if not isinstance(record, design.Conv):
        raise TypeError(f"{node.name} is no convolution")
    return _problem(record, node.shapes[0], batch)


def _problem(record: design.Conv, shape: Shape, batch: int) -> Problem:
    channels, high, wide = shape
    return Problem(
        batch=batch,
        channels=channels,
        features=record.features,
        size=(high, wide),
        kernel=(record.kernel[0], record.kernel[1]),
        stride=(record.stride[0], record.stride[1]),
        padding=(record.padding[0], record.padding[1]),
        dilation=(record.dilation[0], record.dilation[1]),
        groups=record.groups,
    )


class _Writing:
    """A convolution that writes where it is told, reads slices, and finishes its result.

    Args:
        node: what to compute.
        run: the convolution of `striate.ops`.
    """

    into = True
    over = False
    slices = True
    any_order = False

    def __init__(self, node: Node, run: Callable[..., Tensor], known: bool) -> None:
        self.run, self.bias = run, node.bias
        self.activate = in_place(None if known else node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Convolve: (batch, channels, height, width) -> (batch, features, ...)."""
        if not len(values[0]):
            return floats(0) if out is None else out
        residual = {"residual": values[1]} if len(values) > 1 else {}
        return self.activate(self.run(values[0], bias=self.bias, out=out, **residual))


class Winograd(_Writing):
    """Winograd's convolution: filters transformed once, bias, sum and rectifier as it writes."""

    def __init__(self, record: design.Conv, node: Node, outputs: int) -> None:
        down, across = record.padding
        relu = isinstance(node.activation, design.ReLU)
        prepared = winograd.prepare(_weight(node), outputs, (down, across), pooled=node.pooled)
        super().__init__(node, partial(prepared, relu=relu), relu)


class Packed(_Writing):
    """The direct convolution by kernels of our own, of means where they come before it."""

    def __init__(self, record: design.Conv, node: Node) -> None:
        cut = limits(node.activation)
        (high, wide), (down, across) = record.stride, record.padding
        dilation = (record.dilation[0], record.dilation[1])
        means = None if node.first is None else _means(node.first)
        run = packed.prepare(_weight(node), (high, wide), (down, across), dilation, means)
        super().__init__(node, partial(run, limits=cut or NO_LIMITS), cut is not None)
        self.any_order = run.in_rows


def _means(node: Node) -> packed.Means:
    """Return what 1x1 filters read, of the nodes before them."""
    first, last = node.parts[0], node.parts[-1]
    pooled = last.record.kernel if isinstance(last.record, design.AvgPool) else (1, 1)
    channels = first.shape[0]
    return packed.Means(
        floats(channels).fill_(1) if first.weight is None else first.weight,
        floats(channels).fill_(0) if first.bias is None else first.bias,
        limits(first.activation) or NO_LIMITS,
        (pooled[0], pooled[1]),
    )


class Depthwise(_Writing):
    """Filters of single channels by kernels of our own, padded as they are."""

    def __init__(self, record: design.Conv, node: Node) -> None:
        cut = limits(node.activation)
        (high, wide), (down, across) = record.stride, record.padding
        run = windows.prepare(_weight(node), (high, wide), (down, across))
        super().__init__(node, partial(run, limits=cut or NO_LIMITS), cut is not None)


class Pair(_Writing):
    """Filters of single channels and the 1x1 filters after them, as one."""

    def __init__(self, record: design.Conv, node: Node) -> None:
        first, last = node.parts
        cut = limits(node.activation)
        if not isinstance(first.record, design.Conv):
            raise TypeError(f"{first.name} is no convolution")
        (high, wide), (down, across) = first.record.stride, first.record.padding
        run = separable.prepare(
            _weight(first),
            _weight(last),
            (high, wide),
            (down, across),
            between=first.bias,
            cut=limits(first.activation) or NO_LIMITS,
        )
        super().__init__(node, partial(run, limits=cut or NO_LIMITS), cut is not None)


class Spectral(Plain):
    """A convolution that knows no epilogue (spectra, matrices), and what follows, in place."""

    def __init__(self, record: design.Conv, node: Node, name: str) -> None:
        self.record, self.name, self.bias = record, name, node.bias
        self.weight, self.activate = _weight(node), in_place(node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Convolve: (batch, channels, height, width) -> (batch, features, ...)."""
        y = convolve(self.record, values[0], self.weight, self.name)
        if self.bias is not None:
            y += self.bias[:, None, None]
        if len(values) > 1:
            y += values[1]
        return channels_last(self.activate(y))


def _weight(node: Node) -> Tensor:
    if node.weight is None:
        raise TypeError(f"{node.name} has no weight")
    return node.weight


_PAIRS = ("depthwise", "packed", "separable")
_KERNELS: dict[str, Callable[[design.Conv, Node], Kernel]] = {
    "winograd_2x2": partial(Winograd, outputs=2),
    "winograd_4x4": partial(Winograd, outputs=4),
    "winograd_6x6": partial(Winograd, outputs=6),
    "packed": Packed,
    "depthwise": Depthwise,
    "separable": Pair,
    "fft": partial(Spectral, name="fft"),
    "fft_tiled": partial(Spectral, name="fft_tiled"),
}


def _large(task: Problem) -> bool:
    """Say whether filters are so large that their size, which spectra do not feel, may tell."""
    return min(task.kernel) >= _LARGE and task.stride == (1, 1) and task.groups == 1


_CANDIDATES: dict[str, Callable[[Problem], bool]] = {
    name: _wide if name.startswith("winograd") else _large if name.startswith("fft") else _any
    for name in _KERNELS
    if name in ALGORITHMS
}
