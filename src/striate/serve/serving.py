"""`serve`: from a run or bundle to a server, in one process or in several that share weights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import torch

from striate import inference
from striate.errors import UsageError
from striate.inference import Model
from striate.ops import choose_device, usable_cores
from striate.records import Record
from striate.serve import door
from striate.serve.answers import Answerer, Plans, plans
from striate.serve.journal import Journal
from striate.serve.limits import Limits
from striate.serve.meter import Meter
from striate.serve.workers import Crew, in_a_child


class Serving(Record, frozen=True, kw_only=True):
    """A server that can answer.

    Args:
        url: where.
        network: its name.
        contract: the contract's digest.
        classes: how many.
        device: where it computes.
        workers: processes.
        process: the id of the one to stop.
    """

    url: str
    network: str
    contract: str
    classes: int
    device: str
    workers: int
    process: int


def serve(
    model: Model | Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    key: str | None = None,
    workers: int = 1,
    device: str = "auto",
    limits: Limits | None = None,
    quiet: bool = False,
    announce: Callable[[Serving], None] = lambda serving: None,
) -> None:
    """Answer HTTP requests with labels until SIGTERM or ctrl-C.

    Args:
        model: a run folder, weights or a bundle.
        host: what to listen on; other machines can come in only with a key.
        port: 0 for any that is free.
        key: asked of every client.
        workers: processes; on a CPU they share one copy of the weights.
        device: auto, cpu, cuda or cuda:N.
        limits: what it takes upon itself.
        quiet: log warnings and errors only.
        announce: told once it can answer.

    Raises:
        UsageError: an address that is taken or open to all without a key.
        RunError: the run has no weights yet.
        MissingExtra: Starlette, uvicorn or python-multipart is not installed.
    """
    door.require("Serving")
    limits = limits or Limits()
    door.check(host, key)
    if workers > 1 and not hasattr(os, "fork"):
        raise UsageError("Several workers need a system that can fork; serve with --workers 1.")
    opened, chosen = inference.open_model(model), choose_device(device)
    cores = max(1, usable_cores() // workers)
    door.bind(host, port).close()  # said at once where it cannot be
    Journal(quiet)(
        "making",
        network=opened.network().name,
        message="choosing and compiling what is fastest here: a minute at first, then seconds",
    )
    answerer = _answerer(opened, chosen, limits.batch, cores, workers)
    listening = door.bind(host, port)  # nobody comes in, and hangs, before there are answers
    contract = answerer.contract if answerer is not None else opened.contract()
    serving = Serving(
        url=door.url(listening),
        network=opened.network().name,
        contract=contract.digest,
        classes=len(contract.classes),
        device=str(chosen),
        workers=workers,
        process=os.getpid(),
    )
    meter = Meter(workers)

    def work(worker: int, watcher: int | None) -> None:
        from striate.serve.app import Service
        from striate.serve.server import Server

        journal = Journal(quiet, also={"worker": worker} if workers > 1 else None)
        journal.take_over()
        meter.of(worker)
        torch.set_num_threads(cores)
        mine = answerer or Answerer(opened, chosen, {})
        service = Service(mine, limits, key=key, cores=cores, journal=journal, meter=meter)

        def ready() -> None:
            if watcher is None:  # else the watcher says it
                announce(serving)

        asyncio.run(Server(service, listening, ready=ready, watcher=watcher).work())
        journal("stopped")

    if workers == 1:
        work(0, None)
    else:
        crew = Crew(workers, work, Journal(quiet))
        crew.run(ready=lambda: meter.total("ready") > 0, announce=lambda: announce(serving))


def _answerer(
    model: Model, device: torch.device, batch: int, cores: int, workers: int
) -> Answerer | None:
    """Return the network, made once and shared; None where each process makes its own.

    With several workers it is made by one thread, before any other is started: a process that has
    computed with several cannot be forked safely. A GPU's memory is not inherited at all.
    """
    if device.type != "cpu":
        return Answerer(model, device, {}) if workers == 1 else None
    if workers == 1:
        torch.set_num_threads(cores)
        return Answerer(model, device, plans(model, batch))

    def measured() -> dict[str, dict[str, str]]:
        torch.set_num_threads(cores)
        return {str(size): each for size, each in plans(model, batch).items()}

    torch.set_num_threads(1)
    found = in_a_child(measured)
    chosen: Plans = {int(size): each for size, each in found.items()}
    return Answerer(model, device, chosen)
