"""Options that several commands share, described once."""

from __future__ import annotations

from typing import Annotated

import typer

from striate.errors import UsageError

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
