"""Winograd's convolution in four kernels for LLVM, over images in channels-last order.

A tile of n x n pixels is read, transformed over vectors of channels, multiplied point by point with
the transformed filters (n x n products of matrices: tiles x channels x features), and transformed
back into m x m pixels. All of it is done for one block of tiles after another, so that what lies
between the steps stays in the cache; a block ends in the finished output: bias, residual and
threshold are added where the values are in registers anyway.

    V (points, tiles, channels)    the transformed tiles of a block
    U (panels, points, channels, width)  the transformed filters; a panel is as many features as
                                   the registers hold
    M (points, tiles, width)       the products of one panel

No step mixes two images or two tiles: what is not finite in one image stays there, and a result
does not depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from striate.ops.assembly import Function, Lanes, Variable, Word
from striate.ops.native import Kernel, compile_functions
from striate.ops.points import Matrix
from striate.ops.tiles import Form, corner, in_vectors, table, transform, transformed

ROWS = 6
"""Tiles that are multiplied at a time."""

_AHEAD = 64
"""Steps before a line of filters is multiplied that it is asked for: 16 kB of a panel, at which
layers of 512 channels of few pixels take 0.8 to 0.9 of the time, and none takes longer."""

_LINES_AHEAD = 2
"""The same of a tile's pixels, in lines of 64 bytes."""


def summed(form: Form) -> int:
    """Return how many products are summed before their sum is added to others.

    Nearly all of the error comes from these sums, and grows with the root of their length: of 512
    products in four parts it is half as large, which costs 3% of such a layer's time (a hundredth
    for the small tiles, in two parts).
    """
    return 128 if max(form.sides) > 6 else 256


def gather(form: Form, name: str, matrices: tuple[Matrix, Matrix]) -> Function:
    """Read tiles, one every m pixels, as large as the matrices take, and write transforms to V."""
    size = (matrices[0].shape[1], matrices[1].shape[1])
    code = Function(
        name,
        "image image_step row_step pixel_step height width top left channels zeros "
        "tiles_y tiles_x first count v v_tile v_point",
        form.lanes,
    )
    with code.loop(code.count) as index:
        number, y, x = corner(code, code.first + index, form.outputs)
        pixel = table(
            code,
            size,
            (y - code.top, x - code.left),
            code.image + number * code.image_step,
            code.zeros,
            strides=(code.row_step, code.pixel_step),
            limits=(code.height, code.width),
        )
        target = code.v + index * code.v_tile
        for channel, mask in in_vectors(code, code.channels):
            offset = channel * 4

            def load(
                row: int, column: int, offset: Word = offset, mask: str | None = mask
            ) -> Lanes:
                at = pixel(row, column) + offset
                code.fetch(at + 64 * _LINES_AHEAD)
                return code.load(at) if mask is None else code.load_masked(at, mask)

            def store(row: int, column: int, value: Lanes, offset: Word = offset) -> None:
                point = row * matrices[1].shape[0] + column
                code.store(value, target + code.v_point * point + offset)

            transform(matrices, load, store)
    return code


def multiply(form: Form, vectors: int) -> Function:
    """Multiply ROWS rows of A (any strides) with `vectors` vectors of B's rows into C.

    C is written where `fresh` is 1, added to where it is less.
    """
    code = Function(
        f"multiply_{vectors}",
        "a a_row a_step b b_step c c_row depth fresh",
        form.lanes,
    )
    cells = [(row, vector) for row in range(ROWS) for vector in range(vectors)]
    sums: dict[tuple[int, int], Variable] = {cell: code.variable() for cell in cells}
    rows = [code.a + code.a_row * row for row in range(ROWS)]
    place = {(row, v): code.c + code.c_row * row + v * form.lanes * 4 for row, v in cells}
    for cell in cells:
        sums[cell].set(code.constant(0.0))
    with code.loop(code.depth) as step:
        line = code.b + step * code.b_step
        right = [code.load(line + vector * form.lanes * 4) for vector in range(vectors)]
        for vector in range(vectors):
            code.fetch(line + code.b_step * _AHEAD + vector * form.lanes * 4)
        for row in range(ROWS):
            left = code.spread(rows[row] + step * code.a_step)
            for vector in range(vectors):
                total = sums[row, vector]
                total.set(left.times_plus(right[vector], total.get()))
    with code.when(code.fresh.below(1)):
        for cell in cells:
            sums[cell].set(sums[cell].get() + code.load(place[cell]))
    for cell in cells:
        code.store(sums[cell].get(), place[cell])
    return code


