"""The inner loop of augmentation: an image sampled once, coloured, normalised, into the batch.

A map says for each place of the result which place of the image is shown there (see
`augmentation`). Samples are weighted by a triangle, as wide as the map shrinks the image: for an
upright map this is Pillow's antialiased bilinear resize without its rounding, for one that does not
shrink it is bilinear interpolation. Whole-pixel shifts and flips copy, and so are exact.

The kernels release the interpreter, so that the loader's threads run side by side.
"""

from __future__ import annotations

from math import floor, hypot
from typing import Any

import numba
import numpy as np

from striate.data.tone_kernels import apply_tones

MOST_REACH = 64  # pixels either way that a place which is bent may be made of

ZERO, EDGE, REFLECT = 0, 1, 2  # what is outside: one colour, the border repeated or mirrored

_kernel = numba.njit(nogil=True, cache=True)


@_kernel
def augment(
    images: Any,
    rows: Any,
    windows: Any,
    steps: Any,
    maps: Any,
    border: Any,
    fill: Any,
    colours: Any,
    luma: Any,
    tones: Any,
    seeds: Any,
    slope: Any,
    offset: Any,
    holes: Any,
    out: Any,
) -> None:
    """Write a batch.

    Args:
        images: (n, height, width, channels), uint8 or float32 levels of 0 to 255.
        rows: places in `images`: (batch,) int64.
        windows: what of its whole image each of `images` is: (batch, 4) int64: top and left, then
            height and width of the whole.
        steps: from the result on, the last one first at work (see `bending`): (batch, n, STEP).
        maps: from there to the whole images: (batch, 2, 3) float64.
        border: ZERO, EDGE or REFLECT.
        fill: the colour outside under ZERO: (channels,) float32 levels.
        colours: (batch, channels, channels + 2) float32, the last columns for the mean luminance
            and for what is added; (batch, 0, 0) leaves colours alone.
        luma: weights of the channels in the luminance: (channels,) float32.
        tones: kinds and amounts, after the colours (see `tone_kernels`): (batch, n, 2) float64.
        seeds: of noise: (batch,) uint64.
        slope: of the normalisation, level * slope + offset: (channels,) float32.
        offset: (channels,) float32.
        holes: rectangles that become zero: (batch, count, 4) int64: top, left, bottom, right.
        out: (batch, channels, out_height, out_width) float32, written to.
    """
    as_it_is = np.ones_like(slope), np.zeros_like(offset)
    for row in range(len(rows)):
        image, window, target = images[rows[row]], windows[row], out[row]
        toned = tones.shape[1] > 0
        levels = as_it_is if toned or colours.shape[1] else (slope, offset)
        if steps.shape[1]:
            _bend(image, window, steps[row], maps[row], border, fill, levels, target)
        elif _is_shift(maps[row]):
            _shift(image, window, maps[row], border, fill, levels, target)
        elif maps[row, 0, 1] == 0.0 and maps[row, 1, 0] == 0.0:
            _scale(image, window, maps[row], border, fill, levels, target)
        else:
            _warp(image, window, maps[row], border, fill, levels, target)
        if colours.shape[1]:
            after = as_it_is if toned else (slope, offset)
            _colour(target, colours[row], luma, after[0], after[1])
        if toned:
            apply_tones(target, tones[row], seeds[row], luma)
            for c in range(len(slope)):
                target[c] = target[c] * slope[c] + offset[c]
        for hole in holes[row]:
            target[:, hole[0] : hole[2], hole[1] : hole[3]] = 0.0


@_kernel
def _is_shift(map: Any) -> Any:
    upright = map[0, 1] == 0.0 and map[1, 0] == 0.0
    unscaled = abs(map[0, 0]) == 1.0 and abs(map[1, 1]) == 1.0
    return upright and unscaled and map[0, 2] == floor(map[0, 2]) and map[1, 2] == floor(map[1, 2])


