"""Filters of single channels and the 1x1 filters after them, block by block in the second cache.

Some rows of what the first give lie in memory of the thread's own, where the second read them at
once: it never travels to the shared memory and back, which takes longer than the first filters do.
"""

from __future__ import annotations

from functools import lru_cache

from striate.ops.assembly import Function, Word
from striate.ops.native import Kernel, compile_functions
from striate.ops.packed_kernel import ROWS, all_products, panels, places
from striate.ops.problem import Pair
from striate.ops.windows_kernel import depthwise, tile

PARAMETERS = (
    "image image_step row_step pixel_step height width top left depth zeros "
    "residual r_image r_row r_pixel out out_image out_row out_pixel out_height out_width "
    "taps tap_step first_bias first_floor first_ceiling "
    "filters features bias floor ceiling block bands room"
)
"""Addresses and steps in bytes, the rest counts: `block` rows a band, `bands` an image."""


def room_bytes(block: int, width: int, depth: int, features: int) -> int:
    """Return the bytes that a thread works in: values, their places, and room for what is waste."""
    pixels = -(-block * width // ROWS) * ROWS
    return _lines(4 * pixels * depth) + 3 * _lines(8 * pixels) + _lines(4 * max(depth, features))


def forward(lanes: int, vectors: int, kernel: Pair, stride: Pair) -> list[Function]:
    """Compute the bands first ... last - 1 by the panels first_panel ... last_panel - 1."""
    look, single = places(lanes), depthwise(lanes, kernel, stride)
    products = all_products(lanes, vectors)
    code = Function("separable", PARAMETERS, lanes, pieces="first last first_panel last_panel")
    one, none = code.word(1), code.word(0)
    pixels = code.block * code.out_width
    whole = (pixels + (ROWS - 1)) // ROWS * ROWS
    table = code.room + _in_lines(whole * code.depth * 4)
    outs = table + _in_lines(whole * 8)
    residuals = outs + _in_lines(whole * 8)
    waste = residuals + _in_lines(whole * 8)
    parameters = {name: getattr(code, name) for name in code.parameters}
    down, across = tile(kernel, stride)
    with code.loop(code.last, 1, code.first) as band:
        number, begun = band // code.bands, band % code.bands * code.block
        high = (code.out_height - begun).least(code.block)
        image = code.image + number * code.image_step
        inner = {
            **parameters,
            "image": image,
            "top": code.top - begun * stride[0],
            "channels": code.depth,
            "beyond": code.zeros,
            "out": code.room,
            "out_image": none,
            "out_row": code.out_width * code.depth * 4,
            "out_pixel": code.depth * 4,
            "out_height": high,
            "waste": waste,
            "tiles_y": (high + (down - 1)) // down,
            "tiles_x": (code.out_width + (across - 1)) // across,
            "filters": code.taps,
            "bias": code.first_bias,
            "floor": code.first_floor,
            "ceiling": code.first_ceiling,
            "first": none,
        }
        inner["last"] = inner["tiles_y"] * inner["tiles_x"]
        code.call(single, *(inner[name] for name in single.parameters))
        count = high * code.out_width
        rows = (count + (ROWS - 1)) // ROWS * ROWS
        outer = {
            **parameters,
            "image": code.room,
            "image_step": none,
            "row_step": inner["out_row"],
            "pixel_step": inner["out_pixel"],
            "height": high,
            "width": code.out_width,
            **dict.fromkeys(("top", "left", "first"), none),
            **dict.fromkeys(("stride_y", "stride_x", "dilation_y", "dilation_x"), one),
            **dict.fromkeys(("taps_y", "taps_x"), one),
            "residual": code.residual + number * code.r_image + begun * code.r_row,
            "out": code.out + number * code.out_image + begun * code.out_row,
            "out_height": high,
            "count": count,
            "rows": rows,
            "waste": waste,
            "table": table,
            "tap_step": none,
            "outs": outs,
            "residuals": residuals,
        }
        code.call(look, *(outer[name] for name in look.parameters))
        here = {name: outer[name] for name in ("table", "tap_step", "outs", "residuals")}
        panels(code, products, here, one, count)
    return [look, single, *products.values(), code]


def _in_lines(count: Word) -> Word:
    return (count + 63) // 64 * 64


def _lines(count: int) -> int:
    return -(-count // 64) * 64


@lru_cache
def kernel(lanes: int, vectors: int, window: Pair, stride: Pair) -> Kernel:
    """Return `forward`, compiled for this machine."""
    what = "filters of single channels with 1x1 filters"
    return compile_functions(what, forward(lanes, vectors, window, stride))["separable"]
