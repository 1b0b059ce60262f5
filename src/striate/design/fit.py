"""Which paddings and strides make a filter fit.

A filter fits where its windows end with the last pixel: (W - F + P) / S is a whole number. Where it
is not, frameworks round down and leave pixels out; where a window is larger than what it slides
over there is no output at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.design.arithmetic import (
    Padding,
    output_size,
    remainder,
    window_extent,
)
from striate.records import Record


class Fit(Record, frozen=True, kw_only=True):
    """A stride and a padding (before, after) with which windows end with the last pixel."""

    stride: int
    padding: Padding
    output: int


def fits(
    size: int, kernel: int, strides: Sequence[int], paddings: Sequence[Padding], dilation: int = 1
) -> tuple[Fit, ...]:
    """Return those of the strides and paddings that fit exactly, with the size they give."""
    return tuple(
        Fit(stride=s, padding=p, output=output_size(size, kernel, s, p, dilation))
        for s in strides
        for p in paddings
        if output_size(size, kernel, s, p, dilation) > 0
        and remainder(size, kernel, s, p, dilation) == 0
    )


def equal_paddings(kernel: int, dilation: int = 1) -> list[Padding]:
    """Return the paddings alike on both sides by which no window lies wholly in them."""
    return [(p, p) for p in range(window_extent(kernel, dilation))]


def any_paddings(kernel: int, dilation: int = 1) -> list[Padding]:
    """Return the paddings that differ by one pixel at most, the larger after."""
    reach = window_extent(kernel, dilation)
    return [(p // 2, p - p // 2) for p in range(2 * reach - 1)]


def smallest_padding(size: int, kernel: int, dilation: int = 1) -> Padding:
    """Return the least padding, as equal as can be, with which one window fits."""
    lack = max(0, window_extent(kernel, dilation) - size)
    return (lack // 2, lack - lack // 2)


def spell_padding(padding: Padding) -> str:
    """Spell a padding: 2, or 1+2 where before and after differ."""
    return str(padding[0]) if padding[0] == padding[1] else f"{padding[0]}+{padding[1]}"
