"""Baseline JPEG's entropy code: Huffman codes of run lengths and coefficients.

Of a block that is needed the coefficients are written, eight blocks side by side for the transform;
in any other several symbols are passed at once. Nothing here trusts the file: a code that does not
exist, a coefficient beyond the 64th or a stream that ends early stop the decoding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

FAST = 10  # bits of the code that are looked up at once
LONG = 17 + 17 + 256  # limits and places of each length of code, then the symbols
LANES = 8  # blocks side by side
GROUP = 64 * LANES  # their coefficients

_PART = 128  # marks an entry that holds a code without its value
_END = 64  # the run that ends a block

_kernel = numba.njit(nogil=True, cache=True)

_ORDER = np.array(
    [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20]
    + [13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59]
    + [52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63],
    np.uint64,
) * np.uint64(8)  # where the coefficients of the stream go, of eight blocks side by side


class Tables(NamedTuple):
    """What the coefficients of all components are decoded with.

    Two Huffman tables a component, for the first and for the other coefficients, in four forms:

    Args:
        fast: by the next `FAST` bits: value << 16 | run << 8 | bits where code and value fit;
            size << 16 | run << 8 | 128 | bits where only the code does; else 0.
            (2n << FAST,) int32.
        leap: all codes in the next `FAST` bits, passed at once: 64 << 16 if the last one ends a
            block | coefficients before << 8 | bits; 0 where not even one code fits. As `fast`.
        long: for each length of code, from `FAST + 1` to 16, the first number, as 16 bits, that is
            none, and where its symbols are; then the symbols. (2n * LONG,) int32.
        scales: quantisers, in the order of the stream: (n * 64,) int32.
    """

    fast: npt.NDArray[np.int32]
    leap: npt.NDArray[np.int32]
    long: npt.NDArray[np.int32]
    scales: npt.NDArray[np.int32]


@_kernel
def build_table(counts: Any, symbols: Any, fast: Any, leap: Any, long: Any) -> Any:
    """Write the forms of a Huffman table, as `Tables` has them.

    Args:
        counts: how many codes have 1, 2, ... 16 bits: (16,) uint8.
        symbols: run << 4 | size, in the order of their codes: (up to 256,) uint8.
        fast: (1 << FAST,) int32.
        leap: (1 << FAST,) int32.
        long: (LONG,) int32.

    Returns:
        Whether it is a Huffman code.
    """
    code = place = 0
    fast[:] = 0
    begins = np.zeros((1 << FAST, 2), np.int64)  # the first code's length and symbol
    for length in range(1, 17):
        long[17 + length] = place - code
        for _ in range(counts[length - 1]):
            if place >= len(symbols) or code >= 1 << length:
                return False
            symbol = np.int64(symbols[place])
            long[34 + place] = symbol
            if length <= FAST:
                free = FAST - length
                for rest in range(1 << free):
                    begins[(code << free) + rest] = length, symbol
                    fast[(code << free) + rest] = _entry(length, symbol, rest, free)
            code, place = code + 1, place + 1
        long[length] = code << (16 - length)
        code <<= 1
    for bits in range(1 << FAST):
        leap[bits] = _leap(begins, bits)
    return place == len(symbols)


@_kernel
def _entry(length: Any, symbol: Any, rest: Any, free: Any) -> Any:
    """Return an entry of the fast form: what a code and the bits behind it stand for."""
    run, size = symbol >> 4, symbol & 15
    if size == 0:
        return (16 if run == 15 else _END) << 8 | length
    if size > free:
        return size << 16 | run << 8 | _PART | length
    value = rest >> (free - size)
    if value < 1 << (size - 1):
        value += 1 - (1 << size)
    return value << 16 | run << 8 | (length + size)


@_kernel
def _leap(begins: Any, bits: Any) -> Any:
    used = steps = 0
    while used < FAST:
        length, symbol = begins[(bits << used) & ((1 << FAST) - 1)]
        if length == 0 or length > FAST - used:
            break
        run, size = symbol >> 4, symbol & 15
        used += length + size
        if size == 0 and run < 15:
            return _END << 16 | steps << 8 | used
        steps += run + 1
    return steps << 8 | used


@_kernel
def _refill(data: Any, bits: Any, left: Any, place: Any, beyond: Any) -> Any:
    """Append 32 bits: bytes without their stuffing, zeros from a marker on.

    Args:
        data: the file, with four bytes more.
        bits: the next bits of the stream, from the left.
        left: how many these are, less than 32.
        place: of the next byte.
        beyond: how many of the bits are none of the stream's.
    """
    more = np.uint64(0)
    for k in range(4):
        more = more << np.uint64(8) | np.uint64(data[place + np.uint64(k)])
    if not (~more - np.uint64(0x01010101)) & more & np.uint64(0x80808080):  # no byte of 255
        bits |= more << (np.uint64(32) - left)
        return bits, left + np.uint64(32), place + np.uint64(4), beyond
    for _ in range(4):
        byte = np.uint64(data[place])
        if byte != 255:
            place += np.uint64(1)
        elif data[place + np.uint64(1)] == 0:
            place += np.uint64(2)
        else:
            byte, beyond = np.uint64(0), beyond + np.uint64(8)
        bits |= byte << (np.uint64(56) - left)
        left += np.uint64(8)
    return bits, left, place, beyond


@_kernel
def _symbol(bits: Any, tables: Any, number: Any) -> Any:
    """Decode what the fast table does not hold whole: value << 16 | run << 8 | bits, or 0."""
    entry: Any = np.int64(tables.fast[(number << FAST) + (bits >> np.uint64(64 - FAST))])
    if entry:
        length, run, size = entry & 63, (entry >> 8) & 255, entry >> 16
    else:
        code, long = np.int64(bits >> np.uint64(48)), np.int64(number) * LONG
        length = FAST + 1
        while length <= 16 and code >= tables.long[long + length]:
            length += 1
        if length > 16:
            return np.int64(0)
        place = ((code >> (16 - length)) + tables.long[long + 17 + length]) & 255
        symbol = tables.long[long + 34 + place]
        run, size = symbol >> 4, symbol & 15
        if size == 0:
            return np.int64((16 if run == 15 else _END) << 8 | length)
    value = np.int64((bits << np.uint64(length)) >> np.uint64(64 - size))
    if value < 1 << (size - 1):
        value += 1 - (1 << size)
    return np.int64(value << 16 | run << 8 | (length + size))


@_kernel
def _first(data: Any, state: Any, tables: Any, component: Any, before: Any) -> Any:
    """Read the first coefficient of a block, which is told as the difference to the one before.

    Args:
        data: the file.
        state: of the stream, as `_refill` has it: bits, left, place, beyond; (4,) uint64.
        tables: for decoding.
        component: whose block it is.
        before: the first coefficient of this component's block before.

    Returns:
        Whether it makes sense, and the coefficient.
    """
    bits, left, place, beyond = state[0], state[1], state[2], state[3]
    if left < 32:
        bits, left, place, beyond = _refill(data, bits, left, place, beyond)
    number = np.uint64(component) << np.uint64(1)
    entry = np.int64(tables.fast[(number << FAST) + (bits >> np.uint64(64 - FAST))])
    if entry == 0 or entry & _PART:
        entry = _symbol(bits, tables, number)
    length = np.uint64(entry & 63)
    state[0], state[1], state[2], state[3] = bits << length, left - length, place, beyond
    return entry != 0, before + (entry >> 16)


@_kernel
def _block(data: Any, state: Any, tables: Any, component: Any, levels: Any, first: Any) -> Any:
    """Read the other coefficients of a block.

    Args:
        data: the file.
        state: of the stream, as in `_first`.
        tables: for decoding.
        component: whose block it is.
        levels: where its coefficients go, every eighth from `first` on.
        first: place of the first coefficient in `levels`.

    Returns:
        Whether they make sense.
    """
    bits, left, place, beyond = state[0], state[1], state[2], state[3]
    base, k, scale = np.uint64(first), np.uint64(1), np.uint64(component) << np.uint64(6)
    number = (np.uint64(component) << np.uint64(1)) + np.uint64(1)
    table = number << FAST
    while k < 64:
        if left < 32:
            bits, left, place, beyond = _refill(data, bits, left, place, beyond)
        entry = np.int64(tables.fast[table + (bits >> np.uint64(64 - FAST))])
        if entry == 0 or entry & _PART:
            entry = _symbol(bits, tables, number)
            if entry == 0:
                return False
        length, value = np.uint64(entry & 63), entry >> 16
        bits, left = bits << length, left - length
        k += np.uint64((entry >> 8) & 255)
        if k < 64:
            levels[base + _ORDER[k]] = value * tables.scales[scale + k]
            k += np.uint64(value != 0)
        elif value:
            return False
    state[0], state[1], state[2], state[3] = bits, left, place, beyond
    return beyond <= left


@_kernel
def _skip(data: Any, state: Any, tables: Any, component: Any) -> Any:
    """Read the other coefficients of a block that nobody needs; otherwise as `_block`.

    Several symbols are passed at once, unless they might belong to the next block.
    """
    bits, left, place, beyond = state[0], state[1], state[2], state[3]
    k, number = np.uint64(1), (np.uint64(component) << np.uint64(1)) + np.uint64(1)
    table = number << FAST
    while k < 64:
        if left < 32:
            bits, left, place, beyond = _refill(data, bits, left, place, beyond)
        jump = np.uint64(tables.leap[table + (bits >> np.uint64(64 - FAST))])
        length, steps = jump & np.uint64(63), (jump >> np.uint64(8)) & np.uint64(255)
        if k + steps > 63 or length == 0:
            entry = np.int64(tables.fast[table + (bits >> np.uint64(64 - FAST))])
            if entry == 0 or entry & _PART:
                entry = _symbol(bits, tables, number)
            length, value = np.uint64(entry & 63), entry >> 16
            k += np.uint64((entry >> 8) & 255)
            if entry == 0 or (k > 63 and value):
                return False
            k += np.uint64(value != 0)
        else:
            k += steps + (jump >> np.uint64(16))
        bits, left = bits << length, left - length
    state[0], state[1], state[2], state[3] = bits, left, place, beyond
    return beyond <= left


@_kernel
def read_row(
    data: Any,
    state: Any,
    every: Any,
    row: Any,
    across: Any,
    ratio: Any,
    tables: Any,
    blocks: Any,
    groups: Any,
    dc: Any,
    levels: Any,
    firsts: Any,
) -> Any:
    """Read a row of units, the blocks of all components that cover the same pixels."""
    for column in range(across):
        unit = row * across + column
        if every and unit and unit % every == 0:
            if not _restart(data, state):
                return False
            dc[:] = 0
        for c in range(len(dc)):
            tall, wide = (ratio[0], ratio[1]) if c == 0 else (1, 1)
            for k in range(tall * wide):
                y, x = row * tall + k // wide, column * wide + k % wide - blocks[c, 2]
                sound, dc[c] = _first(data, state, tables, c, dc[c])
                if not sound:
                    return False
                if blocks[c, 0] <= y < blocks[c, 1] and 0 <= x < blocks[c, 3] - blocks[c, 2]:
                    group = k // wide * groups[c] + x // LANES
                    first = firsts[c] + group * GROUP + x % LANES
                    levels[first] = dc[c] * tables.scales[64 * c]
                    sound = _block(data, state, tables, c, levels, first)
                else:
                    sound = _skip(data, state, tables, c)
                if not sound:
                    return False
    return True


@_kernel
def _restart(data: Any, state: Any) -> Any:
    """Go on behind a restart marker, which has to be what comes next."""
    place = state[2]
    if state[1] - state[3] > 7 or data[place] != 255 or data[place + np.uint64(1)] & 0xF8 != 0xD0:
        return False
    state[0], state[1], state[2], state[3] = 0, 0, place + np.uint64(2), 0
    return True
