"""Batch normalisation with the sum and the rectifier after it, in few passes over memory.

Values lie as rows of channels; where channels are few, several pixels make a row, so that a row is
some vectors wide. What is summed over rows is summed in pieces of equal length, whoever sums them,
so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from striate.ops.assembly import Function, Lanes, Word
from striate.ops.native import Kernel, compile_functions
from striate.ops.tiles import in_vectors

_TOGETHER = 4  # vectors of a row that are summed at a time


def _columns(code: Function) -> Iterator[list[tuple[Word, str | None]]]:
    """Write loops over a row's floats: yields offsets in bytes of vectors, with their masks."""
    several = _TOGETHER * code.lanes
    whole = code.width - code.width % several
    with code.loop(whole, several) as column:
        yield [((column + each * code.lanes) * 4, None) for each in range(_TOGETHER)]
    for column, mask in in_vectors(code, code.width - whole):
        yield [((whole + column) * 4, mask)]


def _piece(code: Function) -> tuple[Word, Word]:
    """Return the first row of a piece, and that after its last."""
    first = code.piece * code.length
    return first, (first + code.length).least(code.rows)


def _rows_of(
    code: Function, at: Word, count: int, columns: list[tuple[Word, str | None]]
) -> list[list[Lanes]]:
    """Read so many rows of numbers for some vectors of columns."""
    step = code.width * 4
    return [
        [code.part(at + step * row + offset, mask) for row in range(count)]
        for offset, mask in columns
    ]


def moments(lanes: int) -> Function:
    """Sum x - centre and its squares over rows; the centre is any number near the values."""
    names = "x centre width rows length sums room"
    code = Function("moments", names, lanes, pieces="piece")
    first, last = _piece(code)
    step, out = code.width * 4, code.sums + code.piece * code.width * 8
    totals = [(code.variable(), code.variable()) for _ in range(_TOGETHER)]
    for columns in _columns(code):
        centres = [code.part(code.centre + at, mask) for at, mask in columns]
        for once, twice in totals[: len(columns)]:
            once.set(code.constant(0.0))
            twice.set(code.constant(0.0))
        with code.loop(last, 1, first) as row:
            for (at, mask), centre, (once, twice) in zip(columns, centres, totals, strict=False):
                value = code.part(code.x + row * step + at, mask) - centre
                once.set(once.get() + value)
                twice.set(value.times_plus(value, twice.get()))
        for (at, mask), (once, twice) in zip(columns, totals, strict=False):
            code.store_part(once.get(), out + at, mask)
            code.store_part(twice.get(), out + step + at, mask)
    return code


def _summed(code: Function, channel: Word, mask: str | None) -> tuple[Lanes, Lanes]:
    """Return the two sums of a vector of channels over all pieces and pixels of a row."""
    once, twice = code.variable(), code.variable()
    once.set(code.constant(0.0))
    twice.set(code.constant(0.0))
    with (
        code.loop(code.count) as piece,
        code.loop(code.width, code.channels) as pixel,
    ):
        at = code.sums + piece * code.width * 8 + (pixel + channel) * 4
        once.set(once.get() + code.part(at, mask))
        twice.set(twice.get() + code.part(at + code.width * 4, mask))
    return once.get(), twice.get()


def _spread_out(code: Function, value: Lanes, into: Word, channel: Word, mask: str | None) -> None:
    """Write a vector of channels for every pixel of a row."""
    with code.loop(code.width, code.channels) as pixel:
        code.store_part(value, into + (pixel + channel) * 4, mask)


def statistics(lanes: int) -> Function:
    """Mean and deviation of channels, of what was summed; running estimates move towards them.

    `numbers` are 1 / count, eps, momentum, count / (count - 1); `known` is (4, width): mean, slope,
    bias, 1 / deviation of every float of a row. Its first row holds the centre before.
    """
    names = "sums width count channels numbers weight bias running_mean running_var known room"
    code = Function("statistics", names, lanes, pieces="first last")
    share, eps, momentum, unbiased = (code.spread(code.numbers + 4 * each) for each in range(4))
    one = code.constant(1.0)
    step = code.width * 4
    for index, mask in in_vectors(code, code.last - code.first):
        channel = code.first + index
        at = channel * 4
        once, twice = _summed(code, channel, mask)
        moved = once * share
        mean = moved + code.part(code.known + at, mask)
        variance = (twice * share - moved * moved).at_least(code.constant(0.0))
        inverse = one / (variance + eps).root()
        slope = inverse * code.part(code.weight + at, mask)
        bias = code.part(code.bias + at, mask)
        for row, value in enumerate((mean, slope, bias, inverse)):
            _spread_out(code, value, code.known + step * row, channel, mask)
        for running, value in (
            (code.running_mean + at, mean),
            (code.running_var + at, variance * unbiased),
        ):
            before = code.part(running, mask)
            code.store_part((value - before).times_plus(momentum, before), running, mask)
    return code


