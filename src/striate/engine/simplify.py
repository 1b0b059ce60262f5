"""Layers folded into one another, so that fewer passes over memory compute the same.

Exact up to rounding: a batch-norm in evaluation is a scale and a shift, which the convolution
before it can have in its weights; an addition and an activation cost nothing where the convolution
writes its result. What training alone needs is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch

import torch
from torch import Tensor, nn

from striate import design
from striate.engine.activation import limits
from striate.engine.node import Graph, Node
from striate.layers import BatchNorm as BatchNormModule
from striate.layers import Convolution

_LINEAR = (design.Conv, design.Linear)
_ADAPTIVE = (design.AdaptiveAvgPool, design.AdaptiveMaxPool)
_HOSTS = (design.Conv, design.Linear, design.Affine)  # what an epilogue can follow
# Functions of each element that every kernel can apply to its result before writing it.
ACTIVATIONS = (
    design.ReLU,
    design.ReLU6,
    design.LeakyReLU,
    design.Sigmoid,
    design.SiLU,
    design.GELU,
    design.Tanh,
)


def simplify(graph: Graph, pools: Callable[[Node], bool] = lambda node: False) -> Graph:
    """Return the same evaluation in fewer nodes; the net's own tensors stay as they are.

    Args:
        graph: is changed.
        pools: whether what computes a node can go on to take the largest of every 2 x 2 pixels.
    """
    _drop(graph)
    for node in graph.nodes:
        take_weights(node.record, node)
    _fold(graph)
    _fuse_activations(graph)
    _fuse_additions(graph)
    _fuse_pooling(graph, pools)
    _pool_earlier(graph)
    _fuse_beginning(graph)
    return graph


@singledispatch
def take_weights(record: design.Layer, node: Node) -> None:
    """Give a node its weight and bias, where its kind has them in the engine."""


@take_weights.register
def _(record: design.Conv, node: Node) -> None:
    if record.bias == "position":  # stays with its module
        return
    own = node.module
    dense = own.dense() if isinstance(own, Convolution) else own.weight
    node.weight = _detached(dense)
    if record.bias == "channel":
        node.bias = _detached(own.bias)


@take_weights.register
def _(record: design.Linear, node: Node) -> None:
    node.weight, node.bias = _detached(node.module.weight), _detached(node.module.bias)


@take_weights.register
def _(record: design.Affine, node: Node) -> None:
    node.weight, node.bias = _detached(node.module.weight), _detached(node.module.bias)


@take_weights.register
def _(record: design.BatchNorm, node: Node) -> None:
    own = node.module
    if not isinstance(own, BatchNormModule) or own.running_mean is None or own.running_var is None:
        return  # it normalises by its batch
    scale = torch.rsqrt(own.running_var.double() + own.eps)
    if own.affine:
        scale = scale * own.weight.detach().double()
    shift = -own.running_mean.double() * scale
    if own.affine:
        shift = shift + own.bias.detach().double()
    node.record = design.Affine(name=node.name, inputs=record.inputs)
    node.weight, node.bias = scale, shift


def _detached(tensor: Tensor | nn.Module | None) -> Tensor | None:
    return tensor.detach() if isinstance(tensor, Tensor) else None


def _drop(graph: Graph) -> None:
    """Leave out what does nothing in evaluation."""
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        own = node.record
        idle = isinstance(own, design.Identity | design.Dropout | design.ChannelDropout)
        same = isinstance(own, _ADAPTIVE) and node.shapes[0] == node.shape  # of single pixels
        if idle or same:
            renamed[node.name] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept
    graph.outputs = tuple(renamed.get(name, name) for name in graph.outputs)


def _fold(graph: Graph) -> None:
    """Scale and shift go into the weights of the convolution or linear layer before them."""
    _absorb(graph, _fold_one)
    for node in graph.nodes:  # what stayed alone computes in the net's precision
        if isinstance(node.record, design.Affine) and node.weight is not None:
            like = next(iter(node.module.buffers()), node.weight)
            dtype = like.dtype if like.is_floating_point() else torch.float32
            node.weight = node.weight.to(dtype)
            node.bias = None if node.bias is None else node.bias.to(dtype)


def _fold_one(host: Node, node: Node) -> bool:
    if not isinstance(host.record, _LINEAR) or not isinstance(node.record, design.Affine):
        return False
    if host.activation is not None or host.weight is None or node.weight is None:
        return False
    dtype, scale = host.weight.dtype, node.weight.double()
    wide = scale.view(-1, *[1] * (host.weight.dim() - 1))
    shift = 0.0 if node.bias is None else node.bias.double()
    before = 0.0 if host.bias is None else host.bias.double() * scale
    host.weight = (host.weight.double() * wide).to(dtype)
    host.bias = (torch.zeros_like(scale) + before + shift).to(dtype)
    return True


def _fuse_activations(graph: Graph) -> None:
    def fuse(host: Node, node: Node) -> bool:
        fits = isinstance(node.record, ACTIVATIONS) and host.activation is None
        added = isinstance(host.record, design.Add)
        if not fits or not (isinstance(host.record, _HOSTS) and host.weight is not None or added):
            return False
        host.activation = node.record
        return True

    _absorb(graph, fuse)


def _fuse_additions(graph: Graph) -> None:
    """A sum of two becomes an epilogue of the convolution that comes last."""
    places = {node.name: place for place, node in enumerate(graph.nodes)}

    def fuse(host: Node, node: Node) -> bool:
        if not isinstance(node.record, design.Add) or len(set(node.inputs)) != 2:
            return False
        if len(node.inputs) != 2 or not isinstance(host.record, design.Conv):
            return False
        other = next(name for name in node.inputs if name != host.name)
        if host.activation is not None or host.residual is not None or host.weight is None:
            return False
        if places.get(other, -1) > places[host.name]:
            return False
        if not isinstance(node.activation, design.ReLU | None):  # no kernel adds before another
            return False
        host.residual, host.activation = other, node.activation
        return True

    _absorb(graph, fuse)


def _fuse_pooling(graph: Graph, pools: Callable[[Node], bool]) -> None:
    """Max pooling of 2 x 2 pixels that share none becomes the end of the convolution before it."""

    def fuse(host: Node, node: Node) -> bool:
        record = node.record
        if not isinstance(record, design.MaxPool) or host.residual is not None:
            return False
        if not isinstance(host.activation, design.ReLU | None) or host.pooled or not pools(host):
            return False
        halves = (host.shape[0], *(size // 2 for size in host.shape[1:]))
        both = tuple(record.kernel) == tuple(record.stride) == (2, 2)
        if not both or any(before for before, _ in record.padding) or node.shape != halves:
            return False
        host.pooled, host.shape = True, node.shape
        return True

    _absorb(graph, fuse)


def _pool_earlier(graph: Graph) -> None:
    """Take means before 1x1 filters instead of after: of less, and filter fewer pixels.

    Both are sums with weights of their own, so that their order changes nothing but rounding.
    """
    readers = graph.readers()
    for place, node in enumerate(graph.nodes):
        after = readers[node.name][0] if len(readers[node.name]) == 1 else None
        if after is None or node.name in graph.outputs or not _mixes(node) or not _means(after):
            continue
        if node.residual is not None or node.activation is not None or node.first is not None:
            continue
        later = graph.nodes.index(after)
        channels, space = node.shapes[0][0], after.shape[1:]
        pooled = replace(
            after,
            name=node.name,
            inputs=node.inputs,
            shapes=node.shapes,
            shape=(channels, *space),
        )
        mixed = replace(
            node,
            name=after.name,
            inputs=[node.name],
            shapes=(pooled.shape,),
            shape=(node.shape[0], *space),
        )
        graph.nodes[place], graph.nodes[later] = pooled, mixed


def _fuse_beginning(graph: Graph) -> None:
    """What 1x1 filters alone read becomes their beginning: single channels' filters, means."""
    places = {node.name: place for place, node in enumerate(graph.nodes)}

    def fuse(host: Node, node: Node) -> bool:
        if not _mixes(node) or not host.native or node.pooled or not _begins(host, node.first):
            return False
        if node.residual is not None and places.get(node.residual, -1) > places[host.name]:
            return False
        first = replace(host)
        host.first = first if node.first is None else replace(node.first, first=first)
        host.record, host.weight, host.bias = node.record, node.weight, node.bias
        host.residual, host.activation, host.shape = node.residual, node.activation, node.shape
        return True

    for _ in range(2):  # a mean, and then what it is taken of
        _absorb(graph, fuse)


