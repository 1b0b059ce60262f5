"""`striate plan NET`: how each convolution is computed on this machine, and what that gains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli import output
from striate.cli.estimate import read_bytes
from striate.cli.options import Json, input_shape


def plan(
    net: Annotated[
        str,
        typer.Argument(metavar="NET", help="A name, notation, a prototxt, a network.json, a run."),
    ],
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, help="Another number of classes.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Another input: 3x224x224, 64x96 or 64."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images at a time.")] = 1,
    training: Annotated[
        bool, typer.Option("--train", help="Forward, input gradient and weight gradient.")
    ] = False,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", metavar="SIZE", help="What a layer may work in; else 64MB."),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option(
            "--error", metavar="E", min=0.0, help="Largest relative RMS error; else 5e-6."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=3, help="Times each way is measured.")
    ] = 9,
    again: Annotated[
        bool, typer.Option("--again", help="Measure, also what is known of this machine.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--candidates", help="Show every way that was measured, by layer.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan there, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The fastest way to compute each convolution here.

    What is chosen is shown with its time beside torch's own, its error against float64, its
    workspace, whether two calls give the same bits, and why it was chosen.

    Measured once for a network, an input and a batch, then known on this machine. A faster
    algorithm replaces torch's own if it is 5% faster for sure.
    """
    from striate import engine, zoo
    from striate.files import atomic_write
    from striate.records import to_json

    network = zoo.read(net, classes=classes, input=input_shape(net, size))
    limits = engine.Limits()
    if workspace is not None:
        limits = limits.replace(workspace=read_bytes(workspace))
    if error is not None:
        limits = limits.replace(error=error)
    found = engine.plan(
        network,
        batch=batch,
        direction="training" if training else "inference",
        limits=limits,
        rounds=rounds,
        again=again,
    )
    head, rows, tail = engine.plan_table(found, every)
    text = "\n\n".join(each for each in (head, output.clip(rows), tail) if each)
    if out is not None and output.first_process():
        atomic_write(out, to_json(found, indent=2))
        text += f"\n\n{out}"
    output.show(found, text, as_json)
