"""`striate replay RUN A..B`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.train import ReplayResult


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    steps: Annotated[str, typer.Argument(metavar="A..B", help="The steps, both included.")],
    as_json: Json = False,
) -> None:
    """Execute recorded steps again and compare, bit for bit.

    Exits with 1 when something differs.
    """
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", steps)
    if match is None:
        raise UsageError(f"Expected steps as A..B, for example 120..140, received {steps!r}.")
    from striate import train

    first = int(match[1])
    found = train.replay(run, first, int(match[2] or first))
    output.show(found, _text(found), as_json)
    if not found.identical:
        raise typer.Exit(output.FAILED_VERDICT)


def _text(found: ReplayResult) -> str:
    where = f"steps {found.first}..{found.last} of {found.run}"
    start = f"from the checkpoint of step {found.start}" if found.start else "from the start"
    lines = [f"identical: {where}" if found.identical else f"different: {where}"]
    if found.difference:
        lines.append(found.difference)
    compared = output.count(found.steps, "step")
    if found.tensors:  # of a checkpoint within the steps
        compared += f" and {output.count(found.tensors, 'tensor')}"
    lines.append(f"{compared} compared, {start}")
    lines += [f"Note: {note.rstrip('.')}." for note in found.notes]
    return "\n".join(lines)