@_kernel
def _inside(place: Any, size: Any, border: Any) -> Any:
    """Return the place in 0 to size that is shown for any place, or -1 for the fill."""
    if border == REFLECT and size > 1:
        period = 2.0 * (size - 1)
        centre = abs(place - 0.5) % period
        return min(centre, period - centre) + 0.5
    if 0.0 <= place < size:
        return place
    return -1.0 if border == ZERO else min(max(place, 0.5), size - 0.5)


@_kernel
def _shift(
    image: Any, window: Any, map: Any, border: Any, fill: Any, levels: Any, out: Any
) -> None:
    """Copy pixels: what a map of whole pixels and mirrors shows."""
    top, left, height, width = window
    channels = image.shape[2]
    columns = np.empty(out.shape[2], np.int64)
    for x in range(out.shape[2]):
        columns[x] = floor(_inside(map[0, 0] * (x + 0.5) + map[0, 2], width, border))
    for y in range(out.shape[1]):
        line = floor(_inside(map[1, 1] * (y + 0.5) + map[1, 2], height, border))
        for c in range(channels):
            for x in range(out.shape[2]):
                shown = line >= 0 and columns[x] >= 0
                level = np.float32(image[line - top, columns[x] - left, c]) if shown else fill[c]
                out[c, y, x] = level * levels[0][c] + levels[1][c]


@_kernel
def _taps(place: Any, reach: Any, size: Any, weights: Any) -> Any:
    """Weigh the pixels around a place: returns the first and how many; weights sum to 1."""
    first = max(int(floor(place - reach + 0.5)), 0)
    count = min(int(floor(place + reach + 0.5)), size) - first
    total = 0.0
    for k in range(count):
        weight = max(1.0 - abs(first + k + 0.5 - place) / reach, 0.0)
        weights[k] = weight
        total += weight
    for k in range(count):
        weights[k] /= total
    return first, count


@_kernel
def _axis(slope: Any, offset: Any, length: Any, size: Any, border: Any) -> Any:
    """Weigh the pixels of one axis for all places along it; a count of 0 stands for the fill.

    Weights beyond a place's count are zero.
    """
    reach = max(abs(slope), 1.0)
    firsts, counts = np.zeros(length, np.int64), np.zeros(length, np.int64)
    weights = np.zeros((length, int(2 * reach) + 3), np.float32)
    for k in range(length):
        place = _inside(slope * (k + 0.5) + offset, size, border)
        if place >= 0.0:
            firsts[k], counts[k] = _taps(place, reach, size, weights[k])
    return firsts, counts, weights


@_kernel
def _scale(
    image: Any, window: Any, map: Any, border: Any, fill: Any, levels: Any, out: Any
) -> None:
    """Sample an upright map, down the columns that are shown, then along the line.

    Every place has the same number of taps, some of them zero: loops that do not branch.
    """
    top, left, height, width = window
    channels = image.shape[2]
    lefts, across, columns = _axis(map[0, 0], map[0, 2], out.shape[2], width, border)
    tops, down, lines = _axis(map[1, 1], map[1, 2], out.shape[1], height, border)
    first, last = _span(lefts, across, width)
    flat = image.reshape(image.shape[0], image.shape[1] * channels)
    flat = flat[:, (first - left) * channels : (last - left) * channels]
    span = flat.shape[1]
    starts = (np.maximum(lefts - first, 0) * channels).astype(np.uint64)
    taps = columns[:, : across.max() + across.max() % 2].T.copy()
    line = np.zeros(span + len(taps) * channels, np.float32)  # the last taps may lie beyond
    for y in range(out.shape[1]):
        if down[y] == 0:
            line[:] = 0.0
        for j in range(down[y]):
            weight, source = lines[y, j], flat[tops[y] - top + j]
            if j == 0:
                for x in range(span):
                    line[x] = weight * np.float32(source[x])
            else:
                for x in range(span):
                    line[x] += weight * np.float32(source[x])
        if channels == 3:
            _colour_line(line, starts, taps, levels, out[:, y])
        else:
            _grey_line(line, starts, taps, levels, out[0, y])
    if not (down.all() and across.all()):
        for c in range(channels):
            level = fill[c] * levels[0][c] + levels[1][c]
            out[c][down == 0] = level
            out[c][:, across == 0] = level