@lru_cache
def panels(form: Form) -> dict[int, Function]:
    """Return the products by the vectors of a panel: the last panel is narrower."""
    return {count: multiply(form, count) for count in range(1, form.vectors + 1)}


SCATTER = (
    "m m_tile m_point features bias floor zeros waste residual r_image r_row r_pixel "
    "out out_image out_row out_pixel out_height out_width tiles_y tiles_x first count"
)
"""The parameters of `scatter`."""


def scatter(form: Form) -> Function:
    """Transform M back and write the pixels: + bias, + residual, at least the floor."""
    code = Function("scatter", SCATTER, form.lanes)
    floor = code.spread(code.floor)
    with code.loop(code.count) as index:
        number, y, x = corner(code, code.first + index, form.outputs)
        limits = (code.out_height, code.out_width)
        pixels = partial(table, code, form.outputs, (y, x), limits=limits)
        base = code.out + number * code.out_image
        out = pixels(base, code.waste, strides=(code.out_row, code.out_pixel))
        base = code.residual + number * code.r_image
        residual = pixels(base, code.zeros, strides=(code.r_row, code.r_pixel))
        for offset, mask, values in _results(code, form, index):
            bias = code.part(code.bias + offset, mask)
            for place, value in values():
                value = value + bias + code.part(residual(*place) + offset, mask)
                code.store_part(value.at_least(floor), out(*place) + offset, mask)
    return code


