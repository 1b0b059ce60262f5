"""`striate plan NET`: how each convolution is computed on this machine, and what that gains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.estimate import read_bytes
from striate.cli.options import Json, input_shape

if TYPE_CHECKING:
    from striate.engine import Plan


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
        typer.Option("--workspace", metavar="SIZE", help="What a layer may work in: 64MB."),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option("--error", metavar="E", min=0.0, help="Largest relative RMS error: 1e-6."),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=3, help="Times each way is measured.")
    ] = 9,
    again: Annotated[
        bool, typer.Option("--again", help="Measure, also what is known of this machine.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan there, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The fastest way to compute each convolution here.

    Every candidate is shown with its time, workspace and error, and why one is chosen.

    Measured once for a network, an input and a batch, then known on this machine. A faster
    algorithm replaces torch's own if it is 5% faster for sure.
    """
    from striate import engine, zoo
    from striate.files import atomic_write
    from striate.records import to_json

    network = zoo.read(net, classes=classes, input=input_shape(net, size))
    limits = engine.Limits(
        workspace=None if workspace is None else read_bytes(workspace), error=error
    )
    found = engine.plan(
        network,
        batch=batch,
        direction="training" if training else "inference",
        limits=limits,
        rounds=rounds,
        again=again,
    )
    text = _text(found)
    if out is not None and output.first_process():
        atomic_write(out, to_json(found, indent=2))
        text += f"\n\n{out}"
    output.show(found, text, as_json)


def _text(found: Plan) -> str:
    key, machine = found.key, found.machine
    what = "training step" if key.direction == "training" else "inference"
    rows = []
    for layer in found.layers:
        chosen, default = layer.candidates[layer.chosen], layer.candidates["default"]
        rows.append(
            (
                layer.name,
                layer.chosen,
                f"{chosen.ms:.2f}",
                f"{default.ms:.2f}",
                f"{chosen.relative_rms:.1e}",
                f"{chosen.workspace_bytes / 1e6:.1f} MB",
                layer.remark,
            )
        )
    header = ("layer", "chosen", "ms", "default ms", "error", "workspace", "")
    gain = found.default_ms / found.total_ms if found.total_ms else 1.0
    lines = [
        f"{found.network}, {what}, input {'x'.join(map(str, key.input))}, "
        f"{output.count(key.batch, 'image')} at a time",
        f"{machine.cpu}, {output.count(machine.threads, 'thread')}, {machine.vector}, {key.dtype}",
        "",
        output.clip(output.table(header, rows)),
        "",
        f"All convolutions {found.total_ms:.1f} ms, by torch's own {found.default_ms:.1f} ms: "
        f"{gain:.2f} times as fast.",
    ]
    if not found.algorithms:
        lines.append("The default wins everywhere: a plan gains nothing here.")
    return "\n".join(lines)