@_kernel
def _span(firsts: Any, counts: Any, size: Any) -> Any:
    """Return the first and the last pixel (exclusive) that have weights."""
    first, last = size, 0
    for k in range(len(firsts)):
        if counts[k]:
            first, last = min(first, firsts[k]), max(last, firsts[k] + counts[k])
    return first, max(first, last)


@_kernel
def _grey_line(line: Any, starts: Any, taps: Any, levels: Any, out: Any) -> None:
    """Sample along a line of grey pixels; the number of taps is even."""
    last = len(taps) - 2
    for i in range(0, len(taps), 2):
        first, second = taps[i], taps[i + 1]
        for x in range(len(starts)):
            grey = out[x] if i else np.float32(0.0)
            place = starts[x] + np.uint64(i)
            grey = grey + first[x] * line[place] + second[x] * line[place + np.uint64(1)]
            out[x] = grey * levels[0][0] + levels[1][0] if i == last else grey


@_kernel
def _colour_line(line: Any, starts: Any, taps: Any, levels: Any, out: Any) -> None:
    """Sample all three channels along a line of pixels; the number of taps is even.

    Two taps at a time, of all channels: loops short enough for the compiler to keep everything in
    registers. Places are unsigned: numba then knows that they do not count from the end.
    """
    reds, greens, blues = out[0], out[1], out[2]
    slope, offset = levels
    red = green = blue = np.float32(0.0)
    last = len(taps) - 2
    for i in range(0, len(taps), 2):
        first, second = taps[i], taps[i + 1]
        for x in range(len(starts)):
            if i:
                red, green, blue = reds[x], greens[x], blues[x]
            place = starts[x] + np.uint64(3 * i)
            one, other = first[x], second[x]
            red = red + one * line[place] + other * line[place + np.uint64(3)]
            green = green + one * line[place + np.uint64(1)] + other * line[place + np.uint64(4)]
            blue = blue + one * line[place + np.uint64(2)] + other * line[place + np.uint64(5)]
            if i == last:
                red = red * slope[0] + offset[0]
                green = green * slope[1] + offset[1]
                blue = blue * slope[2] + offset[2]
            reds[x], greens[x], blues[x] = red, green, blue
            red = green = blue = np.float32(0.0)


@_kernel
def _warp(image: Any, window: Any, map: Any, border: Any, fill: Any, levels: Any, out: Any) -> None:
    """Sample any affine map, all pixels under the triangle of each place."""
    reach_x = max(hypot(map[0, 0], map[0, 1]), 1.0)
    reach_y = max(hypot(map[1, 0], map[1, 1]), 1.0)
    across = np.empty(int(2 * reach_x) + 3, np.float32)
    down = np.empty(int(2 * reach_y) + 3, np.float32)
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            u = map[0, 0] * (x + 0.5) + map[0, 1] * (y + 0.5) + map[0, 2]
            v = map[1, 0] * (x + 0.5) + map[1, 1] * (y + 0.5) + map[1, 2]
            u, v = _inside(u, window[3], border), _inside(v, window[2], border)
            _sample(image, window, u, v, reach_x, reach_y, across, down, fill, levels, out[:, y, x])


@_kernel
def _sample(
    image: Any,
    window: Any,
    u: Any,
    v: Any,
    reach_x: Any,
    reach_y: Any,
    across: Any,
    down: Any,
    fill: Any,
    levels: Any,
    out: Any,
) -> None:
    """Sample one place; a negative one is outside."""
    slope, offset = levels
    if u < 0.0 or v < 0.0:
        for c in range(len(out)):
            out[c] = fill[c] * slope[c] + offset[c]
        return
    left, columns = _taps(u, reach_x, window[3], across)
    top, lines = _taps(v, reach_y, window[2], down)
    left, top = left - window[1], top - window[0]
    for c in range(len(out)):
        total = np.float32(0.0)
        for j in range(lines):
            line = np.float32(0.0)
            for i in range(columns):
                line += across[i] * np.float32(image[top + j, left + i, c])
            total += down[j] * line
        out[c] = total * slope[c] + offset[c]


