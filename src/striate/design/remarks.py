"""Remarks of a sheet on itself: where memory, parameters and work lie, what is not aligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.design.arithmetic import remainder
from striate.design.fit import any_paddings, equal_paddings, fits, spell_padding
from striate.design.layer import Shape
from striate.design.linear import Conv
from striate.design.network import Network
from striate.design.pooling import Pool

if TYPE_CHECKING:
    from striate.design.sheet import Row

_WORTH_SAYING = 0.1  # the largest layer's share of something
_MOST_LEFTOVERS = 3
_KINDS = {"fc": "fully connected", "conv": "conv", "norm": "normalisation"}


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what stands out, in sentences with numbers."""
    memory, parameters = _where(rows, "activation_bytes"), _where(rows, "parameters")
    if memory and parameters:
        yield f"Most memory is in {memory}, most parameters in {parameters}."
    for what, key in (
        ("parameters", "parameters"),
        ("multiply-adds", "macs"),
        ("activation memory", "activation_bytes"),
    ):
        most = max(rows, key=lambda row: getattr(row, key))
        share = getattr(most, key) / max(_total(rows, key), 1)
        if share >= _WORTH_SAYING:
            yield f"Most {what}: {most.name}, {share:.0%} of all."
    if any(row.kind in ("subsample", "rbf") for row in rows):
        connections = sum(row.connections for row in rows)
        yield (
            f"{connections:,} connections, as LeNet's paper counts: the inputs of all units, their "
            "biases among them."
        )
    yield from _unaligned(rows)


def leftovers(network: Network) -> Iterator[str]:
    """Name the windows that leave out pixels at the end, with what would fit instead.

    Rounding down drops them. Padding that no window reaches is no loss, and a stride larger than
    the window skips pixels on purpose.
    """
    found = 0
    for layer in network.layers:
        (shape, *_), output = network.input_shapes(layer), network.shapes()[layer.name]
        if isinstance(layer, Conv | Pool) and not getattr(layer, "ceil", False):
            sentence = _leftover(layer, shape[1:], output[1:])
            found += bool(sentence)
            if sentence and found <= _MOST_LEFTOVERS:
                yield sentence
    if found > _MOST_LEFTOVERS:
        yield f"So do {found - _MOST_LEFTOVERS} more layers."


def _leftover(layer: Conv | Pool, space: Shape, output: Shape) -> str:
    dilations = getattr(layer, "dilation", (1,) * len(space))
    for size, kernel, stride, padding, dilation, count in zip(
        space, layer.kernel, layer.stride, layer.padding, dilations, output, strict=True
    ):
        lost = remainder(size, kernel, stride, padding, dilation) - padding[1]
        if lost <= 0 or kernel < stride:
            continue
        pads = (*equal_paddings(kernel, dilation), *any_paddings(kernel, dilation))
        fit = next(iter(fits(size, kernel, [stride], pads, dilation)), None)
        others = fits(size, kernel, range(1, kernel + 1), [padding], dilation)
        better = [f"P={spell_padding(fit.padding)} ({fit.output})"] if fit else []
        below = [each for each in others if each.stride <= stride]
        better += [f"S={each.stride} ({each.output})" for each in below[-1:] or others[:1]]
        return (
            f"{layer.name}: F={kernel}, S={stride}, P={spell_padding(padding)} leaves out the last "
            f"{lost} of {size} pixels, output {count}; {' or '.join(better)} would fit."
        )
    return ""


def _where(rows: Sequence[Row], key: str) -> str:
    """Say where over half of something lies: in which kind of layer, early or late among them."""
    having = [row for row in rows if getattr(row, key)]
    if len(having) < 4:
        return ""
    half = len(having) // 2
    kinds = sorted({row.family for row in having})
    halves = {"early": having[:half], "late": having[half:]}
    places = [
        *(
            (f"{when} {_KINDS.get(family, family)}", some, family)
            for family in kinds
            for when, some in halves.items()
        ),
        *((f"{when}", some, "") for when, some in halves.items()),
        *((_KINDS.get(family, family), having, family) for family in kinds),
    ]
    for place, some, family in places:
        share = _of(some, family, key) / _total(rows, key)
        if share > 0.5:
            return f"{place} layers ({share:.0%})"
    return ""


def _unaligned(rows: Sequence[Row]) -> Iterator[str]:
    """Name the places where branches meet that do not look at the same pixels."""
    inputs = {row.name: row for row in rows}
    for row in rows:
        field = row.receptive_field
        sources = (inputs.get(name) for name in row.inputs)
        if field.aligned or not all(s is None or s.receptive_field.aligned for s in sources):
            continue
        ways = " and ".join(
            "x".join(f"{axis.size} from {axis.offset}" for axis in axes[-1:])
            for axes in field.alternatives
        )
        yield f"{row.name}: its branches are not aligned; their fields are {ways} (pixels)."


def _total(rows: Sequence[Row], key: str) -> int:
    return sum(int(getattr(row, key)) for row in rows)


def _of(rows: Sequence[Row], family: str, key: str) -> int:
    return sum(int(getattr(row, key)) for row in rows if family in ("", row.family))