def scatter_pooled(form: Form) -> Function:
    """Do the same without residual, and write the largest of every 2 x 2 pixels alone."""
    code = Function("scatter", SCATTER, form.lanes)
    floor, half = code.spread(code.floor), tuple(m // 2 for m in form.outputs)
    with code.loop(code.count) as index:
        number, y, x = corner(code, code.first + index, (half[0], half[1]))
        out = table(
            code,
            (half[0], half[1]),
            (y, x),
            code.out + number * code.out_image,
            code.waste,
            strides=(code.out_row, code.out_pixel),
            limits=(code.out_height, code.out_width),
        )
        for offset, mask, values in _results(code, form, index):
            bias = code.part(code.bias + offset, mask)
            found = {place: (value + bias).at_least(floor) for place, value in values()}
            for y_half in range(half[0]):
                for x_half in range(half[1]):
                    rows = [
                        found[2 * y_half + row, 2 * x_half].larger(
                            found[2 * y_half + row, 2 * x_half + 1]
                        )
                        for row in range(2)
                    ]
                    place = out(y_half, x_half) + offset
                    code.store_part(rows[0].larger(rows[1]), place, mask)
    return code


Results = Iterator[tuple[tuple[int, int], Lanes]]


def _results(
    code: Function, form: Form, index: Word
) -> Iterator[tuple[Word, str | None, Callable[[], Results]]]:
    """Write a loop over a tile's features: yields an offset, a mask, and what transforms M back."""
    source = code.m + index * code.m_tile
    for feature, mask in in_vectors(code, code.features):
        offset = feature * 4

        def load(row: int, column: int, offset: Word = offset) -> Lanes:
            point = row * form.sides[1] + column
            return code.load(source + code.m_point * point + offset)

        def values(load: Callable[[int, int], Lanes] = load) -> Results:
            return transformed(form.matrices("outputs"), load)

        yield offset, mask, values


FORWARD = (
    "image image_step row_step pixel_step height width top left channels filters features bias "
    "floor zeros residual r_image r_row r_pixel out out_image out_row out_pixel out_height "
    "out_width tiles_y tiles_x v_tile v_point m_tile m_point block room"
)
"""The parameters of `forward`: addresses and steps in bytes, the rest counts."""


def forward(form: Form, *, pooled: bool = False) -> list[Function]:
    """Convolve the tiles first ... last - 1 with the panels first_panel ... last_panel - 1."""
    read, write, products = (
        gather(form, "gather", form.matrices("inputs")),
        scatter_pooled(form) if pooled else scatter(form),
        panels(form),
    )
    code = Function("forward", FORWARD, form.lanes, pieces="first last first_panel last_panel")
    most = summed(form)
    arguments = {name: getattr(code, name) for name in code.parameters}
    v, m = code.room, code.room + code.v_point * form.points
    arguments |= {"v": v, "m": m, "waste": m + code.m_point * form.points}
    with code.loop(code.last, code.block, code.first) as first:
        count = (code.last - first).least(code.block)
        here = {**arguments, "first": first, "count": count}
        code.call(read, *(here[name] for name in read.parameters))
        with code.loop(code.last_panel, 1, code.first_panel) as panel:
            begun = panel * form.width
            features = (code.features - begun).least(form.width)
            size = code.channels * (form.points * 4)
            filters = code.filters + begun * size
            vectors = (features + form.lanes - 1) // form.lanes
            for number, product in products.items():
                with (
                    code.when((vectors - number).within(1)),
                    code.loop(form.points) as point,
                    code.loop(count, ROWS) as tile,
                    code.loop(code.channels, most) as channel,
                ):
                    step, depth = number * form.lanes * 4, (code.channels - channel).least(most)
                    a = v + point * code.v_point + tile * code.v_tile + channel * 4
                    b = filters + (point * code.channels + channel) * step
                    c = m + point * code.m_point + tile * code.m_tile
                    fresh = code.word(1) - channel
                    code.call(product, a, code.v_tile, 4, b, step, c, code.m_tile, depth, fresh)
            here |= {"features": features}
            for name in ("bias", "residual", "out"):
                here[name] = arguments[name] + begun * 4
            code.call(write, *(here[name] for name in write.parameters))
    return [read, *products.values(), write, code]


def filters(form: Form) -> Function:
    """Transform filters into the panels of U: any steps, but features side by side."""
    code = Function(
        "filters",
        "w down across inward channels features u room",
        form.lanes,
        pieces="first_panel last_panel",
    )
    with code.loop(code.last_panel, 1, code.first_panel) as panel:
        begun = panel * form.width
        features = (code.features - begun).least(form.width)
        width = (features + form.lanes - 1) // form.lanes * form.lanes
        target = code.u + begun * code.channels * (form.points * 4)
        with code.loop(code.channels) as channel:
            for feature, mask in in_vectors(code, features):
                source = code.w + channel * code.inward + (begun + feature) * 4
                into = target + (channel * width + feature) * 4

                def load(
                    row: int,
                    column: int,
                    source: Word = source,
                    mask: str | None = mask,
                ) -> Lanes:
                    return code.part(source + code.down * row + code.across * column, mask)

                def store(
                    row: int, column: int, value: Lanes, into: Word = into, width: Word = width
                ) -> None:
                    point = row * form.sides[1] + column
                    code.store(value, into + code.channels * width * (point * 4))

                transform(form.matrices("filters"), load, store)
    return code


# -- the gradient by the filters -------------------------------------------------------------------


def correlate(form: Form) -> Function:
    """Add V^T Z, summed over tiles, to the gradient of U, for points first ... last - 1."""
    code = Function(
        "correlate",
        "v v_tile v_point z z_tile z_point count channels features u u_row u_point fresh room",
        form.lanes,
        pieces="first last",
    )
    most = summed(form)
    with (
        code.loop(code.last, 1, code.first) as point,
        code.loop(code.features, form.width) as begun,
    ):
        features = (code.features - begun).least(form.width)
        vectors = (features + form.lanes - 1) // form.lanes
        for number, product in panels(form).items():
            with (
                code.when((vectors - number).within(1)),
                code.loop(code.count, most) as tile,
                code.loop(code.channels, ROWS) as channel,
            ):
                a = code.v + point * code.v_point + tile * code.v_tile + channel * 4
                b = code.z + point * code.z_point + tile * code.z_tile + begun * 4
                c = code.u + point * code.u_point + channel * code.u_row + begun * 4
                depth, fresh = (code.count - tile).least(most), code.fresh - tile
                code.call(product, a, 4, code.v_tile, b, code.z_tile, c, code.u_row, depth, fresh)
    return code


def restore(form: Form) -> Function:
    """Transform the gradient of U back: -> (taps, taps, channels, features)."""
    names = "u u_row u_point channels features w room"
    code = Function("restore", names, form.lanes, pieces="first last")
    down, across = form.matrices("filters")
    tap = code.channels * code.features * 4
    with code.loop(code.last, 1, code.first) as channel:
        for feature, mask in in_vectors(code, code.features):
            source = code.u + channel * code.u_row + feature * 4
            into = code.w + (channel * code.features + feature) * 4

            def load(row: int, column: int, source: Word = source) -> Lanes:
                return code.load(source + code.u_point * (row * form.sides[1] + column))

            def store(
                row: int, column: int, value: Lanes, into: Word = into, mask: str | None = mask
            ) -> None:
                at = into + tap * (row * form.taps[1] + column)
                if mask is None:
                    code.store(value, at)
                else:
                    code.store_masked(value, at, mask)

            transform((down.T, across.T), load, store)
    return code


EXPAND = (
    "image image_step row_step pixel_step height width top left channels "
    "seen seen_image seen_row seen_pixel out_height out_width features "
    "zeros tiles_y tiles_x begin v v_tile v_point z z_tile z_point room"
)
"""The parameters of `expand`."""


def expand(form: Form) -> list[Function]:
    """Transform tiles begin + first ... of the image to V, those of the output's gradient to Z.

    The latter do not overlap, and are transformed as the filters of F(r, m) are.
    """
    down, across = form.matrices("outputs")
    image = gather(form, "gather", form.matrices("inputs"))
    seen = gather(form, "spread", (down.T, across.T))
    code = Function("expand", EXPAND, form.lanes, pieces="first last")
    here = {name: getattr(code, name) for name in code.parameters}
    here |= {"first": code.begin + code.first, "count": code.last - code.first}
    here["v"] = code.v + code.first * code.v_tile
    code.call(image, *(here[name] for name in image.parameters))
    for name, other in zip(
        "image image_step row_step pixel_step height width channels v_tile v_point".split(),
        "seen seen_image seen_row seen_pixel out_height out_width features z_tile z_point".split(),
        strict=True,
    ):
        here[name] = here[other]
    here |= {"top": code.word(0), "left": code.word(0), "v": code.z + code.first * code.z_tile}
    code.call(seen, *(here[name] for name in seen.parameters))
    return [seen, code]


@lru_cache
def kernels(form: Form) -> dict[str, Kernel]:
    """Return `forward`, `filters`, `expand`, `correlate` and `restore` of a form, compiled.

    The first call on a machine takes a second or two.
    """
    what = f"Winograd's F({form.outputs[0]}x{form.outputs[1]}, {form.taps[0]}x{form.taps[1]})"
    written = [*forward(form), filters(form), *expand(form), correlate(form), restore(form)]
    return compile_functions(what, written)


@lru_cache
def pooled_kernel(form: Form) -> Kernel:
    """Return `forward` with the largest of every 2 x 2 pixels as its result, compiled."""
    what = f"the same for a convolution before pooling, F({form.outputs[0]}, {form.taps[0]})"
    return compile_functions(what, forward(form, pooled=True))["forward"]
