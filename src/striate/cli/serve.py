"""`striate serve RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json

if TYPE_CHECKING:
    from striate.serve import Serving


def serve(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, a bundle, or published weights.")
    ],
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Others than loopback need a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 for any free one.")
    ] = 8000,
    key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar="STRIATE_API_KEY",
            show_envvar=False,
            help="Ask clients for it; better said as STRIATE_API_KEY.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Processes, sharing the weights.")
    ] = 1,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Images computed at a time, at most.")
    ] = 8,
    deadline: Annotated[
        float,
        typer.Option("--deadline", metavar="MS", min=0, help="An image waits so long for others."),
    ] = 4.0,
    wait: Annotated[
        float,
        typer.Option("--max-wait", metavar="S", help="Who would wait longer is answered 503."),
    ] = 1.0,
    seconds: Annotated[
        float, typer.Option("--timeout", metavar="S", help="A request may take so long.")
    ] = 30.0,
    megabytes: Annotated[
        float, typer.Option("--max-body", metavar="MB", help="A request may be so large.")
    ] = 16.0,
    pixels: Annotated[
        int, typer.Option("--max-pixels", metavar="N", min=1, help="An image may have so many.")
    ] = 50_000_000,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log no requests.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Labels over HTTP: POST images to /predict.

    The same labels and probabilities as `predict`, fused and batched. /docs says what can be asked
    and how. SIGTERM stops it once everybody has been answered.
    """
    from striate import serve as serving
    from striate.serve.journal import Journal

    Journal(quiet)("starting", run=str(run), message="loading PyTorch and the network")
    limits = serving.Limits(
        body_bytes=int(megabytes * (1 << 20)),
        pixels=pixels,
        seconds=seconds,
        wait=wait,
        batch=batch,
        companions=deadline / 1000,
    )
    serving.serve(
        run,
        host=host,
        port=port,
        key=key,
        workers=workers,
        device=device,
        limits=limits,
        quiet=quiet,
        announce=lambda found: output.show(found, "" if as_json else _text(found), as_json),
    )


def _text(found: Serving) -> str:
    workers = output.count(found.workers, "process") if found.workers > 1 else "one process"
    return (
        f"{found.network}, {output.count(found.classes, 'class')}, on {found.url} "
        f"({found.device}, {workers}); {found.url}/docs says how to ask. Stop with ctrl-C."
    )