@_kernel
def _bend(
    image: Any,
    window: Any,
    steps: Any,
    map: Any,
    border: Any,
    fill: Any,
    levels: Any,
    out: Any,
) -> None:
    """Sample a chain of steps; the triangle is as wide as the map shrinks at each place."""
    across, down = (
        np.empty(2 * MOST_REACH + 3, np.float32),
        np.empty(2 * MOST_REACH + 3, np.float32),
    )
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            u, v, wide, tall = follow(steps, map, x + 0.5, y + 0.5)
            u, v = _inside(u, window[3], border), _inside(v, window[2], border)
            reach_x, reach_y = min(max(wide, 1.0), MOST_REACH), min(max(tall, 1.0), MOST_REACH)
            _sample(image, window, u, v, reach_x, reach_y, across, down, fill, levels, out[:, y, x])


@_kernel
def follow(steps: Any, map: Any, x: Any, y: Any) -> Any:
    """Return where a place is shown from, and how much the map shrinks there, across and down.

    A place behind the viewer is far outside.
    """
    xx, xy, yx, yy = 1.0, 0.0, 0.0, 1.0  # derivatives of the place by the result's x and y
    for k in range(len(steps) - 1, -1, -1):
        h = steps[k]
        depth = h[6] * x + h[7] * y + h[8]
        if depth <= 0.0:
            return -1e9, -1e9, 1.0, 1.0
        u, v = (h[0] * x + h[1] * y + h[2]) / depth, (h[3] * x + h[4] * y + h[5]) / depth
        a, b = (h[0] - u * h[6]) / depth, (h[1] - u * h[7]) / depth
        c, d = (h[3] - v * h[6]) / depth, (h[4] - v * h[7]) / depth
        xx, xy, yx, yy = a * xx + b * yx, a * xy + b * yy, c * xx + d * yx, c * xy + d * yy
        scale = 1.0 / (h[11] * h[11] + h[12] * h[12])
        x, y = u - h[11], v - h[12]
        square = (x * x + y * y) * scale
        factor = 1.0 + h[9] * square + h[10] * square * square
        more = 2.0 * scale * (h[9] + 2.0 * h[10] * square)
        a, b, d = factor + more * x * x, more * x * y, factor + more * y * y
        xx, xy, yx, yy = a * xx + b * yx, a * xy + b * yy, b * xx + d * yx, b * xy + d * yy
        x, y = h[11] + x * factor, h[12] + y * factor
    a, b, c, d = map[0, 0], map[0, 1], map[1, 0], map[1, 1]
    wide, tall = hypot(a * xx + b * yx, a * xy + b * yy), hypot(c * xx + d * yx, c * xy + d * yy)
    return a * x + b * y + map[0, 2], c * x + d * y + map[1, 2], wide, tall


@_kernel
def _colour(image: Any, colour: Any, luma: Any, slope: Any, offset: Any) -> None:
    """Multiply every pixel by a matrix, add the mean luminance, clip to 0..255, normalise."""
    channels, height, width = image.shape
    mean = _mean(image, luma)
    line = np.empty((channels, width), np.float32)
    for y in range(height):
        line[:] = image[:, y]
        for c in range(channels):
            levels = image[c, y]
            base = np.float32(colour[c, channels] * mean) + colour[c, channels + 1]
            if channels == 3:
                red, green, blue = colour[c, 0], colour[c, 1], colour[c, 2]
                for x in range(width):
                    levels[x] = base + red * line[0, x] + green * line[1, x] + blue * line[2, x]
            else:
                for x in range(width):
                    levels[x] = base + colour[c, 0] * line[0, x]
            for x in range(width):
                level = min(max(levels[x], np.float32(0.0)), np.float32(255.0))
                levels[x] = level * slope[c] + offset[c]


@_kernel
def _mean(image: Any, luma: Any) -> Any:
    """Return the mean luminance of a (channels, height, width) image."""
    channels, height, width = image.shape
    sums = np.zeros(width, np.float64)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                sums[x] += luma[c] * image[c, y, x]
    return sums.sum() / (height * width)