def normalised(lanes: int, *, residual: bool) -> Function:
    """(x - mean) * slope + bias, + residual, at least the floor."""
    names = "x known floor residual width rows length out room"
    name = "normalised_result" if residual else "normalised"
    code = Function(name, names, lanes, pieces="piece")
    floor, step = code.spread(code.floor), code.width * 4
    first, last = _piece(code)
    for columns in _columns(code):
        known = _rows_of(code, code.known, 3, columns)
        with code.loop(last, 1, first) as row:
            for (at, mask), (mean, slope, bias) in zip(columns, known, strict=True):
                place = row * step + at
                value = (code.part(code.x + place, mask) - mean).times_plus(slope, bias)
                if residual:
                    value = value + code.part(code.residual + place, mask)
                code.store_part(value.at_least(floor), code.out + place, mask)
    return code


def gradients(lanes: int, *, gate: str) -> Function:
    """Sum the gradient g, and g * (x - mean), over rows.

    Args:
        lanes: floats in a vector.
        gate: what closes the gradient's way: nothing, `_value` (the rectifier of the normalised
            values, which are computed again), or `_result` (the rectifier of a sum, whose values
            are read; g is written then).
    """
    names = "gradient x known result passed width rows length sums room"
    code = Function(f"gradients{gate}", names, lanes, pieces="piece")
    first, last = _piece(code)
    step, out = code.width * 4, code.sums + code.piece * code.width * 8
    totals = [(code.variable(), code.variable()) for _ in range(_TOGETHER)]
    for columns in _columns(code):
        known = _rows_of(code, code.known, 3, columns)
        for once, twice in totals[: len(columns)]:
            once.set(code.constant(0.0))
            twice.set(code.constant(0.0))
        with code.loop(last, 1, first) as row:
            for (at, mask), (mean, slope, bias), (once, twice) in zip(
                columns, known, totals, strict=False
            ):
                place = row * step + at
                g = code.part(code.gradient + place, mask)
                centred = code.part(code.x + place, mask) - mean
                if gate == "_value":
                    g = g.passed(centred.times_plus(slope, bias))
                elif gate == "_result":
                    g = g.passed(code.part(code.result + place, mask))
                    code.store_part(g, code.passed + place, mask)
                once.set(once.get() + g)
                twice.set(g.times_plus(centred, twice.get()))
        for (at, mask), (once, twice) in zip(columns, totals, strict=False):
            code.store_part(once.get(), out + at, mask)
            code.store_part(twice.get(), out + step + at, mask)
    return code


def factors(lanes: int) -> Function:
    """Gradients by weight and bias, and what that by x is made of.

    `used` is (2, width): what x - mean and 1 are multiplied by; g is multiplied by the slope.
    """
    names = "sums known numbers width count channels used by_weight by_bias room"
    code = Function("factors", names, lanes, pieces="first last")
    share, zero, step = code.spread(code.numbers), code.constant(0.0), code.width * 4
    for index, mask in in_vectors(code, code.last - code.first):
        channel = code.first + index
        at = channel * 4
        once, twice = _summed(code, channel, mask)
        slope = code.part(code.known + step + at, mask)
        inverse = code.part(code.known + step * 3 + at, mask)
        code.store_part(twice * inverse, code.by_weight + at, mask)
        code.store_part(once, code.by_bias + at, mask)
        by_value = zero - slope * inverse * inverse * twice * share
        for row, value in enumerate((by_value, zero - slope * once * share)):
            _spread_out(code, value, code.used + step * row, channel, mask)
    return code


def returned(lanes: int, *, gated: bool) -> Function:
    """The gradient by x: g * slope + (x - mean) * by_value + by_one."""
    names = "gradient x known used width rows length out room"
    code = Function("returned_value" if gated else "returned", names, lanes, pieces="piece")
    first, last = _piece(code)
    step = code.width * 4
    for columns in _columns(code):
        known = _rows_of(code, code.known, 3, columns)
        used = _rows_of(code, code.used, 2, columns)
        with code.loop(last, 1, first) as row:
            for (at, mask), (mean, slope, bias), (by_value, by_one) in zip(
                columns, known, used, strict=True
            ):
                place = row * step + at
                g = code.part(code.gradient + place, mask)
                centred = code.part(code.x + place, mask) - mean
                if gated:
                    g = g.passed(centred.times_plus(slope, bias))
                value = g.times_plus(slope, centred.times_plus(by_value, by_one))
                code.store_part(value, code.out + place, mask)
    return code


@lru_cache
def kernels(lanes: int) -> dict[str, Kernel]:
    """Return all of them, compiled for this machine."""
    functions = [
        moments(lanes),
        statistics(lanes),
        *(normalised(lanes, residual=each) for each in (False, True)),
        *(gradients(lanes, gate=each) for each in ("", "_value", "_result")),
        factors(lanes),
        *(returned(lanes, gated=each) for each in (False, True)),
    ]
    return compile_functions("batch normalisation", functions)
