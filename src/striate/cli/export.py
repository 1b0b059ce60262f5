"""`striate export RUN`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json

if TYPE_CHECKING:
    from striate.export import ExportResult

_FILES_SHOWN = 20


class Form(enum.StrEnum):
    """What is written beside weights, network and contract."""

    onnx = "onnx"
    safetensors = "safetensors"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    to: Annotated[
        Form, typer.Option("--to", help="onnx, preprocessing inside; or weights alone.")
    ] = Form.onnx,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="DATA", help="Prove it on these; the run's own unless given."),
    ] = None,
    count: Annotated[
        int, typer.Option("--files", metavar="N", min=1, help="Prove it on so many.")
    ] = 500,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="exports/NETWORK unless given.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle that is at --out.")
    ] = False,
    as_json: Json = False,
) -> int:
    """A bundle with an ONNX model that is proved on real files.

    The model takes decoded 8-bit pixels of any size. Exit code 1 where it answers one file
    differently; the files are named.
    """
    from striate import export as exporting

    found = exporting.export(run, to=to.value, out=out, on=on, count=count, overwrite=overwrite)
    output.show(found, _text(found), as_json)
    return 1 if found.proof is not None and found.proof.verdict == "fail" else output.DONE


def _text(found: ExportResult) -> str:
    lines = [f"{found.network} -> {found.bundle} ({found.bytes:,} bytes)"]
    proof = found.proof
    if proof is not None:
        lines += [
            f"proof      {proof.verdict}: {output.percent(proof.agreement)} of "
            f"{output.count(proof.n, 'file')} get the same label, probabilities differ by "
            f"{proof.largest:.1e} at most",
        ]
        if proof.accuracy is not None and proof.exported_accuracy is not None:
            lines.append(
                f"accuracy   {output.percent(proof.accuracy)} here, "
                f"{output.percent(proof.exported_accuracy)} exported"
            )
        lines.append(
            f"time       {proof.milliseconds:.1f} ms a file here, "
            f"{proof.exported_milliseconds:.1f} ms exported"
        )
        lines += [
            f"  {each.file}: {each.network} here, {each.exported} exported ({each.difference:.1e})"
            for each in proof.differing[:_FILES_SHOWN]
        ]
        if len(proof.differing) > _FILES_SHOWN:
            lines.append(f"  and {len(proof.differing) - _FILES_SHOWN} more")
    return "\n".join([*lines, *(f"Note: {note}" for note in found.notes)])