def _mixes(node: Node) -> bool:
    """Tell whether a node is 1x1 filters that read every pixel of an image once."""
    own = node.record
    if not isinstance(own, design.Conv) or node.weight is None or len(own.kernel) != 2:
        return False
    return own == own.replace(kernel=(1, 1), stride=(1, 1), padding=((0, 0), (0, 0)), groups=1)


def _means(node: Node) -> bool:
    """Tell whether a node is the mean over windows of an image that lie side by side."""
    own = node.record
    if not isinstance(own, design.AvgPool) or len(own.kernel) != 2 or own.kernel != own.stride:
        return False
    whole = tuple(size // step for size, step in zip(node.shapes[0][1:], own.kernel, strict=True))
    return set(own.padding) == {(0, 0)} and not own.ceil and node.shape[1:] == whole


def _begins(host: Node, begun: Node | None) -> bool:
    """Tell whether a node can be the beginning of 1x1 filters, or of what begins them already."""
    own = host.record
    if host.residual is not None or host.first is not None or host.pooled:
        return False
    if isinstance(own, design.AvgPool):
        return begun is None and _means(host)
    if host.weight is None or limits(host.activation) is None or len(host.shape) != 3:
        return False
    if isinstance(own, design.Affine):
        return host.bias is not None and (begun is None or isinstance(begun.record, design.AvgPool))
    single = isinstance(own, design.Conv) and own.groups == own.features == host.shapes[0][0]
    return single and begun is None


def _absorb(graph: Graph, fuse: Callable[[Node, Node], bool]) -> None:
    """Let nodes disappear into one that they read, which then gives their value.

    Args:
        graph: is changed.
        fuse: (host, node) -> whether the host does the node's work now. It is asked only where
            nobody else reads what the host gave.
    """
    readers = {name: len(nodes) for name, nodes in graph.readers().items()}
    for name in graph.outputs:
        readers[name] = readers.get(name, 0) + 1
    makers: dict[str, Node] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        for name in reversed(node.inputs):
            host = makers.get(name)
            if host is not None and readers[name] == 1 and fuse(host, node):
                host.layers += node.layers
                host.name = node.name
                makers[node.name] = host
                break
        else:
            kept.append(node)
            makers[node.name] = node
    graph.nodes = kept
