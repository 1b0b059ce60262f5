"""`striate pack DATA OUT`, and `striate pack --verify FILE`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json, Strict
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.data import Packed


class Format(enum.StrEnum):
    """How images lie in the file."""

    raw = "raw"
    jpeg = "jpeg"


def pack(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A named set or a path; with --verify the file.")
    ],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The file to write: photos.pack.")
    ] = None,
    size: Annotated[
        int,
        typer.Option("--size", metavar="N", min=0, help="Largest short side; 0 keeps all sizes."),
    ] = 256,
    form: Annotated[
        Format, typer.Option("--format", help="Pixels as they are (fastest), or JPEG (smaller).")
    ] = Format.raw,
    quality: Annotated[
        int, typer.Option("--quality", metavar="N", min=1, max=100, help="Of JPEGs.")
    ] = 95,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare a packed file with its checksums.")
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """One file that loads at the speed of memory.

    It is DATA wherever data is asked for. An interrupted call goes on when it is repeated.
    """
    from striate import data as images

    if verify:
        if out is not None:
            raise UsageError(f"--verify takes one file, received {data} and {out}.")
        found = images.verify_packed(data)
        output.show(found, f"{_said(found)}: every checksum agrees.", as_json)
        return
    if out is None:
        raise UsageError("Expected the file to write: striate pack DATA OUT.")
    opened = images.open(data, strict=strict)
    found = images.pack(opened, out, size=size or None, form=form.value, quality=quality)
    resumed = f"\n{found.resumed:,} of them were there from before." if found.resumed else ""
    output.show(found, _said(found) + resumed, as_json)


def _said(found: Packed) -> str:
    return (
        f"{found.path}: {output.count(found.images, 'image')}, {found.form}, "
        f"{found.bytes / 1e6:,.1f} MB"
    )
