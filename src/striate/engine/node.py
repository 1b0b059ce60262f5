"""A network as the engine sees it: a list of nodes, each one or several layers of the paper.

Nodes are rewritten by `simplify` (layers folded into one another) and turned into kernels by
`lower`. They hold copies of the weights, or the module's own where nothing was folded into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from striate import design
from striate.design import Network, Shape
from striate.errors import WeightsError
from striate.layers import Net, module
from striate.ops.images import floats


@dataclass
class Node:
    """One step of an evaluation.

    Args:
        name: of the value that it gives, as on paper.
        record: what it computes before its epilogue.
        inputs: names of the values that it reads.
        shapes: theirs, without batch.
        shape: its output's, without batch.
        module: the net's own module for the record.
        weight: of a convolution, linear or affine layer, dense: (features, channels, *kernel).
        bias: of the same: (features,).
        residual: name of a value of the output's shape that is added to the result.
        activation: the function of each element that comes last.
        pooled: whether the largest of every 2 x 2 pixels is all that is left of the result.
        first: what comes right before a convolution of single pixels, whose result nobody else
            reads: filters of single channels, or a scale and shift of each channel, a mean over
            windows, or the one and then the other; `inputs` and `shapes` are then theirs.
        layers: names of all layers that it stands for.
        native: whether it computes in float32 on a CPU.
    """

    name: str
    record: design.Layer
    inputs: list[str]
    shapes: tuple[Shape, ...]
    shape: Shape
    module: nn.Module
    weight: Tensor | None = None
    bias: Tensor | None = None
    residual: str | None = None
    activation: design.Layer | None = None
    pooled: bool = False
    first: Node | None = None
    layers: list[str] = field(default_factory=list)
    native: bool = True

    @property
    def parts(self) -> tuple[Node, ...]:
        """What it computes one after the other."""
        if self.first is None:
            return (self,)
        own = replace(self, first=None, inputs=[self.first.name], shapes=(self.first.shape,))
        return *self.first.parts, own

    @property
    def reads(self) -> list[str]:
        """Every value that it reads, the residual last."""
        return self.inputs if self.residual is None else [*self.inputs, self.residual]


@dataclass
class Graph:
    """An evaluation.

    Args:
        network: on paper.
        nodes: in execution order.
        outputs: names of the values that are the answer.
    """

    network: Network
    nodes: list[Node]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs."""
        return tuple(each.name for each in self.network.inputs)

    def readers(self) -> dict[str, list[Node]]:
        """Return who reads each value."""
        found: dict[str, list[Node]] = {name: [] for name in self.inputs}
        found.update({node.name: [] for node in self.nodes})
        for node in self.nodes:
            for name in node.reads:
                found[name].append(node)
        return found


def graph(net: Net, outputs: tuple[str, ...] | None = None, *, native: bool | None = None) -> Graph:
    """Return what a net computes in evaluation, one node a layer.

    Args:
        net: with its weights, or without memory for them.
        outputs: names of the values that are the answer; the main output unless given.
        native: whether it will compute in float32 on a CPU; read off the weights unless given.

    Raises:
        WeightsError: a module is no longer what its record says; names it.
        DesignError: a layer can be counted, but not built.
    """
    network = net.network
    wanted = network.needed(train=False)
    layers = [layer for layer in network.layers if layer.name in wanted]
    check(net, layers)
    shapes = network.shapes()
    if native is None:
        native = in_float32(net)
    nodes = [
        Node(
            name=layer.name,
            record=layer,
            inputs=list(layer.inputs),
            shapes=network.input_shapes(layer),
            shape=shapes[layer.name],
            module=net.get_submodule(layer.name),
            layers=[layer.name],
            native=native,
        )
        for layer in layers
    ]
    return Graph(network, nodes, outputs or (network.outputs[0].source,))


def in_float32(net: Net) -> bool:
    """Say whether a net computes in float32 on a CPU, as our kernels do."""
    ours = [like(net), *(each for each in net.parameters() if each.is_floating_point())]
    return all(each.dtype == torch.float32 and each.is_cpu for each in ours)


def like(net: Net) -> Tensor:
    """Return a tensor of the numbers that a net computes with, where it does."""
    own = (*net.parameters(), *net.buffers())
    return next((each for each in own if each.is_floating_point()), floats(0))


def check(net: Net, layers: Iterable[design.Layer]) -> None:
    """Refuse a net whose modules somebody exchanged, so that its record tells something else."""
    for layer in layers:
        own = net.get_submodule(layer.name)
        if isinstance(layer, design.Opaque):  # nothing on paper says what it computes
            continue
        with torch.device("meta"):
            expected = module(layer, *net.network.input_shapes(layer))
        if type(own) is not type(expected) or _told(own) != _told(expected):
            raise WeightsError(
                f"{layer.name} of {net.network.name} is no longer what its record says: expected "
                f"{expected!r}, received {own!r}. Change the network on paper and build it again."
            )


def _told(part: nn.Module) -> str:
    """Return what a module says of itself, but for a momentum, which evaluation has no use for."""
    return re.sub(r"momentum=[^,)]*", "", repr(part))
