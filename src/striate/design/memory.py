"""Memory on paper, in bytes of float32: what a pass forward needs, and what training keeps.

Activations and dropout work in place where nothing else reads what they overwrite; everything else
has an output of its own. A forecast of what a process really takes is another matter: it knows the
optimiser, the precision and the algorithms' workspace.
"""

from __future__ import annotations

from striate.design.arithmetic import volume
from striate.design.network import Network
from striate.records import Record

BYTES = 4  # of a float32


class Memory(Record, frozen=True, kw_only=True):
    """Bytes for a batch.

    Args:
        batch: images.
        parameters: of all trained values.
        forward: the most that is alive at once in evaluation, the input with it, without
            parameters: each value is dropped after its last reader.
        kept: all activations, which training keeps for the way back.
    """

    batch: int
    parameters: int
    forward: int
    kept: int


def memory(network: Network, activations: int, batch: int = 1) -> Memory:
    """Return the memory of a batch; `activations` are those of one image."""
    return Memory(
        batch=batch,
        parameters=BYTES * network.parameter_count(),
        forward=BYTES * batch * peak(network),
        kept=BYTES * activations * batch,
    )


def peak(network: Network) -> int:
    """Return the most elements alive at once while one image passes through in evaluation."""
    used, shapes = network.needed(train=False), network.shapes()
    layers = [layer for layer in network.layers if layer.name in used]
    last = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    for output in network.outputs:
        last[output.source] = len(layers)
    owner: dict[str, str] = {each.name: each.name for each in network.inputs}
    alive = {each.name: volume(each.shape) for each in network.inputs}
    until = {each.name: last.get(each.name, -1) for each in network.inputs}
    most = sum(alive.values())
    for index, layer in enumerate(layers):
        source = owner[layer.inputs[0]]
        in_place = not layer.stored(*network.input_shapes(layer)) and until[source] <= index
        own = source if in_place else layer.name
        owner[layer.name] = own
        alive.setdefault(own, volume(shapes[layer.name]))
        until[own] = max(until.get(own, -1), last.get(layer.name, index))
        most = max(most, sum(alive.values()))
        for value in [value for value in alive if until[value] <= index]:
            del alive[value]
    return most
