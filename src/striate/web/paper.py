"""Networks on paper: sheet, drawing and receptive fields; and design as one types.

Only registered names and notation are read here, never a path: what the page sends is somebody's
typing, and no typing opens a file.
"""

from __future__ import annotations

import re
from typing import Any

from striate import design as on_paper
from striate import zoo
from striate.design import Conv, Network, notation
from striate.design.drawing import drawing
from striate.design.names import no_such_part
from striate.errors import DesignError, NotationError, StriateError
from striate.records import nearest
from striate.serve.refusal import Refusal

_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(.*\))?\s*", re.DOTALL)
_MOST_TEXT = 20_000
_MOST_SIDE = 4096
_MOST_DRAWN = 700  # layers
_MOST_FIELDS = 600  # rows, or columns, of a layer whose fields are sent


def read(text: str, shape: tuple[int, ...] | None = None, classes: int | None = None) -> Network:
    """Read a registered name, with or without knobs, or notation.

    Raises:
        StriateError: it is neither; notation says where.
    """
    if len(text) > _MOST_TEXT:
        raise Refusal(413, f"Expected at most {_MOST_TEXT:,} characters, received {len(text):,}.")
    if shape is not None and not (1 <= len(shape) <= 3 and all(0 < n <= _MOST_SIDE for n in shape)):
        raise Refusal(422, f"Expected an input of 1 to {_MOST_SIDE} in each dimension.")
    named = _NAME.fullmatch(text)
    if named and named[1] in zoo.names():
        return zoo.network(text.strip(), classes=classes, input=shape)
    return notation.parse(text, classes=classes, input=shape)


def design(
    text: str, shape: tuple[int, ...] | None = None, classes: int | None = None
) -> dict[str, Any]:
    """Return sheet and drawing, or `{"error": {message, line, column, near}}`."""
    try:
        network = read(text, shape, classes)
        if len(network.layers) > _MOST_DRAWN:
            raise DesignError(f"This has {len(network.layers):,} layers: too many for the page.")
        return {"network": document(network)}
    except StriateError as error:
        said, _, _ = str(error).partition("\n")
        line, column = None, None
        if isinstance(error, NotationError):
            line, column = error.line, error.column
            said = re.sub(r"^notation, line \d+, column \d+: ", "", said)
        word = re.split(r"[\s(]", text.strip(), maxsplit=1)[0][:60]
        return {
            "error": {
                "message": said,
                "line": line,
                "column": column,
                "layer": getattr(error, "layer", None),
                "near": nearest(word, zoo.names()) if word else (),
            }
        }


def document(network: Network) -> dict[str, Any]:
    """Return a network's sheet and its drawing."""
    sheet = on_paper.sheet(network)
    rows = {each.name: each for each in network.layers}
    shown = sheet.document()
    for row in shown["layers"]:
        layer = rows[row["name"]]
        row["filters"] = isinstance(layer, Conv) and len(layer.kernel) == 2
    return {**shown, "drawing": drawing(sheet, every=len(rows) <= 40)}


def fields(net: Network, layer: str) -> dict[str, Any]:
    """Return the receptive field of every place of a layer: a table for rows, one for columns."""
    shape = net.shapes().get(layer)
    if shape is None:
        raise no_such_part(net.name, layer[:100], net.shapes())
    if len(shape) != 3 or len(net.input_shape) != 3 or max(shape[1:]) > _MOST_FIELDS:
        return {"layer": layer, "rows": [], "columns": []}
    return {
        "layer": layer,
        "rows": [on_paper.crop(net, layer, (at, 0))[0] for at in range(shape[1])],
        "columns": [on_paper.crop(net, layer, (0, at))[1] for at in range(shape[2])],
        "size": net.input_shape[1:],
    }
