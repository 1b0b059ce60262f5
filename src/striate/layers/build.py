"""From paper to a trainable module: the one way a Net comes to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from striate.design import Layer, Network
from striate.errors import WeightsError
from striate.layers.initialise import initialise
from striate.layers.modules import module
from striate.layers.net import Net, Scope, scope_class, tie
from striate.layers.source import class_source, steps


def build(
    network: Network,
    *,
    seed: int | None = 0,
    parameters: nn.Module | None = None,
    parts: Mapping[str, nn.Module] | None = None,
) -> Net:
    """Build a network; torch's global generator is not touched.

    Args:
        network: on paper.
        seed: draws the initial values, each addressed by (seed, parameter name); None allocates
            nothing: the tensors are on the meta device until a state dict is assigned
            (`net.load_state_dict(state, assign=True)`).
        parameters: a module whose parameters and buffers are shared, by name, instead; where
            the network describes it, by the names it has there.
        parts: modules, by name, for layers that can only be counted.

    Returns:
        The Net, in training mode, float32, on the CPU.

    Raises:
        DesignError: a layer that can only be counted, and has no part.
        WeightsError: `parameters` lacks a tensor, or has one of another shape.

    Example:
        >>> from striate import zoo
        >>> net = build(zoo.network("lenet", classes=10), seed=1)
        >>> tuple(net(torch.zeros(2, 1, 28, 28)).shape)
        (2, 10)
    """
    with torch.device("meta"):
        net = cast(Net, _scope(network, "", parts or {}))
    tie(net)
    if parameters is not None:
        adopt(net, {**dict(parameters.named_parameters()), **dict(parameters.named_buffers())})
        return net
    own = dict(net.named_parameters())
    for parameter in network.parameters():
        if parameter.name in own:  # a part has its own
            own[parameter.name].requires_grad_(parameter.trainable)
    if seed is not None:
        _allocate(net, seed)
    return net


def adopt(net: Net, tensors: Mapping[str, Tensor]) -> None:
    """Make a net use given tensors, by name, without copying them.

    Raises:
        WeightsError: a tensor is missing or has another shape; names every one.
    """
    own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    tensors = _by_our_names(net.network, tensors)
    for name in own.keys() - tensors.keys():
        if name.endswith(".num_batches_tracked"):  # only an average over all batches needs it
            tensors[name] = torch.zeros((), dtype=torch.long, device="cpu")
    missing = [name for name in own if name not in tensors]
    misshapen = [
        f"{name} (expected {tuple(like.shape)}, received {tuple(tensors[name].shape)})"
        for name, like in own.items()
        if name in tensors and like.shape != tensors[name].shape
    ]
    if missing or misshapen:
        raise WeightsError(
            f"The tensors are not those of {net.network.name}. "
            + (f"Missing: {', '.join(missing)}. " if missing else "")
            + (f"Misshapen: {', '.join(misshapen)}." if misshapen else "")
        )
    for name in own:
        path, _, last = name.rpartition(".")
        owner = net.get_submodule(path)
        kept = owner._parameters if last in owner._parameters else owner._buffers
        kept[last] = tensors[name]  # type: ignore[assignment]
    tie(net)


def _by_our_names(network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a described module by the names that they have on paper."""
    ours = {here: tensors[there] for here, there in network.renamed if there in tensors}
    return {**tensors, **ours}


def _scope(network: Network, scope: str, parts: Mapping[str, nn.Module]) -> Scope:
    place = f"{network.name}.{scope}" if scope else network.name
    made = scope_class(not scope, place, class_source(network, scope))()
    if isinstance(made, Net):
        made.network = network
    layers = {layer.name: layer for layer in network.layers}
    for step in steps(network, scope):
        layer = layers.get(step.path)
        if layer is None:
            child: nn.Module = _scope(network, step.path, parts)
        else:
            child = parts[layer.name] if layer.name in parts else _leaf(network, layer)
        made.add_module(step.child, child)
    return made


def _leaf(network: Network, layer: Layer) -> nn.Module:
    return module(layer, *network.input_shapes(layer)).float()  # whatever torch's default is


def _allocate(net: Net, seed: int) -> None:
    net.to_empty(device="cpu")
    tie(net)
    for child in net.modules():
        if isinstance(child, nn.modules.batchnorm._NormBase):
            child.reset_running_stats()
    for parameter in net.network.parameters():
        initialise(net.get_parameter(parameter.name), parameter, seed)
    for layer in net.network.layers:
        for constant in layer.constants(*net.network.input_shapes(layer)):
            name = f"{layer.name}.{constant.name}"
            initialise(net.get_buffer(name), constant._replace(name=name), seed)
