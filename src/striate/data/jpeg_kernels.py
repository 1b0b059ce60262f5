"""The arithmetic of baseline JPEG for a part of an image.

Written for libjpeg-turbo's results to the bit (its accurate integer transform after Loeffler,
Ligtenberg and Moschytz 1989, its triangle filter for chroma, its tables for colour), so that what
is decoded of an image never depends on how much of it was asked for. Coefficients of eight blocks
lie side by side, which makes every loop one over eight lanes. Nothing here trusts the file: a code
that does not exist, a coefficient beyond the 64th or a stream that ends early stop the decoding.

32-bit sums are written as np.int32(...): numba would else compute in 64 bits, half as many a step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

FAST = 10  # bits of the code that are looked up at once
LONG = 17 + 17 + 256  # limits and places of each length of code, then the symbols
_LANES = 8  # blocks side by side
_GROUP = 64 * _LANES
_PART = 128  # marks an entry that holds a code without its value
_END = 64  # the run that ends a block

_kernel = numba.njit(nogil=True, cache=True)
_inlined = numba.njit(inline="always")

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


@_inlined
def _pass(levels: Any, first: Any, step: Any, half: Any, shift: Any) -> None:
    """Transform eight numbers, `step` apart, of each of eight blocks, in place."""
    for lane in range(_LANES):
        at = first + np.uint64(lane)
        a, b = levels[at + np.uint64(2 * step)], levels[at + np.uint64(6 * step)]
        c, d = levels[at], levels[at + np.uint64(4 * step)]
        turned = np.int32((a + b) * 4433)
        even2, even3 = np.int32(turned - b * 15137), np.int32(turned + a * 6270)
        even0, even1 = np.int32((c + d) << 13), np.int32((c - d) << 13)
        top, bottom = np.int32(even0 + even3 + half), np.int32(even0 - even3 + half)
        upper, lower = np.int32(even1 + even2 + half), np.int32(even1 - even2 + half)
        p, q = levels[at + np.uint64(7 * step)], levels[at + np.uint64(5 * step)]
        r, s = levels[at + np.uint64(3 * step)], levels[at + np.uint64(step)]
        sums = np.int32((p + q + r + s) * 9633)
        ps, qr = np.int32((p + s) * -7373), np.int32((q + r) * -20995)
        pr, qs = np.int32((p + r) * -16069 + sums), np.int32((q + s) * -3196 + sums)
        odd0, odd1 = np.int32(p * 2446 + ps + pr), np.int32(q * 16819 + qr + qs)
        odd2, odd3 = np.int32(r * 25172 + qr + pr), np.int32(s * 12299 + ps + qs)
        levels[at] = np.int32(top + odd3) >> shift
        levels[at + np.uint64(step)] = np.int32(upper + odd2) >> shift
        levels[at + np.uint64(2 * step)] = np.int32(lower + odd1) >> shift
        levels[at + np.uint64(3 * step)] = np.int32(bottom + odd0) >> shift
        levels[at + np.uint64(4 * step)] = np.int32(bottom - odd0) >> shift
        levels[at + np.uint64(5 * step)] = np.int32(lower - odd1) >> shift
        levels[at + np.uint64(6 * step)] = np.int32(upper - odd2) >> shift
        levels[at + np.uint64(7 * step)] = np.int32(top - odd3) >> shift


@_kernel
def _transform(levels: Any, groups: Any, plane: Any, line: Any) -> None:
    """Turn the coefficients of a row of blocks into eight lines of a plane."""
    for group in range(groups):
        base = np.uint64(group * _GROUP)
        for k in range(8):
            _pass(levels, base + np.uint64(8 * k), 64, 1024, 11)
        for k in range(8):
            _pass(levels, base + np.uint64(64 * k), 8, 131072, 18)
        for y in range(8):
            target = plane[line + y, group * 64 : group * 64 + 64]
            for x in range(8):
                at = base + np.uint64(64 * y + 8 * x)
                for lane in range(_LANES):
                    level = _clip(np.int32(levels[at + np.uint64(lane)] + 128))
                    target[np.uint64(lane * 8 + x)] = level


@_inlined
def _clip(level: Any) -> Any:
    return np.uint8(min(max(level, np.int32(0)), np.int32(255)))


@_kernel
def _span(first: Any, last: Any, ratio: Any, size: Any) -> Any:
    """Return the samples of a plane that pixels first to last (exclusive) are made of."""
    if ratio == 1:
        return first, last
    return max(first // 2 - 1, 0), min((last - 1) // 2 + 2, size)


@_kernel
def decode_box(
    data: Any,
    place: Any,
    every: Any,
    size: Any,
    ratio: Any,
    tables: Any,
    box: Any,
    out: Any,
) -> Any:
    """Decode a part of an image.

    Args:
        data: the file, which has a marker behind the stream, and four bytes more: uint8.
        place: of the stream in it.
        every: units between restarts; 0 for none.
        size: height and width of the image.
        ratio: pixels a chroma sample has, down and across: (1, 1), (1, 2) or (2, 2).
        tables: for decoding.
        box: top, left, bottom, right in pixels, inside the image.
        out: (bottom - top, right - left, n) uint8, written to.

    Returns:
        Whether the stream made sense as far as it was read.
    """
    count, across = out.shape[2], -(-size[1] // (8 * ratio[1]))
    blocks = _needed(count, size, ratio, box)
    groups = (blocks[:, 3] - blocks[:, 2] + _LANES - 1) // _LANES
    planes = []
    first_row, last_row = blocks[0, 0] // ratio[0], -(-blocks[0, 1] // ratio[0])
    firsts = np.zeros(count + 1, np.int64)  # where a component's coefficients begin
    for c in range(count):
        tall = ratio[0] if c == 0 else 1
        planes.append(np.empty((8 * (blocks[c, 1] - blocks[c, 0]), 64 * groups[c]), np.uint8))
        firsts[c + 1] = firsts[c] + tall * groups[c] * _GROUP
        first_row = min(first_row, blocks[c, 0] // tall)
        last_row = max(last_row, -(-blocks[c, 1] // tall))
    levels = np.zeros(firsts[count], np.int32)
    state, dc = np.array([0, 0, place, 0], np.uint64), np.zeros(count, np.int64)
    for row in range(last_row):
        if not _read_row(
            data, state, every, row, across, ratio, tables, blocks, groups, dc, levels, firsts
        ):
            return False
        if row < first_row:
            continue
        for c in range(count):
            tall = ratio[0] if c == 0 else 1
            for j in range(tall):
                y = row * tall + j
                if blocks[c, 0] <= y < blocks[c, 1]:
                    some = levels[firsts[c] + j * groups[c] * _GROUP :]
                    _transform(some, groups[c], planes[c], 8 * (y - blocks[c, 0]))
        levels[:] = 0
    if count == 1:
        top, left = box[0] - 8 * blocks[0, 0], box[1] - 8 * blocks[0, 2]
        out[:, :, 0] = planes[0][top : top + out.shape[0], left : left + out.shape[1]]
    else:
        _colour(planes, blocks, size, ratio, box, out)
    return True


@_kernel
def _read_row(
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
                    group = k // wide * groups[c] + x // _LANES
                    first = firsts[c] + group * _GROUP + x % _LANES
                    levels[first] = dc[c] * tables.scales[64 * c]
                    sound = _block(data, state, tables, c, levels, first)
                else:
                    sound = _skip(data, state, tables, c)
                if not sound:
                    return False
    return True


@_kernel
def _needed(count: Any, size: Any, ratio: Any, box: Any) -> Any:
    """Return the blocks of each plane that a box is made of: rows, columns, first and last."""
    blocks = np.empty((count, 4), np.int64)
    for c in range(count):
        for axis in range(2):
            first, last = box[axis], box[2 + axis]
            if c and ratio[axis] == 2:  # chroma is interpolated with its neighbours
                first = max(first // 2 - 1, 0)
                last = min((last - 1) // 2 + 2, (size[axis] + 1) // 2)
            blocks[c, 2 * axis], blocks[c, 2 * axis + 1] = first // 8, -(-last // 8)
    return blocks


@_kernel
def _restart(data: Any, state: Any) -> Any:
    """Go on behind a restart marker, which has to be what comes next."""
    place = state[2]
    if state[1] - state[3] > 7 or data[place] != 255 or data[place + np.uint64(1)] & 0xF8 != 0xD0:
        return False
    state[0], state[1], state[2], state[3] = 0, 0, place + np.uint64(2), 0
    return True


@_kernel
def _chroma(plane: Any, block: Any, size: Any, ratio: Any, y: Any, box: Any, out: Any) -> None:
    """Write a line of chroma, less 128, for pixels from the even one at or before box[1] on."""
    near = plane[y // ratio[0] - 8 * block[0]]
    if ratio[1] == 1:
        left = box[1] // 2 * 2 - 8 * block[2]
        for x in range(min(len(out), len(near) - left)):
            out[x] = np.int32(near[left + x]) - np.int32(128)
        return
    wide, tall = (size[1] + 1) // 2, (size[0] + 1) // 2
    first, last = box[1] // 2, (box[3] - 1) // 2 + 1
    lower, upper = max(first - 1, 0), min(last + 1, wide)
    sums, source = np.empty(last - first + 2, np.int32), lower - 8 * block[2]
    shift, even, odd = np.int32(2), np.int32(1), np.int32(2)
    inside = sums[lower - first + 1 : upper - first + 1]
    near = near[source : source + upper - lower]
    for j in range(len(inside)):
        inside[j] = near[j]
    if ratio[0] == 2:
        shift, even, odd = np.int32(4), np.int32(8), np.int32(7)
        beyond = min(max(y // 2 + 2 * (y % 2) - 1, 0), tall - 1)
        far = plane[beyond - 8 * block[0], source : source + upper - lower]
        for j in range(len(inside)):
            inside[j] = np.int32(np.int32(3) * inside[j] + far[j])
    if lower == first:
        sums[0] = sums[1]
    if upper == last:
        sums[-1] = sums[-2]
    before, here, behind = sums[:-2], sums[1:-1], sums[2:]
    for j in range(last - first):
        three = np.int32(3 * here[j])
        out[np.uint64(2 * j)] = (np.int32(three + before[j] + even) >> shift) - 128
        out[np.uint64(2 * j + 1)] = (np.int32(three + behind[j] + odd) >> shift) - 128


@_kernel
def _colour(planes: Any, blocks: Any, size: Any, ratio: Any, box: Any, out: Any) -> None:
    """Bring chroma to the pixels and YCbCr to RGB."""
    count, odd = out.shape[1], box[1] % 2
    chroma = np.zeros((2, count + 3), np.int32)
    line = np.empty((3, count), np.uint8)
    red, green, blue = line[0], line[1], line[2]
    start = box[1] - 8 * blocks[0, 2]
    for y in range(out.shape[0]):
        _chroma(planes[1], blocks[1], size, ratio, box[0] + y, box, chroma[0])
        _chroma(planes[2], blocks[2], size, ratio, box[0] + y, box, chroma[1])
        light = planes[0][box[0] + y - 8 * blocks[0, 0], start : start + count]
        some, others = chroma[0, odd : odd + count], chroma[1, odd : odd + count]
        for x in range(count):
            cb, cr, level = some[x], others[x], np.int32(light[x])
            red[x] = _clip(np.int32(level + (np.int32(cr * 91881 + 32768) >> np.int32(16))))
            green[x] = _clip(
                np.int32(level + (np.int32(cb * -22554 + cr * -46802 + 32768) >> np.int32(16)))
            )
            blue[x] = _clip(np.int32(level + (np.int32(cb * 116130 + 32768) >> np.int32(16))))
        flat = out[y].reshape(-1)
        for x in range(count):
            at = np.uint64(3 * x)
            flat[at] = red[x]
            flat[at + np.uint64(1)] = green[x]
            flat[at + np.uint64(2)] = blue[x]
