"""`striate design NET`."""

from __future__ import annotations

from typing import Annotated

import typer

from striate.cli import output
from striate.cli.options import Json
from striate.errors import UsageError


def design(
    net: Annotated[
        str,
        typer.Argument(metavar="NET", help="A name, notation, a prototxt, a network.json, a run."),
    ],
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, help="Another number of classes.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Another input, for example 3x224x224."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Shapes, parameters, MACs, receptive field of every layer."""
    from striate import zoo
    from striate.design import sheet
    from striate.design.table import text

    found = sheet(zoo.read(net, classes=classes, input=_shape(size)))
    found = found.replace(notes=found.notes + zoo.notes(found))
    output.show(found.document(), text(found), as_json)


def _shape(text: str | None) -> tuple[int, ...] | None:
    """Read `3x224x224`, `3,224,224`, or `224` for three channels of a square."""
    if text is None:
        return None
    parts = text.replace(",", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"Expected --input as CxHxW, for example 3x224x224, received {text!r}.")
    sizes = tuple(int(part) for part in parts)
    return (3, *sizes, *sizes) if len(sizes) == 1 else sizes
