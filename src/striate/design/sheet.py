"""The sheet: every number of a network that paper can give, as one record and as a table."""

from __future__ import annotations

from typing import Any

from striate.design.arithmetic import volume
from striate.design.layer import Layer, Shape
from striate.design.linear import by
from striate.design.network import Network
from striate.design.receptive import Axis, Field, receptive_fields
from striate.records import Record, to_builtins

_BYTES = 4  # of a float32


class Row(Record, frozen=True, kw_only=True):
    """One layer.

    Args:
        name, kind, inputs: as on the record.
        output: shape without batch.
        parameters: trained values; shared ones count where they are owned.
        neurons: units of a convolution or fully connected layer, 0 elsewhere.
        macs: multiply-adds for one image.
        flops: twice as many.
        activation_bytes: of its output in float32; 0 where it can work in place.
        receptive_field: in input pixels.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: Shape
    parameters: int
    neurons: int
    macs: int
    flops: int
    activation_bytes: int
    receptive_field: Field


class Totals(Record, frozen=True, kw_only=True):
    """Sums over the layers, for one image; heads for training only do not count in macs.

    Args:
        parameters: trained values, those of heads for training with them.
        evaluation_parameters: without those.
        macs: multiply-adds of convolutions and fully connected layers.
        flops: twice as many.
        activations: elements of the input and of each conv, pool, fc, norm, concat and add output;
            activations and dropout, which can work in place, count with the layer before them.
        activation_bytes: the same in float32.
        receptive_field: of the main output.
    """

    parameters: int
    evaluation_parameters: int
    macs: int
    flops: int
    activations: int
    activation_bytes: int
    receptive_field: Field


class Sheet(Record, frozen=True, kw_only=True):
    """Every number of a network on paper."""

    network: str
    input: Shape
    layers: tuple[Row, ...]
    totals: Totals
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON document that `striate design --json` prints."""
        document: dict[str, Any] = to_builtins(self)
        for row, kept in zip(document["layers"], self.layers, strict=True):
            row["receptive_field"] = _field(kept.receptive_field)
        document["totals"]["receptive_field"] = _field(self.totals.receptive_field)
        return document

    def text(self) -> str:
        """Return the table that a terminal shows."""
        header = ("layer", "kind", "output", "parameters", "MACs", "memory", "field", "stride")
        lines = [header, *map(_line, self.layers)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        table = [
            "  ".join(
                cell.ljust(width) if index < 3 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        total = self.totals
        table += [
            "",
            f"{self.network} on {by(self.input)}: {_parameters(total)}, "
            f"{total.macs:,} multiply-adds ({total.flops:,} FLOPs) an image, "
            f"{total.activations:,} activations "
            f"({_memory(total.activation_bytes)} in float32).",
            *self.notes,
        ]
        return "\n".join(table)


def sheet(network: Network) -> Sheet:
    """Compute the sheet of a network."""
    shapes, fields = network.shapes(), receptive_fields(network)
    rows = tuple(_row(network, layer, fields[layer.name]) for layer in network.layers)
    counted = sum(
        volume(shapes[layer.name])
        for layer in network.layers
        if layer.stored(*network.input_shapes(layer))
    )
    activations = counted + sum(volume(each.shape) for each in network.inputs)
    macs = network.macs()
    return Sheet(
        network=network.name,
        input=network.input_shape,
        layers=rows,
        totals=Totals(
            parameters=network.parameter_count(),
            evaluation_parameters=network.parameter_count(train=False),
            macs=macs,
            flops=2 * macs,
            activations=activations,
            activation_bytes=_BYTES * activations,
            receptive_field=fields[network.outputs[0].source],
        ),
        notes=_notes(network, rows),
    )


def _row(network: Network, layer: Layer, field: Field) -> Row:
    shapes = network.input_shapes(layer)
    output = network.shapes()[layer.name]
    macs = layer.macs(*shapes)
    return Row(
        name=layer.name,
        kind=str(type(layer).__struct_config__.tag),
        inputs=layer.inputs,
        output=output,
        parameters=sum(parameter.size for parameter in layer.parameters(*shapes)),
        neurons=volume(output) if macs else 0,
        macs=macs,
        flops=2 * macs,
        activation_bytes=_BYTES * volume(output) if layer.stored(*shapes) else 0,
        receptive_field=field,
    )


def _notes(network: Network, rows: tuple[Row, ...]) -> tuple[str, ...]:
    """Say where parameters, work and memory lie, and what is known to deviate."""
    notes = []
    for what, key in (
        ("parameters", "parameters"),
        ("multiply-adds", "macs"),
        ("activation memory", "activation_bytes"),
    ):
        most = max(rows, key=lambda row: getattr(row, key))
        total = sum(getattr(row, key) for row in rows)
        if total:
            share = getattr(most, key) / total
            notes.append(f"Most {what}: {most.name}, {share:.0%} of all.")
    notes += [f"{layer.name}: {layer.note}" for layer in network.layers if layer.note]
    return tuple(notes)


def _line(row: Row) -> tuple[str, ...]:
    field = row.receptive_field
    return (
        row.name,
        row.kind,
        by(row.output),
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.macs:,}" if row.macs else "",
        _memory(row.activation_bytes) if row.activation_bytes else "",
        "all" if field.whole else _sizes([axis.size for axis in field.axes]),
        "" if field.whole else _sizes([axis.stride for axis in field.axes]),
    )


def _parameters(total: Totals) -> str:
    text = f"{total.parameters:,} parameters"
    if total.parameters == total.evaluation_parameters:
        return text
    return f"{text} ({total.evaluation_parameters:,} without heads for training)"


def _memory(count: int) -> str:
    """Spell bytes in units of 1000, as disks and GPUs are sold: 18.8 kB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _sizes(sizes: list[int]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else by(tuple(sizes))


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
