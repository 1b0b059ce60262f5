"""Filters turned from the order they are kept in to the one that kernels compute with, and back.

A network in channels-last order keeps filters with their channels side by side; products want the
features so. torch's own copy from one to the other moves single floats, and took a sixth of VGG's
training step. Here squares of as many floats as a vector has lanes are transposed in registers.
"""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from striate.ops.assembly import Function
from striate.ops.machine import registers
from striate.ops.native import Kernel, compile_functions
from striate.ops.threads import cut
from striate.ops.tiles import in_vectors


def turn(source: Tensor, target: Tensor) -> None:
    """Copy matrices into their transposes.

    Args:
        source: (down, across, rows, columns) of float32 with columns side by side; any order else.
        target: (down, across, columns, rows) of float32 with rows side by side.
    """
    down, across, rows, columns = source.shape
    steps = (4 * step for each in (source, target) for step in each.stride()[:3])
    _kernel(registers()[0])(
        *(source.data_ptr(), target.data_ptr(), down, across, columns, *steps),
        pieces=cut(rows, 16, registers()[0]),
    )


def transposition(lanes: int) -> Function:
    """Transpose the rows first ... last - 1 of all matrices."""
    names = (
        "source target down across columns source_down source_across source_row "
        "target_down target_across target_row room"
    )
    code = Function("transposition", names, lanes, pieces="first last")
    with (
        code.loop(code.down) as y,
        code.loop(code.across) as x,
        code.loop(code.last, lanes, code.first) as row,
    ):
        source = code.source + y * code.source_down + x * code.source_across
        target = code.target + y * code.target_down + x * code.target_across + row * 4
        end, rows = code.last - 1, code.mask(code.last - row)
        lines = [source + (row + each).least(end) * code.source_row for each in range(lanes)]
        for column, mask in in_vectors(code, code.columns):
            square = code.transposed([code.part(line + column * 4, mask) for line in lines])
            for number, value in enumerate(square):
                with code.when((column + number).below(code.columns)):
                    into = target + (column + number) * code.target_row
                    code.store_masked(value, into, rows)
    return code


@lru_cache
def _kernel(lanes: int) -> Kernel:
    code = transposition(lanes)
    return compile_functions("transposition of filters", [code])[code.name]
