"""`striate export RUN`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json

if TYPE_CHECKING:
    from striate.export import ExportResult, Proof

_FILES_SHOWN = 20


class Form(enum.StrEnum):
    """What is written beside weights, network and contract."""

    onnx = "onnx"
    torch = "torch"
    safetensors = "safetensors"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    to: Annotated[
        Form, typer.Option("--to", help="onnx, torch: preprocessing inside; or weights.")
    ] = Form.onnx,
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8 bits, too, calibrated on training images.")
    ] = False,
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
    """A model with its preprocessing inside, proved on real files.

    It takes decoded 8-bit pixels of any size. Exit code 1 where it answers one file differently;
    the files are named. What 8 bits cost is said, and decides nothing.
    """
    from striate import export as exporting

    found = exporting.export(
        run, to=to.value, int8=int8, out=out, on=on, count=count, overwrite=overwrite
    )
    output.show(found, _text(found), as_json)
    return 1 if found.proof is not None and found.proof.verdict == "fail" else output.DONE


def _text(found: ExportResult) -> str:
    lines = [f"{found.network} -> {found.bundle} ({found.bytes:,} bytes)"]
    if found.proof is not None:
        lines += _proof(found.proof)
    if found.int8 is not None:
        lines += ["in 8 bits, calibrated on training images", *_proof(found.int8, shown=0)]
    return "\n".join([*lines, *(f"Note: {note}" for note in found.notes)])


def _proof(proof: Proof, shown: int = _FILES_SHOWN) -> list[str]:
    word = f"proof      {proof.verdict}:" if shown else "labels    "
    lines = [
        f"{word} {output.percent(proof.agreement)} of "
        f"{output.count(proof.n, 'file')} get the same label, probabilities differ by "
        f"{proof.largest:.1e} at most"
    ]
    if proof.accuracy is not None and proof.exported_accuracy is not None:
        lines.append(
            f"accuracy   {output.percent(proof.accuracy)} here, "
            f"{output.percent(proof.exported_accuracy)} exported, of these files"
        )
    elif shown:
        lines.append("accuracy   not known: the classes of these files are not the network's")
    lines.append(
        f"time       {proof.milliseconds:.1f} ms a file here, "
        f"{proof.exported_milliseconds:.1f} ms exported"
    )
    lines += [
        f"  {each.file}: {each.network} here, {each.exported} exported ({each.difference:.1e})"
        for each in proof.differing[:shown]
    ]
    if shown and len(proof.differing) > shown:
        lines.append(f"  and {len(proof.differing) - shown} more")
    return lines
