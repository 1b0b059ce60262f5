"""The sheet: every number of a network that paper can give, as one record.

Text, markdown, page and drawing are views of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from striate.design.arithmetic import volume
from striate.design.caption import caption, family
from striate.design.layer import Layer, Shape
from striate.design.memory import BYTES, Memory, memory
from striate.design.names import no_such_part
from striate.design.network import Network, Output
from striate.design.receptive import Axis, Field, last_with_places, receptive_fields
from striate.design.remarks import leftovers, remarks
from striate.records import Record, to_builtins


class Row(Record, frozen=True, kw_only=True):
    """One layer.

    Args:
        name, kind, inputs: as on the record.
        caption: kind and attributes in a few words.
        family: the family of kinds that drawings colour alike.
        output: shape without batch.
        parameters: trained values; shared ones count where they are owned.
        neurons: units of a convolution or fully connected layer, 0 elsewhere.
        macs: multiply-adds for one image.
        flops: twice as many.
        connections: inputs of all its units, their biases among them, as LeNet's paper counts.
        activation_bytes: of its output in float32; 0 where it can work in place.
        receptive_field: in input pixels.
    """

    name: str
    kind: str
    caption: str
    family: str
    inputs: tuple[str, ...]
    output: Shape
    parameters: int
    neurons: int
    macs: int
    flops: int
    connections: int
    activation_bytes: int
    receptive_field: Field


class Totals(Record, frozen=True, kw_only=True):
    """Sums over the layers, for one image; heads for training only do not count in macs.

    Args:
        parameters: trained values, those of heads for training with them.
        evaluation_parameters: without those.
        neurons: outputs of convolutions and fully connected layers.
        macs: multiply-adds of convolutions and fully connected layers.
        flops: twice as many.
        activations: elements of the input and of each conv, pool, fc, norm, concat and add output;
            activations and dropout, which can work in place, count with the layer before them.
        activation_bytes: the same in float32.
        receptive_field: of the last value on the way to the main output that still has places,
            before global pooling or flattening.
    """

    parameters: int
    evaluation_parameters: int
    neurons: int
    macs: int
    flops: int
    activations: int
    activation_bytes: int
    receptive_field: Field


class Sheet(Record, frozen=True, kw_only=True):
    """Every number of a network on paper.

    Args:
        network: its name.
        input: shape of the first input without batch.
        inputs: the shapes of all by name.
        outputs: the first one is the main one.
        layers: a row each.
        totals: for one image.
        memory: for a batch.
        notes: where memory and parameters lie, what does not fit, what is known to deviate.
    """

    network: str
    input: Shape
    inputs: dict[str, Shape]
    outputs: tuple[Output, ...]
    layers: tuple[Row, ...]
    totals: Totals
    memory: Memory
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the table that `striate design` prints."""
        from striate.design.table import text

        return text(self)

    def document(self) -> dict[str, Any]:
        """Return the JSON document that `striate design --json` prints."""
        document: dict[str, Any] = to_builtins(self)
        for row, kept in zip(document["layers"], self.layers, strict=True):
            row["receptive_field"] = _field(kept.receptive_field)
        document["totals"]["receptive_field"] = _field(self.totals.receptive_field)
        return document


def part(whole: Sheet, name: str) -> Sheet:
    """Return the rows of a layer or scope, with what they read as inputs; totals stay the whole's.

    Raises:
        UsageError: there is no such layer or scope; carries the nearest.
    """
    rows = tuple(row for row in whole.layers if row.name == name or row.name.startswith(f"{name}."))
    if not rows:
        raise no_such_part(whole.network, name, (row.name for row in whole.layers))
    inside, total = {row.name for row in rows}, whole.totals
    shapes = whole.inputs | {row.name: row.output for row in whole.layers}
    read = dict.fromkeys(each for row in rows for each in row.inputs if each not in inside)
    parameters, macs = (sum(getattr(row, key) for row in rows) for key in ("parameters", "macs"))
    note = (
        f"{name}: {parameters:,} parameters ({parameters / max(total.parameters, 1):.1%} of all), "
        f"{macs:,} multiply-adds ({macs / max(total.macs, 1):.1%})."
    )
    return whole.replace(
        layers=rows,
        inputs={each: shapes[each] for each in read},
        outputs=(Output(name="output", source=rows[-1].name),),
        notes=(note, *(each for each in whole.notes if each.startswith(tuple(inside)))),
    )


def sheet(network: Network, *, batch: int = 1) -> Sheet:
    """Compute the sheet of a network; its memory is that of a batch, all else of one image."""
    fields = receptive_fields(network)
    rows = tuple(_row(network, layer, fields[layer.name]) for layer in network.layers)
    kept = sum(row.activation_bytes for row in rows) // BYTES
    activations = kept + sum(volume(each.shape) for each in network.inputs)
    macs = network.macs()
    return Sheet(
        network=network.name,
        input=network.input_shape,
        inputs={each.name: each.shape for each in network.inputs},
        outputs=network.outputs,
        layers=rows,
        totals=Totals(
            parameters=network.parameter_count(),
            evaluation_parameters=network.parameter_count(train=False),
            neurons=sum(row.neurons for row in rows),
            macs=macs,
            flops=2 * macs,
            activations=activations,
            activation_bytes=BYTES * activations,
            receptive_field=fields[last_with_places(network)],
        ),
        memory=memory(network, batch),
        notes=(*remarks(rows), *leftovers(network), *_known(network)),
    )


def _row(network: Network, layer: Layer, field: Field) -> Row:
    shapes = network.input_shapes(layer)
    output = network.shapes()[layer.name]
    macs = layer.macs(*shapes)
    return Row(
        name=layer.name,
        kind=str(type(layer).__struct_config__.tag),
        caption=caption(layer),
        family=family(layer),
        inputs=layer.inputs,
        output=output,
        parameters=sum(parameter.size for parameter in layer.parameters(*shapes)),
        neurons=volume(output) if macs else 0,
        macs=macs,
        flops=2 * macs,
        connections=layer.connection_count(*shapes),
        activation_bytes=BYTES * volume(output) if layer.stored(*shapes) else 0,
        receptive_field=field,
    )


def _known(network: Network) -> Iterator[str]:
    """Yield what is known to deviate, layer by layer."""
    for layer in network.layers:
        if layer.note:
            yield f"{layer.name}: {layer.note}"


def _field(field: Field) -> dict[str, Any]:
    def columns(axes: tuple[Axis, ...]) -> dict[str, list[int]]:
        return {
            "size": [axis.size for axis in axes],
            "stride": [axis.stride for axis in axes],
            "offset": [axis.offset for axis in axes],
        }

    return {
        **columns(field.axes),
        "aligned": field.aligned,
        "alternatives": [columns(each) for each in field.alternatives],
        "whole": field.whole,
    }
