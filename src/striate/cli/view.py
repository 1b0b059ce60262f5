"""`striate view [RUNS...]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Json

if TYPE_CHECKING:
    from striate.web import Viewing


def view(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUNS...", help="Folders with runs, runs, weights; runs/ if none."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Others than loopback ask for a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 for any free one.")
    ] = 8100,
    browse: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Runs, networks, images and designs on a local page."""
    from striate.serve import door

    door.require("The page")
    from striate import web
    from striate.files import reporting

    def announce(found: Viewing) -> None:
        text = f"{output.count(found.runs, 'run')} on {found.url} Stop with ctrl-C."
        output.show(found, text, as_json)
        if browse:
            import webbrowser

            webbrowser.open(found.url)

    if not runs:
        runs = [Path("runs")]  # where `striate train` and the page's own trainings put them
        with reporting(runs[0]):
            runs[0].mkdir(exist_ok=True)
    web.view(runs, host=host, port=port, announce=announce)
