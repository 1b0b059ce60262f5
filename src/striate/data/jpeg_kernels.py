"""The arithmetic of baseline JPEG for a part of an image: cosine transform, chroma, colour.

Written for libjpeg-turbo's results to the bit (its accurate integer transform after Loeffler,
Ligtenberg and Moschytz 1989, its triangle filter for chroma, its tables for colour), so that what
is decoded of an image never depends on how much of it was asked for. Coefficients of eight blocks
lie side by side, which makes every loop one over eight lanes.

32-bit sums are written as np.int32(...): numba would else compute in 64 bits, half as many a step.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from striate.data.jpeg_entropy import GROUP, LANES, read_row

_kernel = numba.njit(nogil=True, cache=True)
_inlined = numba.njit(inline="always")


@_inlined
def _pass(levels: Any, first: Any, step: Any, half: Any, shift: Any) -> None:
    """Transform eight numbers, `step` apart, of each of eight blocks, in place."""
    for lane in range(LANES):
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
        base = np.uint64(group * GROUP)
        for k in range(8):
            _pass(levels, base + np.uint64(8 * k), 64, 1024, 11)
        for k in range(8):
            _pass(levels, base + np.uint64(64 * k), 8, 131072, 18)
        for y in range(8):
            target = plane[line + y, group * 64 : group * 64 + 64]
            for x in range(8):
                at = base + np.uint64(64 * y + 8 * x)
                for lane in range(LANES):
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
    groups = (blocks[:, 3] - blocks[:, 2] + LANES - 1) // LANES
    planes = []
    first_row, last_row = blocks[0, 0] // ratio[0], -(-blocks[0, 1] // ratio[0])
    firsts = np.zeros(count + 1, np.int64)  # where a component's coefficients begin
    for c in range(count):
        tall = ratio[0] if c == 0 else 1
        planes.append(np.empty((8 * (blocks[c, 1] - blocks[c, 0]), 64 * groups[c]), np.uint8))
        firsts[c + 1] = firsts[c] + tall * groups[c] * GROUP
        first_row = min(first_row, blocks[c, 0] // tall)
        last_row = max(last_row, -(-blocks[c, 1] // tall))
    levels = np.zeros(firsts[count], np.int32)
    state, dc = np.array([0, 0, place, 0], np.uint64), np.zeros(count, np.int64)
    for row in range(last_row):
        if not read_row(
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
                    some = levels[firsts[c] + j * groups[c] * GROUP :]
                    _transform(some, groups[c], planes[c], 8 * (y - blocks[c, 0]))
        levels[:] = 0
    if count == 1:
        top, left = box[0] - 8 * blocks[0, 0], box[1] - 8 * blocks[0, 2]
        out[:, :, 0] = planes[0][top : top + out.shape[0], left : left + out.shape[1]]
    else:
        _colour(planes, blocks, size, ratio, box, out)
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
