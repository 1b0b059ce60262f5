"""Running a net layer by layer, so that any value can be read or replaced without a hook.

A Net has one module a layer and nothing in place (reused, functional and in-place activations of
the module it was described from are layers of their own), so that walking its record computes what
calling it computes. Methods that look inside are built on this one loop; they add no hooks, so none
can be left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from striate.design import Layer
from striate.design.names import no_such_part
from striate.errors import DesignError
from striate.inference import PixelNet
from striate.layers import Net, undisturbed

Rule = Callable[[Layer, Tensor], Tensor | None]


@contextmanager
def looking(net: torch.nn.Module) -> Iterator[None]:
    """Look at a net in eval mode with gradients on, and leave it as it was found."""
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(net):
        net.eval()
        yield


def walk(
    net: Net,
    values: Mapping[str, Tensor] | Tensor,
    keep: Collection[str] = (),
    rule: Rule | None = None,
) -> dict[str, Tensor]:
    """Run a net from some values to others.

    Args:
        net: the net, in the mode it is wanted in.
        values: what to start from: the input, or values by name, from which the rest follows.
        keep: names of the values wanted; the main output alone unless given. Nothing behind the
            last of them is computed.
        rule: is shown each layer and its (first) input, and may return the layer's output instead
            of its module; None leaves it to the module.

    Returns:
        The values wanted, by name.

    Raises:
        UsageError: no such layer; carries the nearest names.
        DesignError: one that does not follow from the values given.
    """
    network = net.network
    start = {network.inputs[0].name: values} if isinstance(values, Tensor) else dict(values)
    wanted = dict.fromkeys(keep or (network.outputs[0].source,))
    known = {name: value for name, value in start.items() if name in wanted}
    layers = _path(net, start, set(wanted) - known.keys())
    modules = dict(net.named_modules(remove_duplicate=False))
    last = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    for index, layer in enumerate(layers):
        inputs = [start[name] for name in layer.inputs]
        made = rule(layer, inputs[0]) if rule is not None else None
        value = modules[layer.name](*inputs) if made is None else made
        start[layer.name] = value
        if layer.name in wanted:
            known[layer.name] = value
        for name in layer.inputs:
            if last[name] == index:
                start.pop(name, None)
    return {name: known[name] for name in wanted}


def _path(net: Net, start: Mapping[str, Tensor], wanted: set[str]) -> list[Layer]:
    """Return the layers that lead from the values given to those wanted, in order."""
    known = [layer.name for layer in net.network.layers]
    if strangers := wanted - set(known):
        raise no_such_part(net.network.name, min(strangers), known)
    path, needed = [], set(wanted)
    for layer in reversed(net.network.layers):
        if layer.name in needed and layer.name not in start:
            path.append(layer)
            needed.update(layer.inputs)
    lacking = {each.name for each in net.network.inputs} & needed - start.keys()
    if lacking:
        raise DesignError(f"{net.network.name}: {min(lacking)} is needed and was not given.")
    return path[::-1]


def net_of(seen: PixelNet) -> Net:
    """Return the Net inside, for methods that look at its layers.

    Raises:
        DesignError: it is another module, whose layers are not known; `striate.describe` reads it.
    """
    if not isinstance(seen.net, Net):
        raise DesignError(
            f"Expected a Net, received {type(seen.net).__name__}: this method looks at layers. "
            "Describe the module first: build(striate.describe(module, shape), parameters=module)."
        )
    return seen.net
