"""Options that several commands share, described once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from striate.errors import UsageError

Data = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="A named set or a path; digits unless given."),
]
Net = Annotated[
    str, typer.Option("--net", metavar="NET", help="A network, or auto for the recipe's own.")
]
RecipeName = Annotated[
    str,
    typer.Option("--recipe", metavar="RECIPE", help="A recipe, or auto to choose by the images."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe: batch=64. Can be repeated."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; text goes to stderr.")
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="HxW", help="Scale images to so many pixels: 64 or 64x96."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="A file that cannot be read is an error, not a warning.")
]


def only_with_resume(context: typer.Context, allowed: Collection[str], what: str) -> None:
    """Refuse whatever was said on the command line besides --resume and what goes with it.

    Args:
        context: of the command.
        allowed: names of the parameters that may be said.
        what: is gone on with.
    """
    said = [
        parameter.opts[0] if parameter.param_type_name == "option" else str(parameter.metavar)
        for parameter in context.command.params
        if parameter.name not in allowed
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]
    if said:
        raise UsageError(f"--resume goes on with {what}; leave out {', '.join(said)}.")


def changed(settings: Sequence[str] | None, **options: object) -> list[str]:
    """Return what --set changes, and what options change of which something was said."""
    said = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [*(settings or ()), *said]


def sides(size: str | None) -> tuple[int, int] | None:
    """Read --size: height and width, in pixels."""
    if size is None:
        return None
    read = numbers(size, "--size as HxW or one side, for example 64", most=2)
    return read[0], read[-1]


def numbers(text: str, expected: str, most: int = 4) -> tuple[int, ...]:
    """Read one to `most` positive integers with `x` or a comma between them: `3x224x224`.

    Raises:
        UsageError: something else; says what was expected.
    """
    parts = text.replace(",", "x").split("x")
    whole = all(part.strip().isdecimal() and int(part) > 0 for part in parts)
    if not whole or len(parts) > most:
        raise UsageError(f"Expected {expected}, received {text!r}.")
    return tuple(int(part) for part in parts)


def input_shape(net: str, text: str | None) -> tuple[int, ...] | None:
    """Read `3x224x224`; `64x96` and `64`, a square, keep the network's own channels."""
    if text is None:
        return None
    from striate import zoo

    sizes = numbers(text, "--input as CxHxW, HxW or one side, for example 3x224x224")
    if len(sizes) > 2:
        return sizes
    own = zoo.read(net).input_shape
    if len(sizes) == len(own):
        return sizes
    return (own[0], *(sizes * (len(own) - 1) if len(sizes) == 1 else sizes))
