"""The convolution by its definition, as one matrix product whose columns are never copied.

Six pixels of the result (fewer at the end) times a panel of features are summed in registers, over
the filter's taps and the image's channels; where a tap's pixel lies is looked up in a table, which
is made once for a block of pixels and read for every panel. What lies outside the image is read
from zeros, so that stride, padding and dilation cost nothing but the making of the table. The next
six pixels, and what is added at the end, are asked for while these are multiplied: their memory
arrives meanwhile (64 to 256 features of 56 x 56 pixels with a residual take 0.6 of the time).

    table (taps, pixels)           addresses of the pixels that a block reads
    outs, residuals (pixels)       addresses of what it writes and adds
    values (pixels, channels)      means under the taps, where that is what 1x1 filters read
    filters (panels, taps, channels, width)   a panel is as many features as the registers hold
"""

from __future__ import annotations

from functools import lru_cache

from striate.ops.assembly import Function, Lanes, Variable, Word
from striate.ops.native import Kernel, compile_functions
from striate.ops.tiles import in_vectors

ROWS = 6
"""Pixels that are computed at a time."""

PLACES = (
    "image image_step row_step pixel_step height width top left stride_y stride_x "
    "dilation_y dilation_x taps_y taps_x zeros residual r_image r_row r_pixel "
    "out out_image out_row out_pixel out_height out_width first count rows waste "
    "table tap_step outs residuals"
)
"""The parameters of `places`: addresses and steps in bytes, the rest counts."""


