"""Where in memory values go: slots shared by values that never live together.

Sizes are per image, so that one assignment serves every batch.
"""

from __future__ import annotations

from typing import NamedTuple

from striate import design
from striate.design import Shape
from striate.design.arithmetic import volume
from striate.engine.kernel import Kernel
from striate.engine.node import Graph

Kernels = dict[str, Kernel | None]


class Place(NamedTuple):
    """Some channels of a slot.

    Args:
        slot: which.
        whole: shape of what the slot holds, without batch.
        first: the first channel that is this value's.
        channels: how many are.
    """

    slot: int
    whole: Shape
    first: int
    channels: int

    @property
    def size(self) -> int:
        """Elements an image of the whole."""
        return volume(self.whole)


class Places:
    """The places of a graph's values.

    Args:
        graph: what is computed.
        kernels: of its nodes by name; None joins.

    Attributes:
        of: the place of each value that has one.
        sizes: elements an image of each slot.
    """

    def __init__(self, graph: Graph, kernels: Kernels) -> None:
        self.of: dict[str, Place] = {}
        self.sizes: list[int] = []
        inside = _joined(graph, kernels)
        owners = {name: _owner(name, inside) for name in (node.name for node in graph.nodes)}
        shapes = {node.name: node.shape for node in graph.nodes}
        lives = _lives(graph, owners)
        free: list[int] = []
        ends: list[tuple[int, int]] = []  # (step after which it is free, slot)
        slots: dict[str, int] = {}
        for step, node in enumerate(graph.nodes):
            free += [slot for end, slot in ends if end < step]
            ends = [each for each in ends if each[0] >= step]
            owner, first = owners[node.name]
            kernel = kernels[node.name]
            own = owner == node.name
            if own and kernel is not None and not kernel.into:
                continue
            if owner not in slots:
                slots[owner] = self._slot(free, volume(shapes[owner]))
                ends.append((lives[owner], slots[owner]))
            self.of[node.name] = Place(slots[owner], shapes[owner], first, node.shape[0])

    def _slot(self, free: list[int], size: int) -> int:
        """Return a slot of at least that size: the smallest free one, a grown one, or a new one."""
        if free:
            enough = [slot for slot in free if self.sizes[slot] >= size]
            best = (
                min(enough, key=lambda slot: self.sizes[slot])
                if enough
                else max(free, key=lambda slot: self.sizes[slot])
            )
            free.remove(best)
            self.sizes[best] = max(self.sizes[best], size)
            return best
        self.sizes.append(size)
        return len(self.sizes) - 1


def _joined(graph: Graph, kernels: Kernels) -> dict[str, tuple[str, int]]:
    """Return, of each value that is made inside a joined one, that one and its first channel."""
    made = {node.name for node in graph.nodes}
    readers = graph.readers()
    inside: dict[str, tuple[str, int]] = {}

    def reads_slices(name: str) -> bool:
        return all(
            (kernel := kernels[reader.name]) is None or kernel.slices for reader in readers[name]
        )

    for node in reversed(graph.nodes):
        if not isinstance(node.record, design.Concat):
            continue
        first = 0
        for name, shape in zip(node.inputs, node.shapes, strict=True):
            whole = name in inside or name in graph.outputs
            if name in made and not whole and reads_slices(name):
                inside[name] = (node.name, first)
            first += shape[0]
    return inside


def _owner(name: str, inside: dict[str, tuple[str, int]]) -> tuple[str, int]:
    """Return whose memory a value is in, and its first channel there."""
    first = 0
    while name in inside:
        name, offset = inside[name]
        first += offset
    return name, first


def _lives(graph: Graph, owners: dict[str, tuple[str, int]]) -> dict[str, int]:
    """Return the last step at which each owner's memory is needed."""
    last: dict[str, int] = {}
    for step, node in enumerate(graph.nodes):
        for name in [*node.reads, node.name]:
            if name in owners:
                last[owners[name][0]] = step
    for name in graph.outputs:
        if name in owners:
            last[owners[name][0]] = len(graph.nodes)
    return last
