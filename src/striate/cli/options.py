"""Options that several commands share, described once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; text goes to stderr.")
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="A file that cannot be read is an error, not a warning.")
]
