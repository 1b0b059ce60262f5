"""Steps by torch itself: what no record fits, among kernels of ours.

Such a step takes and gives tensors as torch would have them there: what a kernel of ours made comes
with channels outermost, what another such step made as it is; what a kernel of ours reads goes
there with channels innermost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from striate import design
from striate.engine.kernel import Kernel, Plain, channels_last
from striate.engine.node import Graph, Node
from striate.layers.opaque import Calls, Part


class ByTorch(Plain):
    """One tensor of some calls of torch.

    Args:
        part: the calls, and which.
        made: which of the values it reads came from such steps.
        read: whether kernels of ours read its own.
        all: the values that it reads are all tensors of the calls, made before.
    """

    any_order = True

    def __init__(
        self, part: Part, made: tuple[bool, ...], read: bool, *, all: bool = False
    ) -> None:
        self.part, self.made, self.read, self.all = part, made, read, all

    def __call__(self, values: list[Any], out: Tensor | None) -> Tensor:
        """Call torch, or pick: any -> (batch, *shape)."""
        if self.all:
            y = self.part.picked(values[0])
        else:
            y = self.part.picked(self.part.calls(*_plain(values, self.made)))
        return channels_last(y) if self.read and y.dim() == 4 else y


class Together(Plain):
    """All tensors of some calls of torch, where more than one is read."""

    any_order = True

    def __init__(self, calls: Calls, made: tuple[bool, ...]) -> None:
        self.calls, self.made = calls, made

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Any:
        """Call torch."""
        return self.calls(*_plain(values, self.made))


def by_torch(graph: Graph) -> dict[str, Kernel]:
    """Return the kernels of a graph's opaque nodes, by name; calls are made once each.

    Args:
        graph: simplified; nodes for calls that give several values are put in.
    """
    users: dict[int, list[Node]] = {}
    opaque = {node.name for node in graph.nodes if isinstance(node.record, design.Opaque)}
    readers = graph.readers()
    kernels: dict[str, Kernel] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.module, Part):
            users.setdefault(id(node.module.calls), []).append(node)
    for node in graph.nodes:
        part = node.module
        if not isinstance(part, Part):
            nodes.append(node)
            continue
        made = tuple(name in opaque for name in node.inputs)
        read = any(each.name not in opaque for each in readers[node.name])
        first, *others = users[id(part.calls)]
        if others:
            all_ = f"{first.name}, ..."
            if node is first:
                nodes.append(replace(node, name=all_, layers=[]))
                kernels[all_] = Together(part.calls, made)
            node.inputs = [all_]
        nodes.append(node)
        kernels[node.name] = ByTorch(part, made, read, all=bool(others))
    graph.nodes = nodes
    return kernels


def _plain(values: list[Tensor], made: tuple[bool, ...]) -> list[Tensor]:
    """Return values as torch would have them: ours lie with channels innermost."""
    return [
        value if by_torch_ else value.contiguous()
        for value, by_torch_ in zip(values, made, strict=True)
    ]
