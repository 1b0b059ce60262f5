"""A layer, a chain or a graph in the spellings of other libraries, and what they cannot say.

Torch is Lua's Torch7; Lasagne, Caffe and PyTorch as they were last released. Each dialect is one
file with a function for each kind; a kind that a library lacks is said, not guessed.

Example:
    >>> from striate.design import Sketch
    >>> net = Sketch("small", (3, 32, 32))
    >>> _ = net.conv("conv1", 10, 5, padding=2)
    >>> print(spell(net.finish(), "torch").code)
    module = nn.SpatialConvolution(3, 10, 5, 5, 1, 1, 2, 2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from striate.design.init import FanInUniform, Xavier
from striate.design.layer import Layer
from striate.design.names import no_such_part
from striate.design.network import Network
from striate.design.spelling import caffe, lasagne, pytorch, torch7
from striate.design.spelling.said import Said
from striate.errors import UsageError, did_you_mean
from striate.records import Record, kind_of, nearest

DIALECTS = ("torch", "lasagne", "caffe", "pytorch")

_WRITERS: dict[str, tuple[str, Callable[[Network, tuple[Layer, ...]], Said]]] = {
    "torch": ("--", torch7.write),
    "lasagne": ("#", lasagne.write),
    "caffe": ("#", caffe.write),
    "pytorch": ("#", pytorch.write),
}


class Spelling(Record, frozen=True, kw_only=True):
    """Layers in another library's words.

    Args:
        network, dialect: what was spelled, and for whom.
        code: the words.
        notes: what they cannot say, or say differently.
    """

    network: str
    dialect: str
    code: str
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the code with the notes as comments above it."""
        mark = _WRITERS[self.dialect][0]
        return "\n".join([*(f"{mark} {note}" for note in self.notes), self.code])


def spell(network: Network, dialect: str, layer: str | None = None) -> Spelling:
    """Spell a network, or a layer or scope of it.

    Args:
        network: on paper.
        dialect: torch, lasagne, caffe or pytorch.
        layer: name of a layer or scope; all unless given.

    Raises:
        UsageError: an unknown dialect or layer; carries the nearest.
    """
    if dialect not in _WRITERS:
        meant = did_you_mean(nearest(dialect, DIALECTS))
        raise UsageError(f"Expected --as {', '.join(DIALECTS)}, received {dialect!r}.{meant}")
    chosen = tuple(
        each
        for each in network.layers
        if layer is None or each.name == layer or each.name.startswith(f"{layer}.")
    )
    if not chosen:
        raise no_such_part(network.name, str(layer), (each.name for each in network.layers))
    said = _WRITERS[dialect][1](network, chosen)
    return Spelling(
        network=network.name,
        dialect=dialect,
        code=said.code,
        notes=tuple(dict.fromkeys([*said.notes, *_unsaid(network, chosen, dialect)])),
    )


def _unsaid(network: Network, layers: tuple[Layer, ...], dialect: str) -> Iterator[str]:
    """Yield what only Caffe's words hold: starts, frozen layers, multipliers of the rate."""
    if dialect == "caffe":
        return
    default = Xavier if dialect == "lasagne" else FanInUniform
    parameters = [
        each for layer in layers for each in layer.parameters(*network.input_shapes(layer))
    ]
    starts = {type(each.init) for each in parameters if each.role == "weight"} - {default}
    if starts:
        names = ", ".join(sorted(kind_of(start.__name__) for start in starts))
        yield f"How weights start ({names}) is not part of these words."
    if any((each.rate, each.decay, each.trainable) != (1.0, 1.0, True) for each in parameters):
        yield "Frozen layers and multipliers of rate and decay are not part of these words."
