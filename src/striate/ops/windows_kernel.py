"""Kernels that take each channel by itself: filters of single channels, pooling, responses.

A tile of the result is computed at a time, for one vector of channels after another, so that every
pixel under it is read once, and every tap once a tile. Pixels outside the image are read from
memory that holds zeros, or what is less than anything. They are written for a window and a stride.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce

from striate.ops.assembly import Function, Lanes
from striate.ops.native import Kernel, compile_functions
from striate.ops.problem import Pair
from striate.ops.tiles import Place, corner, in_vectors, table

IMAGES = (
    "image image_step row_step pixel_step height width top left channels beyond "
    "out out_image out_row out_pixel out_height out_width waste tiles_y tiles_x "
)
"""What every kernel is told first: addresses and steps in bytes, the rest counts."""


def tile(kernel: Pair, stride: Pair) -> Pair:
    """Return the pixels of the result that are computed at a time."""
    return (2 if stride[0] == 1 and 1 < kernel[0] <= 3 else 1), 4


def _walk(code: Function, kernel: Pair, stride: Pair) -> Iterator[tuple[Place, Place]]:
    """Write a loop over tiles: yields where the pixels under it lie, and those of the result."""
    size = tile(kernel, stride)
    under = [(n - 1) * step + k for n, step, k in zip(size, stride, kernel, strict=True)]
    with code.loop(code.last, 1, code.first) as number:
        image, y, x = corner(code, number, size)
        pixel = table(
            code,
            (under[0], under[1]),
            (y * stride[0] - code.top, x * stride[1] - code.left),
            code.image + image * code.image_step,
            code.beyond,
            strides=(code.row_step, code.pixel_step),
            limits=(code.height, code.width),
        )
        out = table(
            code,
            size,
            (y, x),
            code.out + image * code.out_image,
            code.waste,
            strides=(code.out_row, code.out_pixel),
            limits=(code.out_height, code.out_width),
        )
        yield pixel, out


def depthwise(lanes: int, kernel: Pair, stride: Pair) -> Function:
    """Convolve every channel with a filter of its own: + bias, cut at the limits."""
    names = IMAGES + "filters tap_step bias floor ceiling room"
    code = Function("depthwise", names, lanes, pieces="first last")
    floor, ceiling = code.spread(code.floor), code.spread(code.ceiling)
    (high, wide), (down, across) = kernel, stride
    cells = [(y, x) for y in range(tile(kernel, stride)[0]) for x in range(tile(kernel, stride)[1])]
    for pixel, out in _walk(code, kernel, stride):
        for channel, mask in in_vectors(code, code.channels):
            offset = channel * 4
            taps = [
                code.load(code.filters + code.tap_step * tap + offset) for tap in range(high * wide)
            ]
            bias = code.part(code.bias + offset, mask)
            sums = dict.fromkeys(cells, bias)
            for row in range((cells[-1][0]) * down + high):
                for column in range((cells[-1][1]) * across + wide):
                    value = code.part(pixel(row, column) + offset, mask)
                    for y, x in cells:
                        i, j = row - y * down, column - x * across
                        if 0 <= i < high and 0 <= j < wide:
                            sums[y, x] = value.times_plus(taps[i * wide + j], sums[y, x])
            for (y, x), total in sums.items():
                value = total.at_least(floor).at_most(ceiling)
                code.store_part(value, out(y, x) + offset, mask)
    return code


def maximum(lanes: int, kernel: Pair, stride: Pair) -> Function:
    """Take the largest value under each window; not-a-number where there is one."""
    code = Function("maximum", IMAGES + "room", lanes, pieces="first last")
    (high, wide), (down, across), size = kernel, stride, tile(kernel, stride)
    for pixel, out in _walk(code, kernel, stride):
        for channel, mask in in_vectors(code, code.channels):
            offset = channel * 4
            for y in range(size[0]):
                columns = [
                    reduce(
                        Lanes.larger,
                        [code.part(pixel(y * down + i, x) + offset, mask) for i in range(high)],
                    )
                    for x in range((size[1] - 1) * across + wide)
                ]
                for x in range(size[1]):
                    first = x * across
                    largest = reduce(Lanes.larger, columns[first : first + wide])
                    code.store_part(largest, out(y, x) + offset, mask)
    return code


def average(lanes: int) -> Function:
    """Take the mean of each channel over the whole image."""
    names = "image image_step row_step pixel_step height width out out_image share room "
    code = Function("average", names, lanes, pieces="first last first_channel last_channel")
    share, total = code.spread(code.share), code.variable()
    with code.loop(code.last, 1, code.first) as number:
        for channel, mask in in_vectors(code, code.last_channel - code.first_channel):
            offset = (code.first_channel + channel) * 4
            place = code.image + number * code.image_step + offset
            total.set(code.constant(0.0))
            with code.loop(code.height) as y, code.loop(code.width) as x:
                pixel = place + y * code.row_step + x * code.pixel_step
                total.set(total.get() + code.part(pixel, mask))
            into = code.out + number * code.out_image + offset
            code.store_part(total.get() * share, into, mask)
    return code


def response(lanes: int, size: int) -> Function:
    """Normalise responses by their neighbours' with beta = 3/4, a power that two roots give."""
    code = Function("response", IMAGES + "k share room", lanes, pieces="first last")
    base, share = code.spread(code.k), code.spread(code.share)
    squares = code.room + lanes * 4
    code.store(code.constant(0.0), code.room)
    code.store(code.constant(0.0), squares + code.channels * 4)
    for pixel, out in _walk(code, (1, 1), (1, 1)):
        for column in range(tile((1, 1), (1, 1))[1]):
            source, into = pixel(0, column), out(0, column)
            for channel, mask in in_vectors(code, code.channels):
                value = code.part(source + channel * 4, mask)
                code.store_part(value * value, squares + channel * 4, mask)
            for channel, mask in in_vectors(code, code.channels):
                begun = squares + channel * 4 - size // 2 * 4
                near = [code.load(begun + step * 4) for step in range(size)]
                root = reduce(Lanes.__add__, near).times_plus(share, base).root()
                value = code.part(source + channel * 4, mask)
                code.store_part(value / (root * root.root()), into + channel * 4, mask)
    return code


@lru_cache
def depthwise_kernel(lanes: int, kernel: Pair, stride: Pair) -> Kernel:
    """Return `depthwise`, compiled for this machine."""
    code = depthwise(lanes, kernel, stride)
    return compile_functions("filters of single channels", [code])[code.name]


@lru_cache
def maximum_kernel(lanes: int, kernel: Pair, stride: Pair) -> Kernel:
    """Return `maximum`, compiled for this machine."""
    code = maximum(lanes, kernel, stride)
    return compile_functions("max pooling", [code])[code.name]


@lru_cache
def average_kernel(lanes: int) -> Kernel:
    """Return `average`, compiled for this machine."""
    code = average(lanes)
    return compile_functions("average pooling", [code])[code.name]


@lru_cache
def response_kernel(lanes: int, size: int) -> Kernel:
    """Return `response`, compiled for this machine."""
    code = response(lanes, size)
    return compile_functions("response normalisation", [code])[code.name]
