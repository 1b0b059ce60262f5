"""The plan: how each convolution of a network is computed on this machine, measured and kept.

It replaces guesses by shape, and the silent choice that a library makes anew in every process. A
plan is made once for a network, an input, a batch and a direction, kept in the user's cache folder,
and saved with a run; arithmetic that follows one plan gives the same bits.
"""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch
from torch import nn

import striate
from striate import design, progress
from striate.design import Network, Shape
from striate.engine import fast
from striate.engine.choice import DEFAULT, LayerPlan, Limits
from striate.engine.fast import Direction
from striate.engine.layer import measure
from striate.engine.memory import keep_freed_memory
from striate.engine.node import Node, graph
from striate.engine.simplify import simplify, take_weights
from striate.engine.table import plan_table
from striate.errors import RecordError, UsageError
from striate.files import atomic_write, cache_folder
from striate.layers import build
from striate.ops import Machine, machine, native
from striate.records import Record, digest, from_json, to_json

Layout = Literal["channels_last", "contiguous"]


class Key(Record, frozen=True, kw_only=True):
    """What a plan holds for.

    Args:
        version: of plans.
        machine: processor, vector instructions, cores, threads.
        versions: of what computes, our kernels' files among them.
        direction: inference, or training: forward, input gradient and weight gradient.
        dtype: of images and weights.
        layout: memory order of images.
        network: digest of its record.
        input: shape of an image.
        batch: images at a time; a smaller last batch obeys the same plan.
    """

    version: int = 2
    machine: Machine
    versions: dict[str, str]
    direction: Direction
    dtype: str = "float32"
    layout: Layout = "channels_last"
    network: str
    input: Shape
    batch: int


class Plan(Record, frozen=True, kw_only=True):
    """How each convolution is computed, and what it took.

    Args:
        machine: on which it was measured.
        key: what it holds for.
        network: its name.
        layers: the convolutions, in order.
        total_ms: sum of the chosen algorithms' times.
        default_ms: sum of the defaults' times.
    """

    machine: Machine
    key: Key
    network: str
    layers: tuple[LayerPlan, ...]
    total_ms: float
    default_ms: float

    def __str__(self) -> str:
        return "\n\n".join(each for each in plan_table(self) if each)

    @property
    def algorithms(self) -> dict[str, str]:
        """The algorithm of each layer where it is not torch's own."""
        return {each.name: each.chosen for each in self.layers if each.chosen != DEFAULT}

    def within(self, limits: Limits) -> Plan:
        """Return it with the choices made again, within limits."""
        return _plan(self.key, self.network, tuple(each.within(limits) for each in self.layers))


def plan(
    network: Network,
    *,
    batch: int = 1,
    direction: Direction = "inference",
    limits: Limits | None = None,
    layout: Layout = "channels_last",
    rounds: int = 9,
    cached: bool = True,
    again: bool = False,
) -> Plan:
    """Measure a network's convolutions, or read what was measured before on this machine.

    Candidates of a layer are called in turn on images and weights drawn at random, with as much
    memory moved through the caches before each call as the rest of the network moves; layers alike
    are measured once. The default is also compared with itself: what replaces it leads by more.

    Args:
        network: on paper; its input is the image.
        batch: images at a time.
        direction: what is timed: an evaluation, or forward and backward.
        limits: of memory and error that a chosen algorithm keeps within.
        layout: memory order of images; inference always has channels last.
        rounds: how often each candidate is called.
        cached: whether to read what is kept, and to keep it.
        again: whether to measure in any case, and keep that.

    Returns:
        The plan.
    """
    key = _key(network, batch, direction, layout)
    path = cache_folder() / "plans" / f"{digest(key)}.json"
    found = _read(path, key, network) if cached and not again else None
    if found is None:
        found = _plan(key, network.name, _measure(network, key, rounds))
        if cached:
            with suppress(OSError):  # it is measured again next time
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(path, to_json(found, indent=2))
    return found.within(limits or Limits())


def read(path: Path) -> Plan:
    """Read a plan from a file.

    Raises:
        RecordError: it is none; says what it lacks.
    """
    return from_json(Plan, path.read_bytes(), str(path))


def _key(network: Network, batch: int, direction: Direction, layout: Layout) -> Key:
    return Key(
        machine=machine(),
        versions={
            "striate": striate.__version__,
            "torch": str(torch.__version__),
            "kernels": native.version(),
        },
        direction=direction,
        layout=layout,
        network=digest(network),
        input=network.input_shape,
        batch=batch,
    )


def _read(path: Path, key: Key, network: Network) -> Plan | None:
    """Return what is kept, if it is as it was written: a plan that this network can follow."""
    try:
        found = read(path)
        for layer in found.layers:
            for algorithm in layer.candidates:
                fast.check(network, {layer.name: algorithm}, key.direction)
        same = found == _plan(key, found.network, found.layers)  # nothing is missing: it adds up
    except (OSError, RecordError, UsageError, KeyError):
        return None
    return found if same else None


def _plan(key: Key, network: str, layers: tuple[LayerPlan, ...]) -> Plan:
    return Plan(
        machine=key.machine,
        key=key,
        network=network,
        layers=layers,
        total_ms=sum(each.candidates[each.chosen].ms for each in layers),
        default_ms=sum(each.candidates[DEFAULT].ms for each in layers),
    )


def _measure(network: Network, key: Key, rounds: int) -> tuple[LayerPlan, ...]:
    nodes = _convolutions(network, key.direction)
    keep_freed_memory()
    values = sum(math.prod(shape) for shape in network.shapes().values())
    traffic = 4 * (network.parameter_count() + key.batch * values)
    records = {each.name: each for each in network.layers}
    seen: dict[object, LayerPlan] = {}
    found = []
    for node in progress.track(nodes, "measuring convolutions", "layers", len(nodes)):
        alike = _signature(node)
        if alike not in seen:
            names = fast.algorithms(node.record, node, key.direction)
            seen[alike] = measure(
                node, names, key.batch, key.direction, key.layout, rounds, traffic
            )
        name, *fused = (each for each in node.layers if isinstance(records[each], design.Conv))
        found.append(seen[alike].replace(name=name, fused=tuple(fused)))
    return tuple(found)


def _convolutions(network: Network, direction: Direction) -> list[Node]:
    """Return the nodes to plan, with tensors that have shapes and no memory."""
    made = graph(build(network, seed=None, parts=_unplanned(network)), native=True)
    if direction == "inference":
        nodes = simplify(made).nodes
    else:
        nodes = made.nodes
        for node in nodes:
            take_weights(node.record, node)
    return [
        node for node in nodes if isinstance(node.record, design.Conv) and node.weight is not None
    ]


def _unplanned(network: Network) -> dict[str, nn.Module]:
    """Return stand-ins for what is computed by torch in any case."""
    opaque = (each.name for each in network.layers if isinstance(each, design.Opaque))
    return {name: nn.Identity() for name in opaque}


def _signature(node: Node) -> object:
    """Return what layers alike share; an epilogue changes no choice."""
    plain = [
        each.record.replace(name="_", inputs=("_",), note="", shares=None) for each in node.parts
    ]
    return (*(digest(each) for each in plain), node.shapes[0])
