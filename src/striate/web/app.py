"""The page's server: what can be asked, and that every mistake is one sentence.

Nothing here computes: what takes time goes to the bench, and ends when its client leaves.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from striate import progress
from striate.errors import StriateError
from striate.explain import METHODS
from striate.records import to_builtins
from striate.serve.bodies import Gone, read
from striate.serve.refusal import Refusal
from striate.web import asking, given, inside, paper, telling
from striate.web.bench import Bench, Cancelled, Lane
from striate.web.guard import Guard, refused
from striate.web.opened import Opened, check_picture
from striate.web.pictures import png
from striate.web.school import School
from striate.web.shelf import Shelf

_STATIC = Path(__file__).with_name("static")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_MOST_PICTURE = 16 << 20
_SECONDS = 20.0  # for a body to arrive
_MOST_STREAMS = 24
_KEYS = re.compile(r"[0-9a-f]{24}")

Answer = Callable[[Request], Awaitable[Response]]


class Page:
    """The page as an ASGI application.

    Args:
        shelf: what it shows.
        token: asked of everybody; None for loopback.
    """

    def __init__(self, shelf: Shelf, token: str | None = None) -> None:
        self.shelf, self.bench, self.school = shelf, Bench(), School(shelf)
        self._streams = 0
        self._files = {each.name: each for each in _STATIC.iterdir() if each.suffix in _KINDS}
        get: dict[str, Answer] = {
            "/api/runs": self._runs,
            "/api/runs/{name}": self._run,
            "/api/runs/{name}/events": self._events,
            "/api/runs/{name}/findings": self._findings,
            "/api/runs/{name}/network": self._network,
            "/api/runs/{name}/samples": self._samples,
            "/api/runs/{name}/sample": self._sample,
            "/api/runs/{name}/filters": self._filters,
            "/api/runs/{name}/gabor": self._gabor,
            "/api/runs/{name}/activations": self._activations,
            "/api/runs/{name}/fields": self._fields,
            "/api/runs/{name}/patches": self._patches,
            "/api/runs/{name}/wish": self._wish,
            "/api/runs/{name}/answer": self._answer,
            "/api/runs/{name}/map": self._map,
            "/api/runs/{name}/validity": self._validity,
            "/api/runs/{name}/attack": self._attack,
            "/api/methods": self._methods,
            "/api/training": self._training,
        }
        post: dict[str, Answer] = {
            "/api/pictures": self._drop,
            "/api/design": self._design,
            "/api/training": self._start,
            "/api/training/pause": self._pause,
            "/api/runs/{name}/resume": self._resume,
        }
        routes = [Route(path, answer) for path, answer in get.items()]
        routes += [Route(path, answer, methods=["POST"]) for path, answer in post.items()]
        routes += [Route("/", self._index), Route("/static/{file}", self._static)]
        wrong: dict[Any, Any] = {
            Refusal: _refused,
            StriateError: _mistaken,
            HTTPException: _unknown,
            Cancelled: _left,
            Gone: _left,
            Exception: _broken,
        }
        self.app = Guard(Starlette(routes=routes, exception_handlers=wrong), token)

    def close(self) -> None:
        """End trainings that were started here, saved, and what is being computed."""
        self.school.close()
        self.bench.close()

    # -- files

    async def _index(self, request: Request) -> Response:
        return self._file("index.html")

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["file"])

    def _file(self, name: str) -> Response:
        path = self._files.get(name)
        if path is None:
            raise Refusal(404, "There is no such file.")
        return FileResponse(
            path, media_type=_KINDS[path.suffix], headers={"cache-control": "no-cache"}
        )

    # -- runs

    async def _runs(self, request: Request) -> Response:
        return _json(await self.bench.do(request, "quick", telling.everyone, self.shelf))

    async def _run(self, request: Request) -> Response:
        name = given.name(request)

        def tell() -> dict[str, Any]:
            return {"name": name, **telling.whole(self.shelf.model(name))}

        return _json(await self.bench.do(request, "quick", tell))

    async def _events(self, request: Request) -> Response:
        run = self.shelf.run(given.name(request))
        if self._streams >= _MOST_STREAMS:
            raise Refusal(503, "Too many curves are being watched.", retry_after=5)

        async def stream() -> Any:
            self._streams += 1
            try:
                async for event in telling.events(run.path):
                    yield event
            finally:
                self._streams -= 1

        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _findings(self, request: Request) -> Response:
        run = self.shelf.run(given.name(request))
        return _json(await self.bench.do(request, "slow", telling.findings, run))

    # -- networks

    async def _network(self, request: Request) -> Response:
        name = given.name(request)

        def show() -> dict[str, Any]:
            model = self.shelf.model(name)
            own = (name, "network", model.identity)
            return self.shelf.keep(own, lambda: inside.network(model.network()))

        return _json(await self.bench.do(request, "quick", show))

    async def _filters(self, request: Request) -> Response:
        return await self._look(request, "quick", inside.filters, given.text(request, "layer"))

    async def _gabor(self, request: Request) -> Response:
        return await self._look(request, "slow", inside.gabor, kept=True)

    async def _activations(self, request: Request) -> Response:
        layer, image = given.text(request, "layer"), given.text(request, "image")

        def show(opened: Opened) -> dict[str, Any]:
            return inside.activations(opened, self._pixels(opened, image), layer)

        return await self._look(request, "quick", show)

    async def _fields(self, request: Request) -> Response:
        name, layer = given.name(request), given.text(request, "layer")

        def show() -> dict[str, Any]:
            model = self.shelf.model(name)
            key = (name, "fields", layer, model.identity)
            return self.shelf.keep(key, lambda: inside.fields(model.network(), layer))

        return _json(await self.bench.do(request, "quick", show))

    async def _patches(self, request: Request) -> Response:
        unit = given.text(request, "layer"), given.whole(request, "channel")
        return await self._look(request, "slow", inside.patches, *unit, kept=True)

    async def _wish(self, request: Request) -> Response:
        unit = given.text(request, "layer"), given.whole(request, "channel")
        return await self._look(request, "slow", inside.wish, *unit, kept=True)

    # -- images

    async def _samples(self, request: Request) -> Response:
        part, first = given.part(request), given.whole(request, "first", 0)

        def show(opened: Opened) -> dict[str, Any]:
            images = opened.images(part)
            end = min(first + given.whole(request, "count", 48, most=200), len(images.samples))
            labels = [images.classes[at].label for at in images.samples.labels[first:end].tolist()]
            ids = [str(each) for each in images.samples.ids[first:end]]
            return {"part": part, "count": len(images.samples), "first": first, "labels": labels,
                    "ids": ids}  # fmt: skip

        return await self._look(request, "quick", show)

    async def _sample(self, request: Request) -> Response:
        part, index = given.part(request), given.whole(request, "index", -1)
        named = request.query_params.get("id")

        def show(opened: Opened) -> bytes:
            at = index
            if named is not None:
                ids = [str(each) for each in opened.images(part).samples.ids]
                if named not in ids:
                    raise Refusal(404, f"The data has no image {named[:100]!r}.")
                at = ids.index(named)
            pixels = opened.stored(part, at)
            step = max(1, max(pixels.shape[:2]) // 512)
            return png(np.asarray(pixels[::step, ::step]))

        opened = await self._opened(request)
        content = await self.bench.do(request, "quick", show, opened)
        return Response(content, media_type="image/png", headers={"cache-control": "max-age=600"})

    async def _answer(self, request: Request) -> Response:
        image = given.text(request, "image")
        return await self._look(
            request, "quick", lambda at: asking.answer(at, self._pixels(at, image))
        )

    async def _map(self, request: Request) -> Response:
        return await self._judge(request, asking.map_of)

    async def _validity(self, request: Request) -> Response:
        return await self._judge(request, asking.validity)

    async def _judge(self, request: Request, work: Callable[..., dict[str, Any]]) -> Response:
        image, method = given.text(request, "image"), given.text(request, "method")
        target = given.whole(request, "class")

        def show(opened: Opened) -> dict[str, Any]:
            key = (opened.name, opened.stamp, work.__name__, image, method, target)
            return self.shelf.keep(
                key, lambda: work(opened, self._pixels(opened, image), method, target)
            )

        return await self._look(request, "slow", show)

    async def _attack(self, request: Request) -> Response:
        image, kind = given.text(request, "image"), given.text(request, "kind")
        try:
            eps = float(given.text(request, "eps"))
        except ValueError:
            raise Refusal(422, "Expected eps as a number of 0 to 1.") from None

        def show(opened: Opened) -> dict[str, Any]:
            return asking.attacked(opened, self._pixels(opened, image), kind, eps)

        return await self._look(request, "quick", show)

    async def _methods(self, request: Request) -> Response:
        return _json({"maps": list(METHODS), "attacks": asking.ATTACKS})

    async def _drop(self, request: Request) -> Response:
        content = await read(request.receive, _MOST_PICTURE, _SECONDS)
        await self.bench.do(request, "quick", check_picture, content)
        return _json({"image": f"dropped:{self.shelf.put_picture(content)}"})

    def _pixels(self, opened: Opened, image: str) -> Any:
        """Return an image as the network takes it: `test:12`, or `dropped:KEY`."""
        kind, _, place = image.partition(":")
        if kind == "dropped" and _KEYS.fullmatch(place):
            return opened.dropped(self.shelf.picture(place))
        if kind in given.PARTS and place.isascii() and place.isdecimal() and len(place) < 10:
            return opened.sample(given.PARTS[given.PARTS.index(kind)], int(place))
        raise Refusal(422, f"Expected an image as test:12 or dropped:KEY, received {image[:60]!r}.")

    # -- design and training

    async def _design(self, request: Request) -> Response:
        asked = await given.body(request)
        text, shape, classes = asked.get("text"), asked.get("input"), asked.get("classes")
        if not isinstance(text, str):
            raise Refusal(422, "Expected text: a name or notation.")
        if shape is not None and not (isinstance(shape, list) and all(map(given.is_whole, shape))):
            raise Refusal(422, "Expected input as [channels, height, width].")
        if classes is not None and not (given.is_whole(classes) and 1 <= classes <= 100_000):
            raise Refusal(422, "Expected classes of 1 to 100,000.")
        size = None if shape is None else tuple(shape)
        return _json(await self.bench.do(request, "quick", paper.design, text, size, classes))

    async def _training(self, request: Request) -> Response:
        def show() -> dict[str, Any]:
            return {**self.school.status(), **self.school.choices()}

        return _json(await self.bench.do(request, "quick", show))

    async def _start(self, request: Request) -> Response:
        asked = await given.body(request)
        data, network = asked.get("data", "digits"), asked.get("network", "auto")
        if not isinstance(data, str) or not isinstance(network, str):
            raise Refusal(422, "Expected data and network as text.")
        settings = tuple(
            f"{key}={given.number(asked, name, least, most)}"
            for name, key, least, most in (
                ("epochs", "epochs", 1, 1000), ("batch", "batch", 1, 4096),
                ("seed", "seed", 0, 1 << 31), ("rate", "optimiser.rate", 1e-9, 100.0),
            )
            if asked.get(name) is not None
        )  # fmt: skip
        begin = partial(self.school.start, data, network, settings)
        return _json(await self.bench.do(request, "quick", begin))

    async def _pause(self, request: Request) -> Response:
        await given.body(request)
        return _json(self.school.pause())

    async def _resume(self, request: Request) -> Response:
        asked = await given.body(request)
        rate = given.number(asked, "rate", 1e-9, 100.0) if asked.get("rate") is not None else None
        name = given.name(request)
        return _json(await self.bench.do(request, "quick", self.school.resume, name, rate))

    # --

    async def _opened(self, request: Request) -> Opened:
        return await self.bench.do(request, "quick", self.shelf.open, given.name(request))

    async def _look(
        self,
        request: Request,
        lane: Lane,
        work: Callable[..., Any],
        *more: Any,
        kept: bool = False,
    ) -> Response:
        """Answer with what some work finds in a run's network; `kept`, once for all."""
        opened = await self._opened(request)
        if not kept:
            return _json(await self.bench.do(request, lane, work, opened, *more))
        key = (opened.name, opened.stamp, work.__name__, *more)
        found = partial(self.shelf.keep, key, partial(work, opened, *more))
        return _json(await self.bench.do(request, lane, found))


# -- what is answered ------------------------------------------------------------------------------


def _json(document: Any) -> Response:
    content = msgspec.json.encode(to_builtins(document))  # NaN and infinity become null
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})


async def _refused(request: Request, error: Exception) -> Response:
    return refused(error if isinstance(error, Refusal) else Refusal(500, "Internal error."))


async def _mistaken(request: Request, error: Exception) -> Response:
    return refused(Refusal(422, str(error)))


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return refused(Refusal(status, "There is nothing here." if status == 404 else "Not so."))


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _broken(request: Request, error: Exception) -> Response:
    progress.say(f"A bug of the page at {request.url.path[:200]}: {type(error).__name__}: {error}")
    return refused(Refusal(500, "Internal error."))
