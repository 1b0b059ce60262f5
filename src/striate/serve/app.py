"""The server's answers: predictions, and what those who run it want to know.

A request is admitted before its body is read, by the time that it would have to wait: what cannot
be answered soon is sent away at once with 503 and Retry-After, and what is admitted is answered.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from striate.errors import ContractError
from striate.inference import Prediction, prediction
from striate.serve import bodies, door
from striate.serve.answers import Answerer, Likely, Pixels
from striate.serve.batcher import Batcher
from striate.serve.bodies import Gone, Order, Picture
from striate.serve.journal import Journal
from striate.serve.limits import Limits
from striate.serve.meter import IMAGES, SECONDS, Meter, resident
from striate.serve.openapi import openapi
from striate.serve.page import page
from striate.serve.refusal import Refusal
from striate.serve.room import Room, Share

TOP = 5
_OPEN = ("/health", "/ready", "/docs", "/openapi.json")  # to whoever has no key
_NO_KEY = Refusal(401, "Expected the API key, as Authorization: Bearer KEY or X-API-Key: KEY.")


class Service:
    """One process's share of a server.

    Args:
        answerer: the network.
        limits: what it takes upon itself.
        key: asked of every client; None for nobody.
        cores: for the engines to share, and decoding threads.
        engines: batches computed at a time.
        journal, meter: where it writes what it did.
    """

    def __init__(
        self,
        answerer: Answerer,
        limits: Limits,
        *,
        key: str | None = None,
        cores: int = 1,
        engines: int | None = None,
        journal: Journal | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.answerer, self.limits, self.key, self.cores = answerer, limits, key, cores
        on_cpu = answerer.device.type == "cpu"
        self.engines = engines or (min(cores, 2) if on_cpu else 1)
        self.journal = journal or Journal()
        self.meter = meter or Meter()
        self.ready = self.draining = False
        self.room = Room(limits, self.meter)
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="decode")
        self.batcher: Batcher | None = None
        self.app = Starlette(
            routes=[
                Route("/predict", self._predict, methods=["POST"]),
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics),
                Route("/openapi.json", self._openapi),
                Route("/docs", self._docs),
                Route("/", self._docs),
            ],
            exception_handlers={
                404: _unknown,
                405: _unknown,
                Refusal: _refused,
                Gone: _left,
                Exception: _broken,
            },
        )

    # -- life

    async def start(self) -> None:
        """Start the engines, and compute a little of everything so that no client waits for it.

        Raises:
            StriateError: the network's outputs are not finite, or its contract cannot be followed.
        """
        self.batcher = batcher = Batcher(
            self.answerer,
            batch=self.limits.batch,
            engines=self.engines,
            cores=self.cores,
            companions=self.limits.companions,
            heard=self._heard,
        )
        try:
            image = self.answerer.prepare(self.answerer.blank(), self.limits.pixels)
        except Refusal as refusal:
            raise ContractError(refusal.message) from refusal
        for count in (1, self.limits.batch * self.engines):
            batcher.coming = count  # so that full batches form
            waiting = [batcher.submit(image) for _ in range(count)]
            batcher.coming = 0
            await asyncio.gather(*waiting)
        self.ready = True
        self.meter.set("ready", 1)

    def stop(self) -> None:
        """End the engines, once they have answered."""
        self.ready = False
        self.meter.set("ready", 0)
        if self.batcher is not None:
            self.batcher.close()
        self._pool.shutdown()

    def _heard(self, images: int, seconds: float) -> None:
        if not self.ready:  # warming up: nobody asked for these
            return
        self.meter.observe("batch_images", IMAGES, images)
        self.meter.add("engine_seconds_total", seconds)
        self.meter.set("resident_bytes", resident())

    # -- every request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        if scope["type"] != "http":
            return
        began = time.monotonic()
        seen: dict[str, Any] = {"status": 499, "bytes": 0}
        scope["striate"] = seen
        given = dict(scope["headers"])
        name = given.get(b"x-request-id", b"").decode("latin-1")[:64]
        seen["id"] = name if name.isalnum() or name.replace("-", "").isalnum() else _fresh()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                headers = [*message["headers"], (b"x-request-id", seen["id"].encode())]
                if self.draining and (b"connection", b"close") not in headers:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            if scope["path"] in _OPEN or door.allows(self.key, given):
                await self.app(scope, receive, answer)
            else:
                await bodies.discard(receive)
                await _refuse(_NO_KEY)(scope, receive, answer)
        except Exception as error:  # a bug of ours: said in the log, not to the client
            self.journal.bug(error, id=seen["id"])
        self._write_down(scope, seen, time.monotonic() - began)

    def _write_down(self, scope: Scope, seen: dict[str, Any], seconds: float) -> None:
        if seen["status"] == 499:  # as web servers call a client that has left
            self.meter.add("abandoned_total")
        else:
            self.meter.code(seen["status"])
        if scope["path"] == "/predict":
            self.meter.observe("request_seconds", SECONDS, seconds)
        elif seen["status"] < 400 or scope["path"] == "/ready":
            return  # probes and scrapes come every few seconds
        client = scope.get("client") or ("", 0)
        path = scope["path"][:200]
        self.journal(
            "request", client=client[0], method=scope["method"], path=path,
            ms=round(1000 * seconds, 2), **seen,
        )  # fmt: skip

    # -- routes

    async def _predict(self, request: Request) -> Response:
        until = time.monotonic() + self.limits.seconds
        with self.room.share() as share:
            order = await self._order(request, share)
            asked = request.query_params.get("top")
            top = bodies.number(asked) if asked else order.top
            likely = await self._answered(request, order, until)
            self.meter.add("images_total", len(order.pictures))
            return self._document(order, likely, top or TOP)

    async def _order(self, request: Request, share: Share) -> Order:
        """Return what a request asks for, admitted before its body is read and again after."""
        try:
            self._admit(share)
        except Refusal:
            await bodies.discard(request.receive)
            raise
        seen, limits = request.scope["striate"], self.limits
        declared = bodies.declared(request.headers.get("content-length", ""))
        body = await bodies.read(request.receive, limits.body_bytes, limits.seconds, declared)
        seen["bytes"] = len(body)
        share.take(held_bytes=len(body))
        order = bodies.understand(body, request.headers.get("content-type", ""))
        count = len(order.pictures)
        seen["images"] = count
        if count > limits.images:
            said = f"Expected at most {limits.images} images, received {count}."
            raise Refusal(413, said)
        share.take(images=count)
        self._admit(share)
        return order

    def _admit(self, share: Share) -> None:
        """Send away what cannot be answered now or soon.

        Raises:
            Refusal: 503.
        """
        if not self.ready or self.batcher is None:
            raise Refusal(503, "The server is not ready yet.", retry_after=1)
        self.room.check(share, self.batcher.pace)

    async def _answered(self, request: Request, order: Order, until: float) -> list[Likely]:
        """Return the probabilities of all images, unless the client leaves or time is up."""
        work = asyncio.gather(*(self._one(each) for each in order.pictures))
        leaves = asyncio.ensure_future(_leaving(request))
        try:
            left = max(until - time.monotonic(), 0.001)
            done, _ = await asyncio.wait(
                (work, leaves), timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if work in done:
                return work.result()
            if leaves in done:
                raise Gone
            raise Refusal(503, "No answer was found in time. Come again later.", retry_after=1)
        finally:
            leaves.cancel()
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError, Refusal):
                    await work

    async def _one(self, picture: Picture) -> Likely:
        if self.batcher is None:
            raise RuntimeError("no engines")
        self.batcher.coming += 1
        try:
            loop = asyncio.get_running_loop()
            most = self.limits.pixels
            image: Pixels = await loop.run_in_executor(
                self._pool, self.answerer.prepare, picture, most
            )
            future = self.batcher.submit(image)
        finally:
            self.batcher.arrived()
        return await future

    def _document(self, order: Order, likely: list[Likely], top: int) -> Response:
        contract = self.answerer.contract
        found = [
            _said(prediction(each.name, row, contract, top))
            for each, row in zip(order.pictures, likely, strict=True)
        ]
        document = {
            "predictions": found,
            "network": self.answerer.name,
            "contract": self.answerer.digest,
        }
        return _json(document)

    async def _health(self, request: Request) -> Response:
        return _json({"status": "alive"})

    async def _ready(self, request: Request) -> Response:
        if self.ready and not self.draining:
            return _json({"status": "ready", "network": self.answerer.name})
        status = "stopping" if self.draining else "starting"
        return _json({"status": status}, 503, {"retry-after": "1"})

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.meter.page(), media_type="text/plain; version=0.0.4")

    async def _openapi(self, request: Request) -> Response:
        return _json(openapi(self.answerer.name, self.limits, self.key is not None))

    async def _docs(self, request: Request) -> Response:
        document = openapi(self.answerer.name, self.limits, self.key is not None)
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        policy += "connect-src 'self'; img-src blob:"
        return HTMLResponse(page(document), headers={"content-security-policy": policy})


def _said(found: Prediction) -> dict[str, object]:
    """Return what a client is told of an image."""
    return {name: getattr(found, name) for name in ("file", "id", "label", "probability", "top")}


def _json(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = msgspec.json.encode(document)
    return Response(content, status, headers, media_type="application/json")


def _refuse(refusal: Refusal) -> Response:
    return _json(refusal.document(), refusal.status, refusal.headers())


async def _refused(request: Request, error: Exception) -> Response:
    return _refuse(error if isinstance(error, Refusal) else Refusal(500, "Internal error."))


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _broken(request: Request, error: Exception) -> Response:
    return _refuse(Refusal(500, "Internal error."))


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    said = f"There is nothing at {request.url.path[:200]}; see /docs."
    if status == 405:
        said = f"{request.url.path[:200]} does not take {request.method}; see /docs."
    allowed = getattr(error, "headers", None) or {}
    return _json(Refusal(status, said).document(), status, dict(allowed))


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _fresh() -> str:
    return secrets.token_hex(8)