def places(lanes: int) -> Function:
    """Look up where the pixels first ... first + count - 1 of the result, padded to rows, lie.

    Line by line of the result: along one, what is read and written advances by equal steps.
    """
    code = Function("places", PLACES, lanes)
    last, wide = code.first + code.count, code.out_width
    with code.loop((last + (wide - 1)) // wide, 1, code.first // wide) as line:
        number, y, start = line // code.out_height, line % code.out_height, line * wide
        begin, stop = start.where(code.first.below(start), code.first), (start + wide).least(last)
        into = (begin - code.first) * 8
        with code.loop(code.taps_y) as tap_y:
            row = y * code.stride_y - code.top + tap_y * code.dilation_y
            width = code.width.where(row.within(code.height), 0)
            base = code.image + number * code.image_step + row * code.row_step
            with code.loop(code.taps_x) as tap_x:
                column = (begin - start) * code.stride_x - code.left + tap_x * code.dilation_x
                at = code.table + (tap_y * code.taps_x + tap_x) * code.tap_step + into
                with code.loop(stop - begin) as pixel:
                    here = column + pixel * code.stride_x
                    place = base + here * code.pixel_step
                    code.store_word(place.where(here.within(width), code.zeros), at + pixel * 8)
        out = code.out + number * code.out_image + y * code.out_row
        residual = code.residual + number * code.r_image + y * code.r_row
        with code.loop(stop - begin) as pixel:
            x, at = begin - start + pixel, into + pixel * 8
            code.store_word(out + x * code.out_pixel, code.outs + at)
            code.store_word(residual + x * code.r_pixel, code.residuals + at)
    with code.loop(code.rows, 1, code.count) as index:
        with code.loop(code.taps_y * code.taps_x) as tap:
            code.store_word(code.zeros, code.table + tap * code.tap_step + index * 8)
        code.store_word(code.waste, code.outs + index * 8)
        code.store_word(code.zeros, code.residuals + index * 8)
    return code


def mean(lanes: int) -> Function:
    """Write scaled, shifted, cut and averaged over its taps what a block reads, and note where."""
    code = Function(
        "mean",
        "table tap_step taps rows depth values value_step scale shift least most share",
        lanes,
    )
    least, most, share = (code.spread(at) for at in (code.least, code.most, code.share))
    total = code.variable()
    with code.loop(code.rows) as index:
        place, into = code.table + index * 8, code.values + index * code.value_step
        for channel, mask in in_vectors(code, code.depth):
            offset = channel * 4
            scale, shift = (code.part(at + offset, mask) for at in (code.scale, code.shift))
            total.set(code.constant(0.0))
            with code.loop(code.taps) as tap:
                value = code.part(code.load_word(place + tap * code.tap_step) + offset, mask)
                value = value.times_plus(scale, shift).at_least(least).at_most(most)
                total.set(value.times_plus(share, total.get()))
            code.store_part(total.get(), into + offset, mask)
        code.store_word(into, place)
    return code


def product(lanes: int, vectors: int, rows: int = ROWS) -> Function:
    """Compute `rows` pixels of `vectors` vectors of features, and finish them."""
    code = Function(
        f"product_{vectors}_{rows}",
        "table tap_step taps depth filters outs residuals offset bias floor ceiling features",
        lanes,
    )
    cells = [(row, vector) for row in range(rows) for vector in range(vectors)]
    sums: dict[tuple[int, int], Variable] = {cell: code.variable() for cell in cells}
    for cell in cells:
        sums[cell].set(code.constant(0.0))
    _fetch_residuals(code, vectors, rows)
    with code.loop(code.taps) as tap:
        here = code.table + tap * code.tap_step
        pixels = [code.load_word(here + 8 * row) for row in range(rows)]
        following = code.load_word(here + 8 * rows)
        begun = code.filters + tap * code.depth * (vectors * lanes * 4)
        with code.loop(code.depth) as step:
            line = begun + step * (vectors * lanes * 4)
            right = [code.load(line + vector * lanes * 4) for vector in range(vectors)]
            code.fetch(following + step * (4 * rows))  # the pixels after these lie side by side
            for row in range(rows):
                left = code.spread(pixels[row] + step * 4)
                for vector in range(vectors):
                    total = sums[row, vector]
                    total.set(left.times_plus(right[vector], total.get()))
    _finish(code, {cell: total.get() for cell, total in sums.items()}, vectors, rows)
    return code


def _fetch_residuals(code: Function, vectors: int, rows: int) -> None:
    """Ask for what will be added to the sums while they are taken."""
    for row in range(rows):
        begun = code.load_word(code.residuals + 8 * row) + code.offset
        for vector in range(vectors):
            code.fetch(begun + vector * code.lanes * 4)


def _finish(code: Function, sums: dict[tuple[int, int], Lanes], vectors: int, rows: int) -> None:
    """Write sums to their places: + bias, + residual, cut at the limits; the last vector masked."""
    floor, ceiling = code.spread(code.floor), code.spread(code.ceiling)
    width = code.lanes * 4

    def write(row: int, vector: int, mask: str | None = None) -> None:
        offset = code.offset + vector * width
        value = sums[row, vector] + code.part(code.bias + offset, mask)
        value = value + code.part(code.load_word(code.residuals + 8 * row) + offset, mask)
        place = code.load_word(code.outs + 8 * row) + offset
        code.store_part(value.at_least(floor).at_most(ceiling), place, mask)

    for row in range(rows):
        for vector in range(vectors - 1):
            write(row, vector)
    full = vectors * code.lanes
    with code.when(code.word(full - 1).below(code.features)):
        for row in range(rows):
            write(row, vectors - 1)
    with code.when(code.features.below(full)):
        mask = code.mask(code.features - (vectors - 1) * code.lanes)
        for row in range(rows):
            write(row, vectors - 1, mask)


def all_products(lanes: int, vectors: int) -> dict[tuple[int, int], Function]:
    """Return the products by vectors and pixels; fewer than ROWS pixels for whole panels only."""
    kinds = [(n, ROWS) for n in range(1, vectors + 1)] + [(vectors, n) for n in range(1, ROWS)]
    return {kind: product(lanes, *kind) for kind in kinds}


def panels(
    code: Function,
    products: dict[tuple[int, int], Function],
    here: dict[str, Word],
    taps: Word,
    count: Word,
) -> None:
    """Write the loop over panels of features, and in each over rows of pixels.

    Args:
        code: has the parameters depth, filters, features, bias, floor, ceiling and panels' range.
        products: by their numbers of vectors and pixels.
        here: addresses of table, outs and residuals, and the step of a tap in the table.
        taps: of a filter.
        count: pixels; the table has whole ROWS of them.
    """
    most = max(number for number, _ in products)
    width, rest = code.lanes * most, count % ROWS
    with code.loop(code.last_panel, 1, code.first_panel) as panel:
        begun = panel * width
        features = (code.features - begun).least(width)
        filters = code.filters + begun * (taps * code.depth * 4)
        several = (features + code.lanes - 1) // code.lanes

        def compute(one: Function, row: Word) -> None:
            code.call(
                *(one, here["table"] + row * 8, here["tap_step"], taps, code.depth),
                *(filters, here["outs"] + row * 8, here["residuals"] + row * 8),
                *(begun * 4, code.bias, code.floor, code.ceiling, features),
            )

        for (number, pixels), one in products.items():
            with code.when((several - number).within(1)):
                if pixels == ROWS:
                    whole = count - rest if number == most else count
                    with code.loop(whole, ROWS) as row:
                        compute(one, row)
                else:
                    with code.when((rest - pixels).within(1)):
                        compute(one, count - rest)


FORWARD = (
    "image image_step row_step pixel_step height width top left stride_y stride_x "
    "dilation_y dilation_x taps_y taps_x zeros residual r_image r_row r_pixel "
    "out out_image out_row out_pixel out_height out_width depth filters features "
    "bias floor ceiling block room"
)
"""The parameters of `forward`."""

BEFORE = "value_step scale shift least most share "
"""More of them, where what is multiplied is a mean."""


def forward(lanes: int, vectors: int, *, means: bool = False) -> list[Function]:
    """Compute the pixels first ... last - 1 by the panels first_panel ... last_panel - 1.

    Args:
        lanes: floats in a vector.
        vectors: of features at a time.
        means: whether 1x1 filters read the mean under the taps of what is scaled, shifted and cut.
    """
    look, products = places(lanes), all_products(lanes, vectors)
    names = (BEFORE if means else "") + FORWARD
    code = Function("forward", names, lanes, pieces="first last first_panel last_panel")
    enter = mean(lanes)
    here = {name: getattr(code, name) for name in code.parameters}
    here["tap_step"] = code.block * 8
    here["taps"] = code.taps_y * code.taps_x
    here["values"] = here["table"] = code.room
    if means:
        here["table"] = code.room + code.block * code.value_step
    here["outs"] = here["table"] + here["taps"] * code.block * 8
    here["residuals"] = here["outs"] + code.block * 8
    here["waste"] = here["residuals"] + code.block * 8
    with code.loop(code.last, code.block, code.first) as first:
        count = (code.last - first).least(code.block)
        rows = (count + (ROWS - 1)) // ROWS * ROWS
        found = {**here, "first": first, "count": count, "rows": rows}
        code.call(look, *(found[name] for name in look.parameters))
        if means:
            code.call(enter, *(found[name] for name in enter.parameters))
        panels(code, products, here, code.word(1) if means else here["taps"], count)
    return [look, *([enter] if means else []), *products.values(), code]


@lru_cache
def kernel(lanes: int, vectors: int, means: bool = False) -> Kernel:
    """Return `forward`, compiled for this machine."""
    what = "the direct convolution" + (" of means" if means else "")
    return compile_functions(what, forward(lanes, vectors, means=means))["forward"]
