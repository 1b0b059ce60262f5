"""Memory on paper, in bytes of float32: what a pass forward needs, and what training takes.

In evaluation, activations and dropout may work in place where nothing else reads what they
overwrite; everything else has an output of its own. Training is forecast from what torch keeps.
"""

from __future__ import annotations

from striate.design.arithmetic import volume
from striate.design.forecast import forecast, saved_bytes
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
        kept: what training keeps for the way back.
        training: the peak of a training step, with SGD and momentum.
    """

    batch: int
    parameters: int
    forward: int
    kept: int
    training: int


def memory(network: Network, batch: int = 1) -> Memory:
    """Return the memory of a batch."""
    return Memory(
        batch=batch,
        parameters=BYTES * network.parameter_count(),
        forward=BYTES * batch * peak(network),
        kept=saved_bytes(network, batch=batch),
        training=forecast(network, batch=batch).peak,
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
