"""A network made deeper or shallower on paper: more, or fewer, of what keeps the shape.

What repeats is a block (a scope, such as `layer1.0`) with one value in and one of the same shape
out, or, where there are no such blocks, a convolution with the elementwise layers after it; a
linear layer only in networks without convolutions. Blocks that follow each other and are made alike
are a stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from striate.design.elementwise import ChannelDropout, Elementwise, PReLU
from striate.design.grouping import GroupNorm, LayerNorm
from striate.design.layer import Layer
from striate.design.linear import Conv, Linear
from striate.design.pointwise import LRN, Activation, Affine, BatchNorm, Dropout, Noise
from striate.design.wiring import Concat
from striate.errors import DesignError

if TYPE_CHECKING:
    from striate.design.network import Network

_AFTER = (
    Activation, Affine, BatchNorm, ChannelDropout, Dropout, Elementwise, GroupNorm, LRN, LayerNorm,
    Noise, PReLU,
)  # fmt: skip


class Block(NamedTuple):
    """Layers that may be there once more, or not at all.

    Args:
        layers: together, in order; the last one's value is the block's.
        source: the one value from outside that they read, of the same shape.
    """

    layers: tuple[Layer, ...]
    source: str

    @property
    def value(self) -> str:
        """What the block gives."""
        return self.layers[-1].name

    def made(self) -> list[Layer]:
        """Return the layers with names that blocks made alike have in common."""
        own = {layer.name: f"l{number}" for number, layer in enumerate(self.layers)}
        own[self.source] = "source"
        return [
            layer.replace(
                name=own[layer.name], inputs=tuple(own[name] for name in layer.inputs), note=""
            )
            for layer in self.layers
        ]


def deepened(network: Network, more: int) -> Network:
    """Return the network with `more` blocks in every stage, or so many fewer where it is negative.

    A stage keeps its last block where nothing would be left for a sum to add.

    Raises:
        DesignError: nothing in it keeps its shape, or no block can be taken away any more.

    Example:
        >>> from striate import zoo
        >>> deepened(zoo.read("resnet20"), 2) == zoo.read("resnet32").replace(name="resnet20")
        True
    """
    if not more:
        return network
    found = stages(network)
    if not found:
        raise DesignError(
            f"{network.name} has no depth to change: no convolution or block of it gives the shape "
            "that it takes."
        )
    changed = network
    for stage in found:
        last = stage[-1]
        for _ in range(abs(more)):
            if more > 0:
                changed, last = _grown(changed, last)
            else:
                changed = _shrunk(changed, stage)
    if changed.layers == network.layers:
        raise DesignError(
            f"{network.name} cannot be made shallower: received {more} blocks a stage, and each "
            "has one that is needed."
        )
    return changed


def stages(network: Network) -> list[list[Block]]:
    """Return the blocks that keep their shape, those in a row that are made alike together."""
    blocks = list(_scopes(network)) or list(_convolutions(network))
    found: list[list[Block]] = []
    for block in blocks:
        last = found[-1][-1] if found else None
        if last is not None and block.source == last.value and block.made() == last.made():
            found[-1].append(block)
        else:
            found.append([block])
    return found


def _scopes(network: Network) -> Iterator[Block]:
    """Find the smallest scopes that are blocks; where branches are joined, those that join them."""
    names = {scope for layer in network.layers for scope in _around(layer.name)}
    joined = any(isinstance(each, Concat) for each in network.layers)
    taken: set[str] = set()
    found: list[Block] = []
    for scope in sorted(names, key=lambda name: (-name.count("."), name)):
        inside = tuple(network.members(scope))
        whole = any(isinstance(each, Concat) for each in inside) or not joined
        block = _block(network, inside) if whole else None
        if block is None or taken & {layer.name for layer in inside}:
            continue
        if any(isinstance(each, Conv) for each in inside):
            found.append(block)
            taken |= {layer.name for layer in inside}
    place = {layer.name: number for number, layer in enumerate(network.layers)}
    yield from sorted(found, key=lambda block: place[block.value])


def _convolutions(network: Network) -> Iterator[Block]:
    """Find convolutions, or in a network without them linear layers, and what is elementwise.

    A depthwise convolution and the one behind it go together. Where branches are joined, none is
    found: what keeps its shape there does so by chance.
    """
    layers = list(network.layers)
    if any(isinstance(each, Concat) for each in layers):
        return
    kind = Conv if any(isinstance(each, Conv) for each in layers) else Linear
    start = 0
    while start < len(layers):
        end = start + 1
        if isinstance(layers[start], kind):
            while end < len(layers) and _goes_on(network, layers[end - 1], layers[end], start, end):
                end += 1
            block = _block(network, tuple(layers[start:end])) if end > start + 1 else None
            if block is not None:
                yield block
        start = end


def _goes_on(network: Network, last: Layer, layer: Layer, start: int, end: int) -> bool:
    """Say whether a layer belongs to what came before it, alone reading it."""
    if layer.inputs != (last.name,) or list(network.readers()[last.name]) != [layer.name]:
        return False
    if isinstance(layer, _AFTER):
        return True
    before = [each for each in network.layers[start:end] if isinstance(each, Conv)]
    return isinstance(layer, Conv) and before[-1:] != [] and _depthwise(network, before[-1])


def _depthwise(network: Network, layer: Conv) -> bool:
    return layer.groups == network.input_shapes(layer)[0][0] > 1


def _block(network: Network, inside: tuple[Layer, ...]) -> Block | None:
    """Return layers as a block, if they have one value in, the same shape out, and nothing else."""
    own = {layer.name for layer in inside}
    sources = {name for layer in inside for name in layer.inputs} - own
    seen = {name for name in own if set(network.readers()[name]) - own}
    if len(sources) != 1 or seen != {inside[-1].name}:
        return None
    shared = any(layer.shares for layer in network.layers if layer.name in own) or any(
        layer.shares in own for layer in network.layers
    )
    (source,) = sources
    shapes = network.shapes()
    same = shapes[source] == shapes[inside[-1].name]
    return Block(inside, source) if same and not shared else None


def _grown(network: Network, last: Block) -> tuple[Network, Block]:
    """Return the network with the last block of a stage once more, after it, and that block."""
    names = _names(network, last)
    copied = tuple(
        layer.replace(
            name=names[layer.name],
            inputs=tuple(
                last.value if name == last.source else names[name] for name in layer.inputs
            ),
        )
        for layer in last.layers
    )
    behind = [layer.name for layer in network.layers].index(last.value) + 1
    now = {last.value: names[last.value]}
    layers = (
        *network.layers[:behind],
        *copied,
        *(_reading(layer, now) for layer in network.layers[behind:]),
    )
    return _edited(network, layers, now), Block(copied, last.value)


def _shrunk(network: Network, stage: list[Block]) -> Network:
    """Return the network without the last block of a stage that is still there, if it can go."""
    there = {layer.name for layer in network.layers}
    left = [block for block in stage if block.value in there]
    if not left:
        return network
    last = left[-1].value
    own = {layer.name for layer in left[-1].layers}
    inside = [layer for layer in network.layers if layer.name in own]
    (source,) = {name for layer in inside for name in layer.inputs} - own  # now
    now = {last: source}
    layers = tuple(_reading(layer, now) for layer in network.layers if layer.name not in own)
    if any(len(set(each.inputs)) < len(each.inputs) for each in layers):
        return network  # a sum would add a value to itself
    return _edited(network, layers, now)


def _edited(network: Network, layers: tuple[Layer, ...], now: dict[str, str]) -> Network:
    outputs = tuple(
        each.replace(source=now.get(each.source, each.source)) for each in network.outputs
    )
    return network.replace(layers=layers, outputs=outputs)


def _reading(layer: Layer, other: dict[str, str]) -> Layer:
    return layer.replace(inputs=tuple(other.get(name, name) for name in layer.inputs))


def _names(network: Network, block: Block) -> dict[str, str]:
    """Return new names for a block's layers: the next free number of its scope, or of each."""
    own = [layer.name for layer in block.layers]
    taken = {part for layer in network.layers for part in (*_around(layer.name), layer.name)}
    scope = _common(own)
    if scope and set(own) == {layer.name for layer in network.members(scope)}:
        new = _free(scope, taken)
        return {name: new + name[len(scope) :] for name in own}
    names: dict[str, str] = {}
    for name in own:
        names[name] = _free(name, taken | set(names.values()))
    return names


def _around(name: str) -> Iterator[str]:
    """Return the scopes that a layer is in."""
    return (name[: dot.start()] for dot in re.finditer(r"\.", name))


def _common(names: list[str]) -> str:
    """Return the innermost scope that all names are in."""
    parts = [name.split(".")[:-1] for name in names]
    common: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)


def _free(name: str, taken: set[str]) -> str:
    """Return a name with the next number at its end that nothing has."""
    matched = re.fullmatch(r"(.*?)(\d*)", name)
    stem, digits = (matched[1], matched[2]) if matched else (name, "")
    stem, number = (stem, int(digits)) if digits else (f"{stem}_", 1)
    while f"{stem}{number}" in taken or f"{stem}{number}" == name:
        number += 1
    return f"{stem}{number}"
