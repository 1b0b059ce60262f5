"""The verb `view`: the page served on this machine, until ctrl-C."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from striate.records import Record
from striate.serve import door
from striate.serve.stopping import Stoppable
from striate.web.app import Page
from striate.web.shelf import Shelf, check_places


class Viewing(Record, frozen=True, kw_only=True):
    """Where the page is.

    Args:
        url: its address, with the token where one is asked for.
        runs: how many it shows.
        folders: where they are.
    """

    url: str
    runs: int
    folders: tuple[str, ...]


def view(
    places: Sequence[Path | str] = ("runs",),
    *,
    host: str = "127.0.0.1",
    port: int = 8100,
    announce: Callable[[Viewing], None] = lambda found: None,
) -> None:
    """Show runs on a page, until told to stop.

    Args:
        places: run folders, folders with runs below them, bundles or published weights.
        host: loopback is this machine alone; any other address asks everybody for a token.
        port: 0 for any that is free.
        announce: told where the page is, once it listens.

    Raises:
        RunError, WeightsError: a place is none of them.
        UsageError: it cannot listen there.
    """
    check_places([Path(each) for each in places])
    shelf = Shelf(places)
    token = None if door.is_loopback(host) else secrets.token_urlsafe(16)
    page = Page(shelf, token)
    listening = door.bind(host, port)
    try:
        url = door.url(listening) + (f"/?token={token}" if token else "/")
        folders = tuple(str(each) for each in shelf.places)
        announce(Viewing(url=url, runs=len(shelf.found()), folders=folders))
        server(page).run(sockets=[listening])
    finally:
        page.close()
        listening.close()


def server(page: Page) -> Stoppable:
    """Return the HTTP server around a page."""
    return Stoppable(
        uvicorn.Config(
            page.app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=128,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
        )
    )
