"""Peak memory of a training step, on paper: what torch's autograd keeps, and when it lets go.

The step is walked through layer by layer, forward and back, as the built network does it: a value
lives until its last reader has run, or until the way back has passed whatever kept it. The peak is
the largest sum along the way, so that branches, shortcuts and late heavy layers count where they
are.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from striate.design import linear, wiring
from striate.design.arithmetic import volume
from striate.design.keeping import kept
from striate.design.layer import Layer
from striate.design.network import Network
from striate.errors import UsageError
from striate.records import Record

Precision = Literal["float32", "bfloat16", "float16"]
Layout = Literal["channels_last", "contiguous"]

_STATES = {  # numbers kept for each weight
    "sgd": 1,
    "sgd_plain": 0,
    "adam": 2,
    "adamw": 2,
    "adagrad": 1,
    "rmsprop": 1,
    "rmsprop_momentum": 2,
    "muon": 2,  # at most: filters keep 1
    "lbfgs": 22,  # ten pairs, the last gradient and the last update
}


class Forecast(Record, frozen=True, kw_only=True):
    """Memory of training at its peak, in bytes; the parts are those of that moment.

    Args:
        batch: images a step, in this process and micro-batch.
        optimiser: sgd (with momentum), sgd_plain, adam, adamw or another that a recipe has.
        precision: float32, or that of automatic mixed precision.
        weights: parameters and buffers; twice over with a running average.
        gradients: of the layers that the way back has passed.
        state: of the optimiser.
        activations: kept for the way back, with the batch itself.
        workspace: values and gradients on their way.
        layer: where it happens.
        phase: forward or backward.
    """

    batch: int
    optimiser: str
    precision: Precision
    weights: int
    gradients: int
    state: int
    activations: int
    workspace: int
    layer: str
    phase: Literal["forward", "backward"]

    @property
    def peak(self) -> int:
        """The sum of all parts."""
        return self.weights + self.gradients + self.state + self.activations + self.workspace


def forecast(
    network: Network,
    *,
    batch: int,
    optimiser: str = "sgd",
    precision: Precision = "float32",
    average: bool = False,
    layout: Layout = "channels_last",
) -> Forecast:
    """Forecast the peak memory of a training step.

    Args:
        network: on paper, with the heads it trains with.
        batch: images a step.
        optimiser: sgd (with momentum), sgd_plain, adam, adamw or another that a recipe has.
        precision: of automatic mixed precision, or float32.
        average: whether a running average of the weights is kept.
        layout: memory order of images; batches arrive contiguous and are copied to the other.

    Raises:
        UsageError: an optimiser that is not known.
    """
    if optimiser not in _STATES:
        raise UsageError(f"Expected an optimiser of {', '.join(_STATES)}, received {optimiser!r}.")
    walk = _Walk(network, batch, precision)
    walk.forward()
    walk.backward()
    trained = sum(each.size for each in network.parameters() if each.trainable)
    buffers = sum(layer.buffers(*network.input_shapes(layer)) for layer in network.layers)
    weights = 4 * network.parameter_count() * (2 if average else 1) + 4 * buffers
    moment = max(walk.moments, key=lambda each: each.total)
    return Forecast(
        batch=batch,
        optimiser=optimiser,
        precision=precision,
        weights=weights + walk.casts,
        gradients=moment.gradients,
        state=4 * _STATES[optimiser] * trained,
        activations=moment.kept + _copied(network, batch, layout),
        workspace=moment.passing,
        layer=moment.layer,
        phase=moment.phase,
    )


def saved_bytes(network: Network, *, batch: int, precision: Precision = "float32") -> int:
    """Return what a forward pass in training leaves behind for the way back, parameters apart."""
    walk = _Walk(network, batch, precision)
    walk.forward()
    unread = [each.name for each in network.inputs if walk.holders[each.name] == 1]
    return walk.kept - sum(walk.size[name] for name in unread)


def largest_batch(
    network: Network,
    memory: int,
    *,
    optimiser: str = "sgd",
    precision: Precision = "float32",
    average: bool = False,
) -> int:
    """Return the largest batch whose forecast peak is at most `memory` bytes; 0 where none is."""

    def fits(batch: int) -> bool:
        found = forecast(
            network, batch=batch, optimiser=optimiser, precision=precision, average=average
        )
        return found.peak <= memory

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= 1 << 24 and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _copied(network: Network, batch: int, layout: Layout) -> int:
    """Return the bytes of the batch as it arrived, where the step holds it in another order."""
    copied = layout == "channels_last" and min(network.input_shape) > 1
    return 4 * batch * volume(network.input_shape) if copied else 0


class _Moment(NamedTuple):
    kept: int
    passing: int
    gradients: int
    layer: str
    phase: Literal["forward", "backward"]

    @property
    def total(self) -> int:
        return self.kept + self.passing + self.gradients


class _Walk:
    """One step, value by value; sizes in bytes of the whole batch.

    A value is loose while something will still read it, and kept while a layer holds it for the way
    back; kept values are not counted as loose.
    """

    def __init__(self, network: Network, batch: int, precision: Precision) -> None:
        self.network, self.batch = network, batch
        self.half = precision != "float32"
        needed = network.needed(train=True)
        self.layers = [layer for layer in network.layers if layer.name in needed]
        self.last = {
            name: index for index, layer in enumerate(self.layers) for name in layer.inputs
        }
        self.last |= {output.source: len(self.layers) for output in network.outputs}
        self.memory: dict[str, str] = {}  # value -> the value whose memory it lies in
        self.width: dict[str, int] = {}
        self.size: dict[str, int] = {}
        self.until: dict[str, int] = {}  # memory -> index of its last reader
        self.holders: Counter[str] = Counter()
        self.tracked: set[str] = set()  # values that a gradient flows back to
        self.extra: dict[str, int] = {}
        self.loose = self.kept = self.gradients = self.casts = 0
        self.moments: list[_Moment] = []
        for each in network.inputs:
            self._add(each.name, 4, volume(each.shape))
            self._hold(each.name)  # by the caller

    def forward(self) -> None:
        """Run forward; what nothing reads or keeps any more is dropped."""
        for index, layer in enumerate(self.layers):
            self._give(layer)
            for memory in self._held(layer):
                self._hold(memory)
            self._see(layer, "forward", passing=self.loose)
            for memory in {self.memory[name] for name in (*layer.inputs, layer.name)}:
                if self.until[memory] <= index and not self.holders[memory]:
                    self.loose -= self.size[memory]

    def backward(self) -> None:
        """Run back; gradients come and go, kept values are let go layer by layer."""
        coming = {self.memory[output.source] for output in self.network.outputs}
        total = sum(self.size[memory] for memory in coming)
        for layer in reversed(self.layers):
            if layer.name not in self.tracked:
                continue
            shapes = self.network.input_shapes(layer)
            own = self.memory[layer.name]
            sources = {self.memory[name] for name in layer.inputs if name in self.tracked} - {own}
            new = sum(self.size[memory] for memory in sources)
            self.gradients += sum(
                4 * each.size for each in layer.parameters(*shapes) if each.trainable
            )
            passing = self.loose + total
            if not isinstance(layer, wiring.Add):  # both its sides get the very gradient that came
                passing += new
            if isinstance(layer, linear.Conv):  # its gradient, in the order of the kernel
                passing += 4 * volume(layer.parameters_of_weight(shapes[0]))
            self._see(layer, "backward", passing)
            total += sum(self.size[memory] for memory in sources - coming)
            coming |= sources
            if own in coming and self.memory[layer.name] == layer.name:
                coming.discard(own)
                total -= self.size[own]
            self.kept -= self.extra.pop(layer.name, 0)
            for memory in self._held(layer, again=True):
                self._release(memory)

    def _give(self, layer: Layer) -> None:
        shape = self.network.shapes()[layer.name]
        parameters = layer.parameters(*self.network.input_shapes(layer))
        if self.tracked.intersection(layer.inputs) or any(each.trainable for each in parameters):
            self.tracked.add(layer.name)
        source = layer.inputs[0]
        width = self.width[source]
        if self.half and isinstance(layer, linear.Conv | linear.Linear):
            width = 2
            self.casts += sum(2 * each.size for each in parameters)
        if isinstance(layer, wiring.Flatten | wiring.Identity):
            memory = self.memory[layer.name] = self.memory[source]
            self.width[layer.name] = width
            self.until[memory] = max(self.until[memory], self.last.get(layer.name, -1))
        else:
            self._add(layer.name, width, volume(shape))

    def _held(self, layer: Layer, *, again: bool = False) -> list[str]:
        """Return the memories that a layer keeps, and note what it keeps beside them."""
        if layer.name not in self.tracked:
            return []
        shapes = self.network.input_shapes(layer)
        keeps = kept(layer, *shapes)
        width = self.width[layer.inputs[0]]
        casted = self.half and width == 4 and isinstance(layer, linear.Conv | linear.Linear)
        if not again:
            one = keeps.copies * width + keeps.bytes + (2 * volume(shapes[0]) if casted else 0)
            self.extra[layer.name] = self.batch * one + keeps.once
            self.kept += self.extra[layer.name]
        held = [self.memory[name] for name in layer.inputs] if keeps.inputs and not casted else []
        return held + ([self.memory[layer.name]] if keeps.output else [])

    def _add(self, name: str, width: int, elements: int) -> None:
        self.memory[name], self.width[name] = name, width
        self.size[name] = self.batch * width * elements
        self.until[name] = self.last.get(name, -1)
        self.loose += self.size[name]

    def _hold(self, memory: str) -> None:
        self.holders[memory] += 1
        if self.holders[memory] == 1:
            self.loose -= self.size[memory]
            self.kept += self.size[memory]

    def _release(self, memory: str) -> None:
        self.holders[memory] -= 1
        if not self.holders[memory]:
            self.kept -= self.size[memory]

    def _see(self, layer: Layer, phase: Literal["forward", "backward"], passing: int) -> None:
        self.moments.append(_Moment(self.kept, passing, self.gradients, layer.name, phase))
