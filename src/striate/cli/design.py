"""`striate design NET`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.design import Network


def design(
    net: Annotated[
        str,
        typer.Argument(metavar="NET", help="A registered network, a network.json, or a run."),
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

    found = sheet(_network(net, classes, _shape(size)))
    found = found.replace(notes=found.notes + zoo.notes(found))
    output.show(found.document(), found.text(), as_json)


def _network(name: str, classes: int | None, shape: tuple[int, ...] | None) -> Network:
    from striate import runs, zoo
    from striate.design import Network
    from striate.records import from_json

    path = Path(name)
    if not path.exists():
        return zoo.network(name, classes=classes, input=shape)
    if path.is_dir():
        network = runs.open(path).network()
    else:
        network = from_json(Network, path.read_bytes(), name)
    if classes is not None:
        network, _ = network.with_classes(classes)
    return network if shape is None else network.with_input(shape)


def _shape(text: str | None) -> tuple[int, ...] | None:
    """Read `3x224x224`, `3,224,224`, or `224` for three channels of a square."""
    if text is None:
        return None
    parts = text.replace(",", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"Expected --input as CxHxW, for example 3x224x224, received {text!r}.")
    sizes = tuple(int(part) for part in parts)
    return (3, *sizes, *sizes) if len(sizes) == 1 else sizes
