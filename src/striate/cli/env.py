"""`striate env`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json

if TYPE_CHECKING:
    from striate.ops import Environment


def env(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where runs would be written.")
    ] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Versions, devices and threads, and any mismatch before it bites.

    Exits with 1 when something found here would stop a command.
    """
    from striate.ops import environment

    found = environment(out)
    output.show(found, _text(found), as_json)
    if found.verdict == "fail":
        raise typer.Exit(output.FAILED_VERDICT)


def _text(found: Environment) -> str:
    machine = found.machine
    packages = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    gpus = ", ".join(machine.gpus) or ("none" if machine.cuda else "none (torch for CPUs)")
    rows = [
        ("striate", f"{found.striate}, Python {found.python}"),
        ("packages", packages),
        ("system", f"{machine.system}, {machine.memory_bytes / 2**30:.0f} GiB"),
        ("processor", f"{machine.cpu}, {output.count(machine.cores, 'usable CPU')}"),
        ("threads", f"{machine.threads}, {machine.vector} ({machine.vector_bits} bits)"),
        ("graphics", gpus + (f", CUDA {machine.cuda}" if machine.cuda else "")),
        *((use, folder) for use, folder in found.folders.items()),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {value}" for name, value in rows]
    for each in found.mismatches:
        lines += ["", f"{each.severity.upper()}: {each.what}: {each.found}.", f"  {each.meaning}"]
        lines.append(f"  Fix: {each.fix}")
    if not found.mismatches:
        lines += ["", "Nothing here will bite."]
    return "\n".join(lines)
